"""Every workflow id and update id, as functions. Ids are shown in clear in Temporal, so nothing personal is in them."""

import hashlib
import hmac
import re

from domain.values import HandoffId, OrganisationId

ANSWER_UPDATE = "answer"
"""One interaction has one answer: every caller, first or repeated, joins the same update."""

HANDOFF_WORKFLOW = "handoff"
"""The Temporal name of `HandoffWorkflow`, for those who start it without importing it."""

_OPAQUE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}|[A-Za-z0-9_-]*[A-Za-z_][A-Za-z0-9_-]*")
_MAX_PART = 64


def opaque(part: str, key: bytes) -> str:
    """`part` itself if it is a short token with a letter in it; else `~` and its keyed hash.

    An e-mail address, a telephone number or a name with spaces is never shown, yet equal parts stay equal.
    """
    if len(part) <= _MAX_PART and _OPAQUE.fullmatch(part):
        return part
    return "~" + hmac.new(key, part.encode(), hashlib.sha256).hexdigest()[:32]


def interaction(organisation: OrganisationId, customer: str, request: str, key: bytes) -> str:
    return f"interaction:{organisation}:{opaque(customer, key)}:{opaque(request, key)}"


def handoff(organisation: OrganisationId, handoff_id: HandoffId) -> str:
    return f"handoff:{organisation}:{handoff_id}"
