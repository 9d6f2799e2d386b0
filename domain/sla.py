"""What is promised about handoffs, as data: targets per plan and priority, and the ladder each clock climbs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, model_validator

from domain.calendar import Calendar
from domain.clock import Clock, ClockKind, Moment, Turn, clock_from
from domain.values import Plan, Priority, Value

SHIPPED = Path(__file__).parent / "sla.yaml"


class SlaAction(StrEnum):
    """What a step of the ladder does."""

    WARN = "warn"
    """Tell whoever has it, or everybody if nobody has, that it will be late."""
    BREACH = "breach"
    """Put on record, with the due time, that it is late."""
    RAISE_PRIORITY = "raise_priority"
    """One up in the queue. It shortens no clock: being late is no reason to be later."""
    NOTIFY = "notify"
    RELEASE = "release"
    """Whoever has it gives it back to the queue."""
    PAGE = "page"
    """Call somebody, wherever they are."""
    TELL_CUSTOMER = "tell_customer"


class Step(Value):
    at: float = Field(gt=0, le=100)
    """Share of the target."""
    do: tuple[SlaAction, ...] = Field(min_length=1)


class SlaPolicy(Value):
    """Validated on load: every plan, clock and priority has its number; steps are in order, the breach among them."""

    plans: dict[Plan, dict[ClockKind, Annotated[timedelta, Field(gt=timedelta(0))]]]
    priorities: dict[Priority, Annotated[float, Field(gt=0, le=100)]]
    ladder: tuple[Step, ...]

    @classmethod
    def shipped(cls) -> Self:
        return cls.model_validate(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if set(self.plans) != set(Plan) or any(set(targets) != set(ClockKind) for targets in self.plans.values()):
            raise ValueError("every plan needs a target for every clock")
        factors = [self.priorities.get(priority) for priority in Priority]
        if None in factors or factors != sorted(factors, key=lambda f: -(f or 0)):
            raise ValueError("every priority needs a factor, and a higher one none that is larger")
        shares = [step.at for step in self.ladder]
        if shares != sorted(set(shares)):
            raise ValueError("the ladder's steps are in order, no two at one share")
        if [step.at for step in self.ladder if SlaAction.BREACH in step.do] != [1]:
            raise ValueError("a clock is breached when its target is spent, at 1")
        return self

    def target(self, kind: ClockKind, plan: Plan, priority: Priority) -> timedelta:
        return self.plans[plan][kind] * self.priorities[priority]


@dataclass(frozen=True, slots=True)
class Happened:
    """An entry of a handoff's history, as far as clocks listen to it."""

    at: datetime
    kind: str
    priority: Priority | None = None
    """With `reprioritised`."""
    calendar: Calendar | None = None
    """With `calendar_changed`."""


_TURNS: Mapping[str, Mapping[ClockKind, Turn]] = {
    "claimed": {ClockKind.CLAIM: Turn.PAUSE},
    "reassigned": {ClockKind.CLAIM: Turn.PAUSE},
    "released": {ClockKind.CLAIM: Turn.RESUME},
    "lease_expired": {ClockKind.CLAIM: Turn.RESUME},
    "operator_message": {ClockKind.FIRST_RESPONSE: Turn.STOP},
    "waiting_for_customer": {ClockKind.RESOLUTION: Turn.PAUSE},
    "customer_answered": {ClockKind.RESOLUTION: Turn.RESUME},
    **{
        decision: dict.fromkeys(ClockKind, Turn.STOP)
        for decision in ("approved", "rejected", "resolved", "expired", "withdrawn")
    },
}
"""What an entry of the history does to which clock. Whoever takes a handoff stops its claim clock; giving it back lets
that clock run on."""
_CHANGES = {"reprioritised", "calendar_changed"}


def clocks_of(
    policy: SlaPolicy,
    plan: Plan,
    priority: Priority,
    calendar: Calendar,
    opened_at: datetime,
    history: Sequence[Happened],
) -> tuple[Clock, ...]:
    """The clocks of a handoff that was opened with this priority under this calendar, after its history, in order."""
    return tuple(
        clock
        for kind in ClockKind
        if (clock := clock_from(kind, _moments(policy, kind, plan, priority, calendar, opened_at, history)))
    )


def _moments(
    policy: SlaPolicy,
    kind: ClockKind,
    plan: Plan,
    priority: Priority,
    calendar: Calendar,
    opened_at: datetime,
    history: Sequence[Happened],
) -> list[Moment]:
    moments = [Moment(opened_at, Turn.START, policy.target(kind, plan, priority), calendar)]
    for entry in history:
        if turn := _TURNS.get(entry.kind, {}).get(kind):
            moments.append(Moment(entry.at, turn))
        elif entry.kind in _CHANGES:
            priority = entry.priority or priority
            target = policy.target(kind, plan, priority)
            moments.append(Moment(entry.at, Turn.RETARGET, target, entry.calendar))
    return moments


@dataclass(frozen=True, slots=True)
class DueStep:
    """One step of one clock, and when it falls due."""

    at: datetime
    clock: ClockKind
    step: Step

    @property
    def name(self) -> str:
        """Says of one handoff which step this is: `resolution@1.5`."""
        return f"{self.clock}@{self.step.at:g}"


def next_step(policy: SlaPolicy, clocks: Sequence[Clock], done: Collection[str]) -> DueStep | None:
    """The earliest step that was not taken yet; None while no clock runs that has one left."""
    steps = [
        due
        for clock in clocks
        for step in policy.ladder
        if (at := _falls_due(clock, step)) and (due := DueStep(at, clock.kind, step)).name not in done
    ]
    return min(steps, key=lambda due: (due.at, due.step.at, due.clock), default=None)


def _falls_due(clock: Clock, step: Step) -> datetime | None:
    """A target that was missed stays missed, also if the clock was stopped before anybody noticed."""
    return clock.missed_at if step.at == 1 and clock.missed_at else clock.reaches(step.at)
