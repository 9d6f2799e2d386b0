"""How outbound webhooks are signed: the schemes of Standard Webhooks an endpoint may ask for; how keys are shown."""

import base64
from dataclasses import dataclass
from enum import StrEnum


class Signing(StrEnum):
    """What an endpoint asked for. A shared secret always signs, so that any library of the standard will do."""

    V1 = "v1"
    """HMAC-SHA-256 with a secret both sides know."""
    V1_AND_V1A = "v1+v1a"
    """Ed25519 beside it: whoever only checks needs no secret, and cannot sign in our name."""

    @property
    def has_key(self) -> bool:
        return self is Signing.V1_AND_V1A


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Everything active for one endpoint now, newest first; each one signs."""

    secrets: tuple[bytes, ...]
    """Shared ones, for `v1`."""
    seeds: tuple[bytes, ...] = ()
    """Private halves, 32 bytes each, for `v1a`. Never shown."""


def shown_secret(secret: bytes) -> str:
    """As the other side enters it: `whsec_…`."""
    return "whsec_" + base64.b64encode(secret).decode()


def shown_public_key(key: bytes) -> str:
    """The public half as the other side enters it: `whpk_…`. No secret."""
    return "whpk_" + base64.b64encode(key).decode()
