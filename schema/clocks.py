"""The clocks of a handoff, from its history; and what the ladder changes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.calendar import ALWAYS, Calendar
from domain.clock import Clock
from domain.sla import DueStep, Happened, SlaPolicy, clocks_of, next_step
from domain.values import Json, Plan, Priority
from schema.calendars import CalendarRepository
from schema.handoffs import Handoff, HandoffEvent, HandoffRepository, change, event
from schema.session import Session

STEP_TAKEN = "clock_step"
CALENDAR_CHANGED = "calendar_changed"
REPRIORITISED = "reprioritised"

_NOTE = change("told_at = told_at", "true")
_BREACH = change("breached_at = coalesce(breached_at, :due_at)", "true")
_RAISE = change(
    """priority = CASE priority WHEN 'low' THEN 'normal' WHEN 'normal' THEN 'high' ELSE 'urgent' END""",
    "decision IS NULL",
)
_REPRIORITISE = change("priority = :priority", "decision IS NULL")
_DUE = text("UPDATE handoffs SET sla_due_at = :due_at WHERE organisation = :organisation AND id = :id")


@dataclass(frozen=True, slots=True)
class Timekeeping:
    """The clocks as history has them, the calendar they run under, and the ladder's steps that were taken."""

    plan: Plan
    calendar: Calendar
    clocks: tuple[Clock, ...]
    done: frozenset[str]

    def next_step(self, policy: SlaPolicy) -> DueStep | None:
        return next_step(policy, self.clocks, self.done)

    def next_mark(self, policy: SlaPolicy, handoff: Handoff) -> tuple[datetime, str] | None:
        """When something falls due if nothing happens before, and what: a step, the end of a claim, the end of it
        all. None for one that is decided and owes nothing."""
        step = self.next_step(policy)
        marks = [(step.at, step.name)] if step else []
        if handoff.decision is None:
            ends = ((handoff.claimed_until, "lease"), (handoff.expires_at, "expiry"))
            marks += [(at, name) for at, name in ends if at]
        return min(marks, default=None)

    def due_at(self, at: datetime) -> datetime | None:
        """The earliest due time among the clocks that run and are not late."""
        return min((due for clock in self.clocks if (due := clock.reaches(1)) and due > at), default=None)


class ClockRepository:
    def __init__(self, session: Session, policy: SlaPolicy) -> None:
        self._session = session
        self._policy = policy
        self._calendars = CalendarRepository(session)

    async def load(self, handoff: Handoff) -> Timekeeping:
        """Recomputed from the handoff's history alone, whoever asks and whenever."""
        events = await HandoffRepository(self._session).events(handoff.id)
        opened = next((entry.details for entry in events if entry.kind == "opened"), {})
        plan, priority = Plan(opened.get("plan", Plan.ENTERPRISE)), Priority(opened.get("priority", handoff.priority))
        first = await self._calendar(opened)
        history = [await self._heard(entry) for entry in events]
        clocks = clocks_of(self._policy, plan, priority, first, handoff.opened_at, history)
        calendar = next((entry.calendar for entry in reversed(history) if entry.calendar), first)
        return Timekeeping(plan, calendar, clocks, _taken(events))

    async def note(self, handoff: Handoff, kind: str, at: datetime, details: Json) -> None:
        """Put something on record that clocks listen to, or that the ladder did."""
        await self._session.run(_NOTE, id=handoff.id, **event(kind, "system", at, details))

    async def breach(self, handoff: Handoff, step: DueStep, at: datetime) -> None:
        """It is late: dated when it was due, however late that was noticed."""
        details: Json = {"clock": step.clock.value, "dueAt": step.at.isoformat(), "detectedAt": at.isoformat()}
        await self._session.run(_BREACH, id=handoff.id, due_at=step.at, **event("breached", "system", at, details))

    async def raise_priority(self, handoff: Handoff, at: datetime) -> None:
        await self._session.run(_RAISE, id=handoff.id, **event("priority_raised", "system", at, {}))

    async def reprioritise(self, handoff: Handoff, priority: Priority, by: str, at: datetime) -> bool:
        """A person says how urgent it is: every clock gets the target that goes with it. False if it is decided."""
        said = event(REPRIORITISED, by, at, {"priority": priority.value})
        return await self._session.run(_REPRIORITISE, id=handoff.id, priority=priority, **said) == 1

    async def due(self, handoff: Handoff, due_at: datetime) -> None:
        """What the queue is ordered by."""
        if due_at != handoff.sla_due_at:
            await self._session.run(_DUE, id=handoff.id, due_at=due_at)

    async def _heard(self, entry: HandoffEvent) -> Happened:
        calendar = await self._calendar(entry.details) if entry.kind == CALENDAR_CHANGED else None
        priority = Priority(entry.details["priority"]) if entry.kind == REPRIORITISED else None
        return Happened(entry.at, entry.kind, priority, calendar)

    async def _calendar(self, details: Json) -> Calendar:
        named, version = details.get("calendar"), details.get("calendarVersion")
        return await self._calendars.at_version(named, version) if named and version else ALWAYS


def calendar_details(calendar: Calendar) -> Json:
    """How an event of the history names a calendar."""
    return {"calendar": calendar.id, "calendarVersion": calendar.version}


def _taken(events: Sequence[HandoffEvent]) -> frozenset[str]:
    return frozenset(str(entry.details["step"]) for entry in events if entry.kind == STEP_TAKEN)
