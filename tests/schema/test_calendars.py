"""Calendars in the database: versions without gaps, and which one serves whom."""

import asyncio

import pytest

from domain.calendar import ALWAYS, Calendar
from domain.errors import CalendarNotFound, Conflict
from domain.values import Plan
from schema.calendars import CalendarRepository, NewCalendar, PublishedCalendar
from schema.session import Database
from tests.schema.given import ACME, GLOBEX, NOW

OFFICE = Calendar(id="office", time_zone="Europe/Paris", opening_hours="Mo-Fr 09:00-18:00")


async def publish(
    db: Database, calendar: Calendar, *, expected: int | None = None, **about: object
) -> PublishedCalendar:
    async with db.transaction(ACME) as session:
        new = NewCalendar(calendar, **about)  # type: ignore[arg-type]  # passed through to a table of defaults
        return await CalendarRepository(session).publish(new, by="bea", at=NOW, expected=expected)


async def serving(db: Database, plan: Plan, region: str | None) -> str:
    async with db.transaction(ACME) as session:
        return (await CalendarRepository(session).serving(plan, region)).id


async def test_of_two_who_publish_at_once_one_wins_and_no_version_is_lost(database: Database) -> None:
    changed = [OFFICE.model_copy(update={"opening_hours": f"Mo-Fr 09:00-1{n}:00"}) for n in range(8)]
    ends = await asyncio.gather(*(publish(database, c, expected=0) for c in changed), return_exceptions=True)
    (first,) = [end for end in ends if isinstance(end, PublishedCalendar)]
    assert first.calendar.version == 1
    assert sum(isinstance(end, Conflict) for end in ends) == len(changed) - 1
    assert (await publish(database, OFFICE, expected=1)).calendar.version == 2


async def test_the_most_special_one_serves_and_without_any_every_second_counts(database: Database) -> None:
    assert await serving(database, Plan.PRO, "FR") == ALWAYS.id
    await publish(database, OFFICE)
    await publish(database, OFFICE.model_copy(update={"id": "vip"}), plans=(Plan.ENTERPRISE,))
    await publish(database, OFFICE.model_copy(update={"id": "bavaria"}), regions=("DE-BY",))
    assert await serving(database, Plan.PRO, None) == "office"
    assert await serving(database, Plan.ENTERPRISE, "FR") == "vip"
    assert await serving(database, Plan.ENTERPRISE, "DE-BY") == "bavaria"
    await publish(database, OFFICE.model_copy(update={"id": "bavaria"}), regions=("DE-BY",), retired=True)
    assert await serving(database, Plan.ENTERPRISE, "DE-BY") == "vip"


async def test_another_organisations_calendar_is_not_found(database: Database) -> None:
    await publish(database, OFFICE)
    async with database.transaction(GLOBEX) as session:
        assert await CalendarRepository(session).list() == ()
        assert await CalendarRepository(session).serving(Plan.PRO, None) == ALWAYS
        with pytest.raises(CalendarNotFound):
            await CalendarRepository(session).get("office")
