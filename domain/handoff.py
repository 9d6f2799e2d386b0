"""A handoff: one thing that needs a person, with its clock."""

from datetime import datetime, timedelta
from enum import StrEnum

from domain.values import DeliveryId, HandoffId, Value


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


class OnExpiry(StrEnum):
    """What follows when an approval's time is over and nobody decided. Neither of them is a yes."""

    TAKEOVER = "takeover"
    """A person answers the customer."""
    REFUSE = "refuse"
    """The customer is told that it was not approved in time."""


class Resolution(Value):
    """How a handoff ended, as far as the workflow needs to know. The operator's words stay in Postgres."""

    handoff_id: HandoffId = HandoffId("")
    decision: HandoffDecision = HandoffDecision.REJECTED
    """An unreadable decision reads as *no*."""
    on_expiry: OnExpiry = OnExpiry.TAKEOVER
    continues: bool = False
    """The person corrected what was understood: the agent goes on from there, under the same rules."""

    @property
    def leaves_open(self) -> str | None:
        """Why a person is still needed, as a code; nothing if this settles it."""
        if self.decision is HandoffDecision.WITHDRAWN:
            return "handoff_withdrawn"
        if self.decision is HandoffDecision.EXPIRED and self.on_expiry is OnExpiry.TAKEOVER:
            return "handoff_expired"
        return None


class HandoffInput(Value):
    """Starts a `HandoffWorkflow`. The record itself is already in Postgres."""

    organisation: str
    handoff_id: HandoffId
    kind: HandoffKind = HandoffKind.TAKEOVER
    sla_due_at: datetime | None = None
    look_at: datetime | None = None
    """When the first thing falls due."""
    reopened: bool = False
    """An earlier workflow of this handoff may have been told already, and ended before it could pass it on."""


class KeepTimeInput(Value):
    """What fell due until now?"""

    handoff: HandoffInput
    at: datetime
    """By the workflow's clock."""


class TimeKept(Value):
    """What the workflow waits for next, and what it is to start."""

    look_at: datetime | None = None
    """When something falls due if nothing happens before. None: nothing ever does, or it is decided."""
    until: str = ""
    """What falls due then, for people: `resolution@0.8`, `expiry`, `lease`."""
    breached: bool = False
    standing: Resolution | None = None
    """The decision, if there is one."""
    starts: tuple[DeliveryId, ...] = ()


CLAIM_LEASE = timedelta(minutes=15)
"""How long a claim holds unless it is renewed by claiming again."""
SEEN_FOR = timedelta(seconds=60)
"""How long somebody who looks at a handoff is shown to the others."""
