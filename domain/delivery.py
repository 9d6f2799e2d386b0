"""A delivery: one message that goes out. Its states, what a failed attempt means, and when to try again.

    pending → delivered                      a receipt; a bounce may still turn it into a dead letter
       ↓ ↑ redriven
    dead_letter → discarded                  waiting for a person; nothing retries by itself

Nothing here waits or draws lots: the activity brings the clock's and the dice's answers in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from domain.values import DeliveryId, OrganisationId, Value


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD_LETTER = "dead_letter"
    """Given up for now; a person may redrive or discard it."""
    DISCARDED = "discarded"

    @property
    def is_final(self) -> bool:
        return self in {DeliveryStatus.DELIVERED, DeliveryStatus.DISCARDED}


class FailureKind(StrEnum):
    """What is known about an attempt that brought no receipt."""

    TRANSIENT = "transient"
    """It surely did not arrive; another attempt may."""
    THROTTLED = "throttled"
    """The same, and the other side says when to come back."""
    PERMANENT = "permanent"
    """It surely did not arrive and will not."""
    GONE = "gone"
    """Nobody lives there any more (410): the address is to be given up too."""
    AMBIGUOUS = "ambiguous"
    """It may have arrived. Only what recognises a repeat is repeated."""
    REFUSED_BY_POLICY = "refused_by_policy"
    """Ours: consent is missing, the endpoint is disabled, the address is not allowed."""


class Failure(Value):
    """One failed attempt, in codes."""

    kind: FailureKind = FailureKind.AMBIGUOUS
    """Unreadable reads as *it may have arrived*."""
    code: str = "outcome_unknown"
    retry_after: timedelta | None = None
    response_status: int | None = None


class Receipt(Value):
    """The other side took it."""

    response_status: int | None = None
    response: str = ""
    """The server's words, without anybody's address: kept for the ledger, never in a log."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a channel tries again. One attempt more than there are delays."""

    delays: tuple[timedelta, ...]
    jitter: float = 0.2
    """Share of the delay by which it varies either way, so that what failed together does not return together."""
    recognises_repeats: bool = True
    """The receiver can tell a repeat (Message-ID, webhook-id), or a repeat does no harm."""


def _seconds(*values: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=value) for value in values)


MINUTE, HOUR = 60, 3600
WEBHOOK, CHAT_WEBHOOK, EMAIL = "webhook", "chat_webhook", "email"
SCHEDULES: Mapping[str, Schedule] = {
    WEBHOOK: Schedule(_seconds(5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, 24 * HOUR)),
    CHAT_WEBHOOK: Schedule(_seconds(5, 30, 2 * MINUTE, 10 * MINUTE, HOUR)),
    EMAIL: Schedule(_seconds(MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 8 * HOUR)),
}
OTHERWISE = Schedule(_seconds(MINUTE, 10 * MINUTE, HOUR), recognises_repeats=False)
"""A channel nobody described: few attempts, and none after an outcome nobody knows."""
LONGEST_WAIT = timedelta(hours=24)
"""What a receiver may ask for at most: a `Retry-After` of a year is not a plan."""


@dataclass(frozen=True, slots=True)
class Again:
    wait: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """To the dead letters, with this reason: a code."""

    reason: str


def schedule_of(channel: str) -> Schedule:
    return SCHEDULES.get(channel, OTHERWISE)


def next_attempt(schedule: Schedule, made: int, failure: Failure, dice: float) -> Again | GiveUp:
    """What follows the failure of attempt number `made` (from 1) of this round. `dice` is in [0, 1)."""
    match failure.kind:
        case FailureKind.PERMANENT | FailureKind.REFUSED_BY_POLICY:
            return GiveUp(failure.code)
        case FailureKind.GONE:
            return GiveUp("gone")
        case FailureKind.AMBIGUOUS if not schedule.recognises_repeats:
            return GiveUp("outcome_unknown")
        case _:
            pass
    if made > len(schedule.delays):
        return GiveUp("attempts_used_up")
    wait = schedule.delays[made - 1] * (1 + schedule.jitter * (2 * dice - 1))
    return Again(max(wait, min(failure.retry_after or timedelta(0), LONGEST_WAIT)))


class DeliveryRef(Value):
    """Names one delivery: the input of its workflow. The message itself stays in Postgres."""

    organisation: OrganisationId
    delivery_id: DeliveryId


class SendInput(Value):
    delivery: DeliveryRef
    busy: int = 0
    """How often in a row the receiver had no room for us."""


class SendResult(Value):
    """How the delivery stands after this step. Unreadable reads as a dead letter: a person looks."""

    status: DeliveryStatus = DeliveryStatus.DEAD_LETTER
    attempts: int = 0
    code: str | None = None
    wait: timedelta | None = None
    """While pending: how long until the next step."""
    is_busy: bool = False
    starts: tuple[DeliveryId, ...] = ()
    """Deliveries about this one, on record now; whoever reads this starts their workflows."""


class DeliveryResult(Value):
    status: DeliveryStatus = DeliveryStatus.DEAD_LETTER
