"""Business hours, as versions that never change: what a clock counted under one can always be recomputed."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Body, Flag, Instant, Revision, Tag
from api.strict_json import StrictRoute
from domain.calendar import (
    Calendar,
    ExtraDay,
    Holidays,
    add_business,
    week_of,
)
from domain.calendar_faults import MAX_DAYS, MAX_EXPRESSION, check_calendar
from domain.values import Plan, Value
from schema.audit import AuditEvent, AuditRepository
from schema.calendars import CalendarRepository, NewCalendar, PublishedCalendar
from schema.wakes import WakeRepository

router = APIRouter(prefix="/calendars", tags=["calendars"], route_class=StrictRoute)

CalendarId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
CalendarPath = Annotated[CalendarId, Path(alias="calendarId")]
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY)]
Version = Annotated[int, Field(ge=1, le=1_000_000)]


class HolidaysBody(Body):
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    subdivision: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,10}$")] | None = None


class DayBody(Body):
    day: Day
    hours: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """None: closed."""


class CalendarBody(Body):
    """The whole calendar; what is left out is cleared."""

    time_zone: Tag
    opening_hours: Annotated[str, StringConstraints(max_length=MAX_EXPRESSION)]
    """As OpenStreetMap writes them: `Mo-Fr 09:00-12:00,14:00-18:00; Sa 09:00-12:00`."""
    holidays: HolidaysBody | None = None
    days: Annotated[tuple[DayBody, ...], Field(max_length=MAX_DAYS)] = ()
    plans: Annotated[tuple[Plan, ...], Field(max_length=len(Plan))] = ()
    """Whose customers it serves; none means all."""
    regions: Annotated[tuple[Tag, ...], Field(max_length=100)] = ()
    retired: Flag = False
    expected_version: Revision | None = None
    """The version you changed; 409 if there is a newer one."""

    def calendar(self, calendar_id: str) -> Calendar:
        return Calendar(
            id=calendar_id,
            time_zone=self.time_zone,
            opening_hours=self.opening_hours,
            holidays=Holidays(**self.holidays.model_dump(by_alias=False)) if self.holidays else None,
            days=tuple(ExtraDay(day=extra.day, hours=extra.hours) for extra in self.days),
        )


def _in_its_days(at: datetime) -> datetime:
    if not FIRST_DAY <= at.date() <= LAST_DAY:
        raise ValueError(f"from {FIRST_DAY} to {LAST_DAY}")
    return at


def _spelt_out(value: object) -> object:
    if isinstance(value, str) and value.startswith("P"):
        return value
    raise ValueError("a duration is ISO 8601, such as PT8H")


class DueBody(Body):
    from_: Annotated[Instant, AfterValidator(_in_its_days), Field(alias="from")]
    duration: Annotated[timedelta, BeforeValidator(_spelt_out), Field(ge=timedelta(0), le=timedelta(days=366))]
    """ISO 8601, of open time: `PT8H`."""


class ShownCalendar(Calendar):
    plans: tuple[Plan, ...] = ()
    regions: tuple[str, ...] = ()
    retired: bool = False
    created_at: Instant
    created_by: str

    @classmethod
    def of(cls, published: PublishedCalendar) -> "ShownCalendar":
        about = {name: getattr(published, name) for name in ("plans", "regions", "retired", "created_at", "created_by")}
        return cls(**published.calendar.model_dump(by_alias=False), **about)


class CalendarList(Value):
    items: tuple[ShownCalendar, ...]
    next_cursor: str | None = None


class Open(Value):
    opens_at: Instant
    closes_at: Instant


class ShownDay(Value):
    day: date
    open: tuple[Open, ...]


class Week(Value):
    days: tuple[ShownDay, ...]


class Due(Value):
    due_at: Instant


@router.get("", summary="The newest version of every calendar")
async def list_calendars(caller: CallerDep, services: ServicesDep) -> CalendarList:
    caller.need(Scope.BUILDER, Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        return CalendarList(items=tuple(map(ShownCalendar.of, await CalendarRepository(session).list())))


@router.get("/{calendarId}", summary="One calendar, the newest version or the one asked for")
async def get_calendar(
    calendar_id: CalendarPath,
    caller: CallerDep,
    services: ServicesDep,
    version: Annotated[Version | None, Query()] = None,
) -> ShownCalendar:
    caller.need(Scope.BUILDER, Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        return ShownCalendar.of(await CalendarRepository(session).get(calendar_id, version))


@router.put("/{calendarId}", summary="Publish the next version of a calendar", responses={409: {}})
async def put_calendar(
    calendar_id: CalendarPath, body: CalendarBody, caller: CallerDep, services: ServicesDep
) -> ShownCalendar:
    """The same words again are the same version. Clocks that run count by the new one from now on; what they counted
    stays counted."""
    caller.need(Scope.BUILDER)
    calendar, now = body.calendar(calendar_id), services.now()
    check_calendar(calendar, now)
    new = NewCalendar(calendar, plans=body.plans, regions=body.regions, retired=body.retired)
    async with services.db.transaction(caller.organisation) as session:
        calendars = CalendarRepository(session)
        published = await calendars.publish(new, by=caller.name, at=now, expected=body.expected_version)
        if published.created_at == now:
            event = AuditEvent(
                now, caller.name, "calendar.published", calendar_id, {"version": published.calendar.version}
            )
            await AuditRepository(session).append(event)
            await WakeRepository(session).wake_all(now)
    return ShownCalendar.of(published)


@router.get("/{calendarId}/week", summary="Seven days of a calendar, as open stretches")
async def get_week(
    calendar_id: CalendarPath, caller: CallerDep, services: ServicesDep, from_: Annotated[Day, Query(alias="from")]
) -> Week:
    caller.need(Scope.BUILDER, Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        calendar = (await CalendarRepository(session).get(calendar_id)).calendar
    days = week_of(calendar, from_)
    return Week(
        days=tuple(
            ShownDay(day=day, open=tuple(Open(opens_at=a, closes_at=b) for a, b in stretches))
            for day, stretches in days
        )
    )


@router.post("/{calendarId}/due", summary="When something started then would be due")
async def post_due(calendar_id: CalendarPath, body: DueBody, caller: CallerDep, services: ServicesDep) -> Due:
    caller.need(Scope.BUILDER, Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        calendar = (await CalendarRepository(session).get(calendar_id)).calendar
    return Due(due_at=add_business(calendar, body.from_, body.duration))
