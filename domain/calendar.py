"""Business time: when somebody is there, and what a deadline of so many open hours means on the clock.

Opening hours are written in the OpenStreetMap grammar (`Mo-Fr 09:00-12:00,14:00-18:00; Sa 09:00-12:00`), read by the
`opening_hours` engine, known to this module and `calendar_faults` only. The engine says which *wall-clock* intervals
are open; here they become instants, and all counting is done on instants. A bound that the clock skips in spring is
the moment of the change; a bound that it shows twice in autumn is the first of the two. So an hour that exists twice
counts twice.
"""

import calendar as _months
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
from opening_hours import OpeningHours, State
from pydantic import Field

from domain.errors import HoldfastError
from domain.values import Value

HORIZON = timedelta(days=2 * 366)
"""A due time farther off than this is a mistake in the calendar, not a deadline."""
_ZERO = timedelta(0)


class NeverOpen(HoldfastError):
    """So much open time does not come within two years."""

    code = "never_open"


class Holidays(Value):
    """Public holidays, closed from local midnight to midnight. `subdivision`: a part of the country (`BY`)."""

    country: str = Field(pattern=r"^[A-Z]{2}$")
    subdivision: str | None = Field(default=None, max_length=10)


class ExtraDay(Value):
    """A day that differs: `hours` in the same grammar (`10:00-14:00`), or None for closed."""

    day: date
    hours: str | None = Field(default=None, max_length=100)


class Calendar(Value):
    """When an organisation works. A published one never changes: a change is the next `version`."""

    id: str = "always"
    version: int = 0
    time_zone: str = "UTC"
    opening_hours: str = "24/7"
    holidays: Holidays | None = None
    days: tuple[ExtraDay, ...] = ()


ALWAYS = Calendar()
"""What applies where nothing was configured: every second counts."""

Interval = tuple[datetime, datetime]


def open_intervals(calendar: Calendar, start: datetime, end: datetime) -> Iterator[Interval]:
    """The open stretches between two instants, in order, as UTC; neighbours that touch are one."""
    zone, day = ZoneInfo(calendar.time_zone), timedelta(days=1)
    local_start = start.astimezone(zone).replace(tzinfo=None) - day  # an overnight shift may have begun the day before
    local_end = end.astimezone(zone).replace(tzinfo=None) + day
    joined: Interval | None = None
    hours = _hours(calendar, range(local_start.year - 1, local_end.year + 2))
    for opens, closes, state, _ in hours.intervals(local_start, local_end):
        if state is not State.OPEN or closes is None:
            continue
        found = max(_instant(opens, zone), start), min(_instant(closes, zone), end)
        if found[0] >= found[1]:
            continue
        if joined and joined[1] == found[0]:
            joined = joined[0], found[1]
            continue
        if joined:
            yield joined
        joined = found
    if joined:
        yield joined


def business_elapsed(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """How much of the time between two instants was open. Nothing if `end` is not after `start`."""
    return sum((closes - opens for opens, closes in open_intervals(calendar, start, end)), _ZERO)


def add_business(calendar: Calendar, start: datetime, duration: timedelta) -> datetime:
    """The instant at which `duration` of open time has passed since `start`, in UTC. `NeverOpen` if that is more than
    two years away. No duration at all is `start` itself, open or not."""
    left, start = duration, start.astimezone(UTC)
    if left <= _ZERO:
        return start
    span, begin = max(4 * duration, timedelta(days=8)), start
    while begin - start < HORIZON:
        for opens, closes in open_intervals(calendar, begin, begin + span):
            if closes - opens >= left:
                return opens + left
            left -= closes - opens
        begin, span = begin + span, min(2 * span, timedelta(days=120))
    raise NeverOpen("this calendar is not open long enough for that", calendar=calendar.id, version=calendar.version)


def due_by(calendar: Calendar, start: datetime, duration: timedelta) -> datetime:
    """As `add_business`, for what has to come due: after the last hour of a calendar that ends, every second counts."""
    try:
        return add_business(calendar, start, duration)
    except NeverOpen:
        left = list(open_intervals(calendar, start, start + HORIZON))
        closed = left[-1][1] if left else start.astimezone(UTC)
        return closed + duration - sum((closes - opens for opens, closes in left), _ZERO)


def week_of(calendar: Calendar, monday: date) -> tuple[tuple[date, tuple[Interval, ...]], ...]:
    """Seven days from `monday` on, each with its open stretches, cut at local midnight."""
    zone = ZoneInfo(calendar.time_zone)
    bounds = [_instant(datetime.combine(monday + timedelta(days=n), datetime.min.time()), zone) for n in range(8)]
    return tuple(
        (monday + timedelta(days=n), tuple(open_intervals(calendar, bounds[n], bounds[n + 1]))) for n in range(7)
    )


def _hours(calendar: Calendar, years: range) -> OpeningHours:
    region = calendar.holidays
    special = tuple((extra.day, extra.hours or "off") for extra in calendar.days)
    closed = _closed_days(region.country, region.subdivision, years) if region else ()
    return _compiled(calendar.opening_hours, closed, special)


@lru_cache(maxsize=512)
def _compiled(expression: str, closed: tuple[date, ...], special: tuple[tuple[date, str], ...]) -> OpeningHours:
    """Rules are joined with `;`, so that a later one replaces what earlier ones say of its days."""
    rules = [f"{_spelled(day)} {hours}" for day, hours in (*((day, "off") for day in closed), *special)]
    return OpeningHours("; ".join((expression, *rules)))


@lru_cache(maxsize=256)
def _closed_days(country: str, subdivision: str | None, years: range) -> tuple[date, ...]:
    return tuple(sorted(holidays.country_holidays(country, subdiv=subdivision, years=years)))


def _spelled(day: date) -> str:
    return f"{day.year} {_months.month_abbr[day.month]} {day.day:02d}"


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of `zone` first show `local`, or pass over it."""
    found = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), found
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after.replace(microsecond=0)
