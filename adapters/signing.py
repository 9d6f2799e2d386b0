"""Standard Webhooks signatures: ours on what goes out, others' on what comes in."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest, digest

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from standardwebhooks.webhooks import Webhook

TOLERANCE = timedelta(minutes=5)
"""How far a stamp may lie from our clock, either way: longer ago it may be a replay."""
MOST_SIGNATURES = 20
"""Those after them are not looked at."""
_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_ID = re.compile(r"[!-~]{1,255}", re.ASCII)


class SignatureInvalid(Exception):
    """Not signed by whom it should be, not now, or not this. `code` says which, for a log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def sign(
    secrets: Iterable[bytes], webhook_id: str, at: datetime, body: str, *, seeds: Iterable[bytes] = ()
) -> dict[str, str]:
    """The three headers; one signature per secret and per key pair (its private half, 32 bytes), so that a receiver
    may change its own at leisure."""
    stamp = at.astimezone(UTC)
    signatures = [Webhook(secret).sign(webhook_id, stamp, body) for secret in secrets]
    signed = f"{webhook_id}.{int(stamp.timestamp())}.{body}".encode()
    for seed in seeds:
        signature = Ed25519PrivateKey.from_private_bytes(seed).sign(signed)
        signatures.append("v1a," + base64.b64encode(signature).decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(stamp.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def new_key_pair() -> tuple[bytes, bytes]:
    """The private half, a seed of 32 bytes, and the public one, 32 bytes too."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def verify(
    secrets: Iterable[bytes],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    *,
    public_keys: Iterable[bytes] = (),
) -> str:
    """The `webhook-id` of a message one of these secrets or keys signed within five minutes of `now`, or
    `SignatureInvalid`.

    On the raw bytes, whatever they are. The public package decodes them first and reads the machine's own clock, so
    only its schemes are used here, over `id.timestamp.body`: `v1`, HMAC-SHA-256, and `v1a`, Ed25519. Whoever takes the
    message in must still remember its id: a replay within the five minutes is signed just as well.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, stamp, signatures = (given[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
    except KeyError:
        raise SignatureInvalid("header_missing") from None
    if not _ID.fullmatch(webhook_id) or "." in webhook_id or not _STAMP.fullmatch(stamp):
        raise SignatureInvalid("header_malformed")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        raise SignatureInvalid("stamp_out_of_window")
    signed = f"{webhook_id}.{stamp}.".encode() + body
    expected = [digest(secret, signed, sha256) for secret in secrets]
    parts = signatures.split(" ")[:MOST_SIGNATURES]
    candidates = [_signature(part, "v1") for part in parts]
    # Every pair is compared, whatever matched before: how long this takes tells nothing.
    matches = [compare_digest(theirs, ours) for theirs in candidates for ours in expected]
    theirs_alone = [_signature(part, "v1a") for part in parts]
    matches += [_is_signed(key, signature, signed) for key in public_keys for signature in theirs_alone]
    if not any(matches):
        raise SignatureInvalid("signature_mismatch")
    return webhook_id


def _signature(part: str, wanted: str) -> bytes:
    version, _, encoded = part.partition(",")
    try:
        return base64.b64decode(encoded, validate=True) if version == wanted else b""
    except (binascii.Error, ValueError):
        return b""


def _is_signed(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
