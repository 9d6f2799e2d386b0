"""A signed link that lets one named person say one word about one proposal. The signature proves that we made it; that
it is used once is for the database to know."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

from pydantic import ValidationError

from domain.errors import HoldfastError
from domain.values import HandoffId, OrganisationId, Value

PURPOSE = b"holdfast approval link v1"
MAX_TOKEN = 1_500


class LinkInvalid(HoldfastError):
    """Not one of ours, whatever is wrong with it: no part of it says which."""

    code = "approval_link_invalid"


class LinkOver(HoldfastError):
    """Ours, but used, past its time, or about something that is not on the table any more."""

    code = "approval_link_over"


class ApprovalLink(Value):
    """What a link stands for."""

    organisation: OrganisationId
    handoff_id: HandoffId
    digest: str
    approver: str
    expires_at: datetime
    nonce: str
    """Its own row in the database: a link is used once."""


def write_token(link: ApprovalLink, key: bytes) -> str:
    """URL-safe, and worthless once a single character differs."""
    values = [link.organisation, link.handoff_id, link.digest, link.approver, _stamp(link), link.nonce]
    payload = _encode(json.dumps(values, separators=(",", ":")).encode())
    return f"{payload}.{_encode(_signature(payload, key))}"


def read_token(token: str, key: bytes) -> ApprovalLink:
    """What was signed under this key, or `LinkInvalid`. Nothing of a token is read before its signature is checked."""
    payload, _, signature = token.partition(".")
    if len(token) > MAX_TOKEN or not token.isascii():
        raise LinkInvalid("this link is not valid")
    # Compared as text: two spellings of the same bytes must not both be good.
    if not hmac.compare_digest(_encode(_signature(payload, key)), signature):
        raise LinkInvalid("this link is not valid")
    try:
        values = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        organisation, handoff_id, digest, approver, expires_at, nonce = values
        return ApprovalLink(
            organisation=organisation,
            handoff_id=handoff_id,
            digest=digest,
            approver=approver,
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            nonce=nonce,
        )
    except (ValueError, TypeError, ValidationError, OverflowError) as error:
        raise LinkInvalid("this link is not valid") from error


def _signature(payload: str, key: bytes) -> bytes:
    # The same secret keys other hashes: the label keeps one from being good as another.
    own = hmac.new(key, PURPOSE, hashlib.sha256).digest()
    return hmac.new(own, payload.encode(), hashlib.sha256).digest()


def _stamp(link: ApprovalLink) -> int:
    return int(link.expires_at.timestamp())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
