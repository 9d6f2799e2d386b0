"""An interaction: one message or request and its outcome. What crosses between workflow and activities.

Only ids and small facts are here. Message, reply and arguments stay in Postgres and are read again where needed,
so nothing a customer wrote stands in a workflow's history.
"""

from datetime import datetime
from enum import StrEnum

from domain.decision import Outcome
from domain.handoff import HandoffKind, Resolution
from domain.values import DeliveryId, EffectId, HandoffId, Intent, InteractionId, Mode, OrganisationId, Priority, Value


class InteractionStatus(StrEnum):
    RUNNING = "running"
    WAITING_FOR_CUSTOMER = "waiting_for_customer"
    """For the code that proves who asks."""
    WAITING_FOR_HUMAN = "waiting_for_human"
    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"


class EffectState(StrEnum):
    """Where one consequence stands. `unknown` means: it may have happened, and nobody may assume either."""

    PREVIEW = "preview"
    RESERVED = "reserved"
    DISPATCHED = "dispatched"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"

    @property
    def is_final(self) -> bool:
        return self in {EffectState.CONFIRMED, EffectState.FAILED, EffectState.UNKNOWN, EffectState.UNDONE}


class InteractionRef(Value):
    """Names one interaction; the input of its workflow and part of every activity's."""

    organisation: OrganisationId
    interaction_id: InteractionId
    mode: Mode = Mode.SHADOW
    """An unreadable mode reads as shadow: nothing happens."""
    blocked_by: str | None = None
    """Why a person finishes it from the start, such as `restored`; nothing is judged or done before."""


class PlannedEffect(Value):
    """One reserved effect, with how it must be carried out."""

    effect_id: EffectId
    tool: str
    atomic: bool = False
    """It commits with our own record: a local activity does it."""
    outlet: bool = False
    """It carries the reply: after the reply was checked, not before."""


class Verdict(Value):
    """The recorded decision, as far as the workflow needs it. Defaults ask a person and do nothing."""

    outcome: Outcome = Outcome.ASK_HUMAN
    priority: Priority = Priority.NORMAL
    intent: Intent = Intent.OTHER
    confidence: float = 0.0
    reasons: tuple[str, ...] = ()
    """Codes, deciding one first."""
    effects: tuple[PlannedEffect, ...] = ()
    """Reserved and allowed to run."""
    handoff_kind: HandoffKind = HandoffKind.TAKEOVER
    passed_on: bool = False
    """The person who holds the conversation has it already: nothing to open, nothing to wait for."""
    asks_for_proof: bool = False
    """Nothing but a proof of who asks is missing: a code may bring it."""

    @property
    def needs_a_person(self) -> bool:
        return self.outcome is Outcome.ASK_HUMAN and not self.passed_on


class CallInput(Value):
    """Carry out one reserved effect."""

    interaction: InteractionRef
    effect: PlannedEffect


class EffectOutcome(Value):
    effect_id: EffectId
    state: EffectState = EffectState.UNKNOWN


class OpenHandoffInput(Value):
    interaction: InteractionRef
    kind: HandoffKind = HandoffKind.TAKEOVER
    reason: str = "needs_a_person"


class OpenedHandoff(Value):
    handoff_id: HandoffId
    kind: HandoffKind = HandoffKind.TAKEOVER
    priority: Priority = Priority.NORMAL
    sla_due_at: datetime
    look_at: datetime | None = None
    """When the first thing falls due while it waits."""
    reopened: bool = False
    """It was there before: another workflow may stand, or have stood, for it."""
    starts: tuple[DeliveryId, ...] = ()
    """Word of it, to other systems and to operators."""
    resolution: Resolution | None = None
    """Set when it was opened, and decided, before: then there is nothing to wait for."""


class AdmitInput(Value):
    """Reserve exactly what a person approved, consuming the approval."""

    interaction: InteractionRef
    handoff_id: HandoffId


class CommitInput(Value):
    """Compose the reply, check it, and let it out: the one commit point."""

    interaction: InteractionRef
    resolution: Resolution | None = None
    """How the person decided, if one did."""


class Committed(Value):
    status: InteractionStatus = InteractionStatus.RUNNING
    blocked_by: str | None = None
    """Why nothing left: the reply is not backed, or an effect failed or is unknown. A person must look."""
    starts: tuple[DeliveryId, ...] = ()
    """What leaves now; whoever reads this starts their workflows."""


class InteractionResult(Value):
    """What the workflow ends as."""

    status: InteractionStatus = InteractionStatus.FAILED
    outcome: Outcome = Outcome.ASK_HUMAN
    intent: Intent = Intent.OTHER
