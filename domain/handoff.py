"""A handoff: one thing that needs a person, with its clock."""

from datetime import datetime, timedelta
from enum import StrEnum

from domain.values import HandoffId, Plan, Value


class HandoffKind(StrEnum):
    APPROVAL = "approval"
    """Yes or no on exact arguments."""
    TAKEOVER = "takeover"
    """A person answers instead of the agent."""
    VALIDATION = "validation"
    """A person corrects data."""


class HandoffStatus(StrEnum):
    OPEN = "open"
    CLAIMED = "claimed"
    RESOLVED = "resolved"
    EXPIRED = "expired"


class HandoffDecision(StrEnum):
    """What the person said. Silence is none of these."""

    APPROVED = "approved"
    REJECTED = "rejected"
    RESOLVED = "resolved"
    """The person answered the customer, or did it by hand."""
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """Nobody needs to decide any more: another handoff took its place."""


class Resolution(Value):
    """How a handoff ended, as far as the workflow needs to know. The operator's words stay in Postgres."""

    handoff_id: HandoffId = HandoffId("")
    decision: HandoffDecision = HandoffDecision.REJECTED
    """An unreadable decision reads as *no*."""


class HandoffInput(Value):
    """Starts a `HandoffWorkflow`. The record itself is already in Postgres."""

    organisation: str
    handoff_id: HandoffId
    kind: HandoffKind = HandoffKind.TAKEOVER
    sla_due_at: datetime | None = None


class BreachInput(Value):
    """The due time passed without a decision."""

    handoff: HandoffInput
    detected_at: datetime
    """By the workflow's clock. The breach itself is dated at the due time."""


CLAIM_WITHIN: dict[Plan, timedelta] = {
    Plan.ENTERPRISE: timedelta(minutes=15),
    Plan.PRO: timedelta(minutes=60),
    Plan.FREE: timedelta(minutes=240),
}
"""How soon a person should have decided, per plan. Elapsed time for now, not business time."""


def sla_due_at(opened_at: datetime, plan: Plan) -> datetime:
    """When the handoff's clock runs out. An unknown plan gets the shortest clock."""
    return opened_at + CLAIM_WITHIN.get(plan, min(CLAIM_WITHIN.values()))
