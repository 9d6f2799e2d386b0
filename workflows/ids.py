"""Every workflow id and update id, as functions. Ids are shown in clear in Temporal, so nothing personal is in them."""

import hashlib
import hmac
import re

from domain.values import DeliveryId, HandoffId, OrganisationId

ANSWER_UPDATE = "answer"
"""One interaction has one answer: every caller, first or repeated, joins the same update."""

PROVEN_UPDATE = "proven"
"""The customer gave back a code, or used up the answers: Postgres has which."""

HANDOFF_WORKFLOW = "handoff"
"""The Temporal name of `HandoffWorkflow`, for those who start it without importing it."""

DELIVERY_WORKFLOW = "delivery"
"""The same for `DeliveryWorkflow`."""

AUDIT_SEAL_WORKFLOW = "audit-seal"
"""The same for `AuditSealWorkflow`."""
ROLLUP_WORKFLOW = "rollup"
ERASURE_WORKFLOW = "erasure"
RETENTION_WORKFLOW = "retention"

_OPAQUE = re.compile(
    r"(?:cust|customer|client|acct|account|user|usr|req|request|msg|evt|event|ord|order|inv|invoice|tick|ticket|int|cnv|http)"
    r"[_-](?:[0-9]{1,6}|[0-9a-f]{16,64}|[0-9A-HJKMNP-TV-Z]{26})"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""What a machine made: a customary prefix with a short number, hexadecimal digits or a ULID; or a UUID. A word could
be a name and a long number a telephone, so neither is shown."""


def opaque(part: str, key: bytes) -> str:
    """`part` itself if a machine certainly made it; else `~` and its keyed hash.

    An e-mail address, a telephone number or a name is never shown, yet equal parts stay equal.
    """
    if _OPAQUE.fullmatch(part):
        return part
    return "~" + hmac.new(key, part.encode(), hashlib.sha256).hexdigest()[:32]


def interaction(organisation: OrganisationId, customer: str, request: str, key: bytes) -> str:
    return f"interaction:{organisation}:{opaque(customer, key)}:{opaque(request, key)}"


def handoff(organisation: OrganisationId, handoff_id: HandoffId) -> str:
    return f"handoff:{organisation}:{handoff_id}"


def erasure(organisation: OrganisationId, erasure_id: str) -> str:
    return f"erasure:{organisation}:{erasure_id}"


def delivery(organisation: OrganisationId, delivery_id: DeliveryId) -> str:
    return f"delivery:{organisation}:{delivery_id}"
