"""An independent reading of opening hours: plain weekly tables, plain `zoneinfo`, minute by minute. No product code, no
engine. Slow and obvious on purpose."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Week = Mapping[int, Sequence[tuple[int, int]]]
"""Weekday (0 is Monday) to open stretches, in minutes after local midnight; up to 1,440 more for an overnight shift."""
MINUTE = timedelta(minutes=1)


def first_showing(local: datetime, zone: ZoneInfo) -> datetime:
    """The first UTC minute at which a clock in `zone` shows `local` or later, walking from well before."""
    at = local.replace(tzinfo=UTC) - timedelta(hours=15)
    for step in (10 * MINUTE, MINUTE):  # no clock is set back by less than half an hour, so ten minutes miss nothing
        while (at + step).astimezone(zone).replace(tzinfo=None) < local:
            at += step
    return at + MINUTE


def stretches(week: Week, closed: set[date], zone: ZoneInfo, first: date, days: int) -> list[tuple[datetime, datetime]]:
    """Every open stretch that begins on one of the days, as UTC, in order; a closed day is closed from midnight to
    midnight, whichever shift that cuts."""
    found = []
    for n in range(days):
        day = first + timedelta(days=n)
        for opens, closes in week.get(day.weekday(), ()):
            for cut, start, end in ((day, opens, min(closes, 1440)), (day + timedelta(days=1), 1440, closes)):
                if start < end and cut not in closed:
                    midnight = datetime.combine(day, time.min)
                    begin = first_showing(midnight + start * MINUTE, zone)
                    finish = first_showing(midnight + end * MINUTE, zone)
                    if begin < finish:
                        found.append((begin, finish))
    return sorted(found)


def elapsed(open_: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime) -> timedelta:
    """Seconds between the two that lie in a stretch; overlapping stretches count once."""
    total, reached = timedelta(0), start
    for opens, closes in open_:
        begin, finish = max(opens, reached), min(closes, end)
        if begin < finish:
            total += finish - begin
            reached = finish
    return total


def due(open_: Sequence[tuple[datetime, datetime]], start: datetime, duration: timedelta) -> datetime | None:
    """The first instant at which so much has elapsed; None if the stretches end before."""
    left, reached = duration, start
    for opens, closes in open_:
        begin = max(opens, reached)
        if begin >= closes:
            continue
        if closes - begin >= left:
            return begin + left
        left -= closes - begin
        reached = closes
    return None


def by_wall_clock(start: datetime, duration: timedelta, zone: ZoneInfo) -> datetime:
    """The mistake everybody makes: adding hours to what the clock on the wall shows."""
    return (start.astimezone(zone) + duration).astimezone(UTC)
