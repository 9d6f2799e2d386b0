"""How a handoff looks over HTTP: everything an operator needs to decide. `api.handoff_detail` puts it together."""

from api.fields import Instant
from domain.answer import ShownAction
from domain.briefing import Briefing
from domain.clock import ClockKind, ClockState
from domain.handoff import HandoffDecision, HandoffKind, HandoffStatus
from domain.values import AccountStatus, Json, Plan, Priority, Value


class HandoffSummary(Value):
    id: str
    interaction_id: str
    customer_id: str
    kind: HandoffKind
    status: HandoffStatus
    priority: Priority
    reason: str
    """A code: why a person is needed."""
    confidence: float
    opened_at: Instant
    sla_due_at: Instant
    breached_at: Instant | None = None
    expires_at: Instant | None = None
    """When it can be approved no longer. What follows is never a yes."""
    assignee: str | None = None
    claimed_until: Instant | None = None
    held_by: str | None = None
    """Who speaks with the customer now, in the conversation this came from, whoever has the handoff."""
    held_until: Instant | None = None
    decision: HandoffDecision | None = None
    decided_at: Instant | None = None
    decided_by: str | None = None


class HandoffList(Value):
    items: tuple[HandoffSummary, ...]
    next_cursor: str | None = None


class HandoffMoment(Value):
    at: Instant
    kind: str
    actor: str
    details: Json = {}


class HandoffNote(Value):
    at: Instant
    by: str
    note: str


class ShownProposal(Value):
    """One call an approval would let run."""

    tool: str
    arguments: Json = {}
    digest: str = ""
    preview: Json = {}
    """What it would return, as far as facts tell."""
    summary: str = ""
    """The same in words."""


class ShownCustomer(Value):
    id: str
    name: str
    plan: Plan
    status: AccountStatus


class ShownTicket(Value):
    id: str
    topic: str
    priority: Priority
    created_at: Instant


class ActionsByState(Value):
    """What happened in the world: not to be repeated by hand, except what failed."""

    executed: tuple[ShownAction, ...] = ()
    pending: tuple[ShownAction, ...] = ()
    unknown: tuple[ShownAction, ...] = ()
    failed: tuple[ShownAction, ...] = ()


class ShownYes(Value):
    by: str
    at: Instant
    via: str
    note: str | None = None


class ShownApprovals(Value):
    needed: int = 1
    """How many different people must say yes to this digest."""
    given: tuple[ShownYes, ...] = ()
    rules: tuple[str, ...] = ()


class ShownClock(Value):
    """How long something may take, in the business time of its calendar, and how it stands."""

    kind: ClockKind
    state: ClockState
    target_seconds: int
    elapsed_seconds: int
    due_at: Instant | None = None
    """None while it does not run. In the past for one that is breached."""
    calendar: str
    calendar_version: int


class ShownRevision(Value):
    revision: int
    by: str
    at: Instant
    diff: tuple[Json, ...] = ()
    """Field by field: `action`, `tool`, `field`, `before`, `after`."""
    digest: str


class ShownPresence(Value):
    operator: str
    at: Instant


class HandoffDetail(HandoffSummary):
    """Everything an operator needs, and the digest that binds a yes to it."""

    digest: str
    proposed: tuple[ShownProposal, ...] = ()
    """The actions an approval would let run, with exact arguments."""
    customer: ShownCustomer
    tickets: tuple[ShownTicket, ...] = ()
    """The open ones, oldest first."""
    conversation_id: str
    message: str
    """What the customer wrote."""
    actions: tuple[ShownAction, ...] = ()
    """What was already done, is pending, or is unknown, in order."""
    actions_by_state: ActionsByState = ActionsByState()
    issues: tuple[Json, ...] = ()
    approvals: ShownApprovals = ShownApprovals()
    revisions: tuple[ShownRevision, ...] = ()
    resolution: Json | None = None
    notes: tuple[HandoffNote, ...] = ()
    presence: tuple[ShownPresence, ...] = ()
    clocks: tuple[ShownClock, ...] = ()
    briefing: Briefing
    history: tuple[HandoffMoment, ...] = ()
