"""A clock of a handoff: how much business time it may take, how much it took, and when it is due.

A clock is what its moments add up to, nothing else: folding the same moments gives the same clock on any machine, so
whoever reads the history of a handoff can recompute every due time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.calendar import ALWAYS, Calendar, business_elapsed, due_by


class ClockKind(StrEnum):
    CLAIM = "claim"
    """Until somebody takes it."""
    FIRST_RESPONSE = "first_response"
    """Until a person first says something to the customer."""
    RESOLUTION = "resolution"
    """Until it is decided."""


class ClockState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"


class Turn(StrEnum):
    """What can happen to a clock."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    RETARGET = "retarget"
    """Its target or calendar changed. What was spent stays spent."""
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Moment:
    at: datetime
    turn: Turn
    target: timedelta | None = None
    """With `START` and `RETARGET`."""
    calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    kind: ClockKind
    target: timedelta
    """Business time of `calendar`."""
    calendar: Calendar = ALWAYS
    spent: timedelta = timedelta(0)
    """Up to `running_since`."""
    running_since: datetime | None = None
    stopped_at: datetime | None = None
    missed_at: datetime | None = None
    """When its target passed, as far as its moments tell; `state` and `due_at` also see what comes after them."""

    def elapsed(self, at: datetime) -> timedelta:
        """Business time it ran until `at`."""
        if self.running_since is None:
            return self.spent
        return self.spent + business_elapsed(self.calendar, self.running_since, at)

    def reaches(self, share: float) -> datetime | None:
        """When `share` of its target is or was spent, if it goes on running; None while it does not run."""
        if self.running_since is None:
            return None
        return due_by(self.calendar, self.running_since, self.target * share - self.spent)

    @property
    def due_at(self) -> datetime | None:
        """When its target is spent: in the past for one that missed it. None while it does not run."""
        return self.missed_at or self.reaches(1)

    def state(self, at: datetime) -> ClockState:
        if self.missed_at or ((due := self.reaches(1)) and due <= at):
            return ClockState.BREACHED
        if self.stopped_at:
            return ClockState.MET
        return ClockState.PAUSED if self.running_since is None else ClockState.RUNNING


def clock_from(kind: ClockKind, moments: Iterable[Moment]) -> Clock | None:
    """The clock after `moments`, in order. None if it was never started."""
    clock: Clock | None = None
    for moment in moments:
        clock = _started(kind, moment) if clock is None else heard(clock, moment)
    return clock


def heard(clock: Clock, moment: Moment) -> Clock:
    """The clock after one more moment. What makes no sense (resuming what runs, anything after the end) changes
    nothing."""
    if clock.stopped_at or moment.turn is Turn.START:
        return clock
    match moment.turn:
        case Turn.PAUSE:
            return replace(_settled(clock, moment.at), running_since=None)
        case Turn.RESUME:
            return clock if clock.running_since else replace(clock, running_since=moment.at)
        case Turn.RETARGET:
            settled = _settled(clock, moment.at)
            return replace(settled, target=moment.target or clock.target, calendar=moment.calendar or clock.calendar)
        case _:
            return replace(_settled(clock, moment.at), running_since=None, stopped_at=moment.at)


def _started(kind: ClockKind, moment: Moment) -> Clock | None:
    if moment.turn is not Turn.START or moment.target is None:
        return None
    return Clock(kind, moment.target, moment.calendar or ALWAYS, running_since=moment.at)


def _settled(clock: Clock, at: datetime) -> Clock:
    """Counted up to `at`; if its target passed meanwhile, that is remembered with the instant it did."""
    if clock.running_since is None:
        return clock
    due = clock.due_at
    return replace(
        clock,
        spent=clock.elapsed(at),
        running_since=max(at, clock.running_since),
        missed_at=due if due is not None and due <= at else None,
    )
