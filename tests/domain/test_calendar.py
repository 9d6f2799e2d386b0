"""Business time, against an oracle that shares no code with it."""

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest

from domain.calendar import (
    ALWAYS,
    Calendar,
    ExtraDay,
    Holidays,
    NeverOpen,
    add_business,
    business_elapsed,
    open_intervals,
    week_of,
)
from domain.calendar_faults import CalendarInvalid, check_calendar
from tests.domain import calendar_oracle as oracle

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ZONES = (
    "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns", "Africa/Casablanca",
    "America/Santiago", "Pacific/Apia", "UTC",
)  # fmt: skip
WEEKDAYS = range(5)
SHIFTS: dict[str, oracle.Week] = {
    "Mo-Fr 09:00-18:00": dict.fromkeys(WEEKDAYS, ((540, 1080),)),
    "Mo-Fr 09:00-12:00,14:00-18:30; Sa 09:00-12:00": {
        **dict.fromkeys(WEEKDAYS, ((540, 720), (840, 1110))), 5: ((540, 720),),
    },
    "Mo-Su 22:00-06:00": dict.fromkeys(range(7), ((1320, 1800),)),
    "Fr 20:00-04:00; Su 01:30-02:30": {4: ((1200, 1680),), 6: ((90, 150),)},
    "24/7": dict.fromkeys(range(7), ((0, 1440),)),
    "Mo-Su 00:00-24:00": dict.fromkeys(range(7), ((0, 1440),)),
}  # fmt: skip
# Around both clock changes of either hemisphere, a leap day, the turn of the year, and an ordinary week.
AROUND = (
    date(2026, 3, 27), date(2026, 10, 23), date(2026, 4, 3), date(2026, 10, 2), date(2026, 3, 6), date(2026, 10, 30),
    date(2028, 2, 26), date(2026, 12, 30), date(2026, 6, 1), date(2027, 9, 3),
)  # fmt: skip
CASES = 10_000


@lru_cache(maxsize=4096)
def expected(hours: str, zone: str, closed: frozenset[date], first: date) -> list[tuple[datetime, datetime]]:
    return oracle.stretches(SHIFTS[hours], set(closed), ZoneInfo(zone), first - timedelta(days=2), 24)


def case(dice: random.Random) -> tuple[Calendar, frozenset[date], date, datetime, timedelta]:
    first, zone, hours = dice.choice(AROUND), dice.choice(ZONES), dice.choice(list(SHIFTS))
    closed = frozenset({first + timedelta(days=dice.choice((2, 3)))} if dice.random() < 0.3 else ())
    calendar = Calendar(time_zone=zone, opening_hours=hours, days=tuple(ExtraDay(day=day) for day in sorted(closed)))
    start = datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(seconds=dice.randrange(4 * 86_400))
    return calendar, closed, first, start, timedelta(seconds=dice.randrange(1, 40 * 3600))


def test_S5_ten_thousand_due_times_and_durations_equal_those_of_the_oracle() -> None:
    dice, compared = random.Random(20261121), 0
    for n in range(CASES):
        calendar, closed, first, start, duration = case(dice)
        open_ = expected(calendar.opening_hours, calendar.time_zone, closed, first)
        wanted = oracle.due(open_, start, duration)
        if wanted is None:
            continue  # beyond the oracle's three weeks
        compared += 1
        where = f"case {n}: {calendar} from {start} for {duration}"
        assert add_business(calendar, start, duration) == wanted, where
        assert business_elapsed(calendar, start, wanted) == duration == oracle.elapsed(open_, start, wanted), where
        later = start + duration
        assert business_elapsed(calendar, start, later) == oracle.elapsed(open_, start, later), where
    assert compared > 0.9 * CASES


def test_the_oracle_would_notice_wall_clock_arithmetic() -> None:
    """Negative control: adding hours to what the wall shows is wrong across a clock change, and only there."""
    zone, start = ZoneInfo("Europe/Paris"), datetime(2026, 3, 28, 19, tzinfo=UTC)
    open_ = expected("24/7", "Europe/Paris", frozenset(), date(2026, 3, 27))
    assert oracle.due(open_, start, 8 * HOUR) == start + 8 * HOUR
    assert oracle.by_wall_clock(start, 8 * HOUR, zone) == start + 7 * HOUR
    assert add_business(Calendar(time_zone="Europe/Paris"), start, 8 * HOUR) == start + 8 * HOUR


def test_a_holiday_and_a_weekend_are_not_counted() -> None:
    calendar = Calendar(time_zone="Europe/Paris", opening_hours="Mo-Fr 09:00-18:00", holidays=Holidays(country="FR"))
    thursday = datetime(2026, 4, 30, 15, tzinfo=UTC)  # 17:00 in Paris; the first of May is a Friday
    assert add_business(calendar, thursday, 8 * HOUR) == datetime(2026, 5, 4, 14, tzinfo=UTC)


def test_regions_differ() -> None:
    def friday_hours(subdivision: str) -> timedelta:
        calendar = Calendar(
            time_zone="Europe/Berlin", opening_hours="Mo-Su 09:00-17:00",
            holidays=Holidays(country="DE", subdivision=subdivision),
        )  # fmt: skip
        epiphany = datetime(2027, 1, 6, tzinfo=UTC)
        return business_elapsed(calendar, epiphany, epiphany + 24 * HOUR)

    assert (friday_hours("BY"), friday_hours("BE")) == (timedelta(0), 8 * HOUR)


def test_a_single_day_can_be_opened_and_closed() -> None:
    days = (ExtraDay(day=date(2026, 11, 21), hours="10:00-14:00"), ExtraDay(day=date(2026, 11, 23)))
    calendar = Calendar(opening_hours="Mo-Fr 09:00-17:00", days=days)
    saturday = datetime(2026, 11, 21, tzinfo=UTC)
    assert business_elapsed(calendar, saturday, saturday + 72 * HOUR) == 4 * HOUR


def test_holidays_count_however_long_the_time_between_two_instants_is() -> None:
    calendar = Calendar(time_zone="Europe/Berlin", holidays=Holidays(country="DE"))
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in range(2020, 2041)]
    by_year = sum((business_elapsed(calendar, a, b) for a, b in itertools.pairwise(years)), timedelta(0))
    assert business_elapsed(calendar, years[0], years[-1]) == by_year


def test_always_open_is_plain_time() -> None:
    assert add_business(ALWAYS, NOW, 5 * HOUR) == NOW + 5 * HOUR
    assert list(open_intervals(ALWAYS, NOW, NOW + HOUR)) == [(NOW, NOW + HOUR)]
    assert add_business(ALWAYS, NOW, timedelta(0)) == NOW
    assert business_elapsed(ALWAYS, NOW, NOW - HOUR) == timedelta(0)


def test_the_week_is_shown_day_by_day_cut_at_local_midnight() -> None:
    calendar = Calendar(time_zone="Europe/Paris", opening_hours="Mo-Su 22:00-06:00")
    days = week_of(calendar, date(2026, 3, 23))
    assert [day for day, _ in days] == [date(2026, 3, 23) + timedelta(days=n) for n in range(7)]
    hours = [sum((b - a for a, b in stretches), timedelta(0)) / HOUR for _, stretches in days]
    assert hours == [8, 8, 8, 8, 8, 8, 7]  # the last is the Sunday on which the clocks go forward


def test_a_deadline_that_never_comes_is_an_error_and_not_a_loop() -> None:
    with pytest.raises(NeverOpen):
        add_business(Calendar(opening_hours="2020 Jan 01 10:00-11:00"), NOW, HOUR)


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"opening_hours": "Mo-Xx 09:00"}, "openingHours", "1:4"),
        ({"opening_hours": ""}, "openingHours", "between 1 and"),
        ({"opening_hours": "Mo " * 400}, "openingHours", "between 1 and"),
        ({"opening_hours": "Mo-Fr 09:00-17:00; PH off"}, "openingHours", "PH"),
        ({"opening_hours": "sunrise-18:00"}, "openingHours", "sunrise"),
        ({"opening_hours": "off"}, "openingHours", "never open"),
        ({"opening_hours": "2020 Jan 01 10:00-11:00"}, "openingHours", "never open"),
        ({"time_zone": "Europe/Atlantis"}, "timeZone", "IANA"),
        ({"time_zone": "localtime"}, "timeZone", "IANA"),
        ({"time_zone": "Factory"}, "timeZone", "IANA"),
        ({"holidays": Holidays(country="ZZ")}, "holidays", "country"),
        ({"holidays": Holidays(country="DE", subdivision="XX")}, "holidays", "BY"),
        ({"days": (ExtraDay(day=date(2026, 1, 1), hours="late"),)}, "days.2026-01-01", "hours of that day"),
        ({"days": (ExtraDay(day=date(2026, 1, 1), hours="25:99-10:00"),)}, "days.2026-01-01", "expected"),
        ({"days": (ExtraDay(day=date(2026, 1, 1), hours="24/7"),)}, "days.2026-01-01", "hours of that day"),
        ({"days": (ExtraDay(day=date(2026, 1, 1), hours="10:00-14:00; Mo-Su 00:00-24:00"),)}, "days.2026-01-01", "day"),
        ({"days": (ExtraDay(day=date(1, 1, 1)),)}, "days.0001-01-01", "1970"),
        ({"opening_hours": "Mo-Fr 10:00-12:00 || 24/7"}, "openingHours", "||"),
        ({"days": (ExtraDay(day=date(2026, 1, 1)),) * 2}, "days", "once"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_calendar_is_named(changes: dict[str, object], field: str, says: str) -> None:
    with pytest.raises(CalendarInvalid) as refused:
        check_calendar(Calendar().model_copy(update=changes), NOW)
    errors = refused.value.details["errors"]
    assert isinstance(errors, list)
    assert [e["field"] for e in errors] == [field]
    assert says in errors[0]["message"]


def test_a_usable_calendar_passes() -> None:
    check_calendar(ALWAYS, NOW)
    check_calendar(
        Calendar(time_zone="Asia/Kolkata", opening_hours="Mo-Sa 09:30-18:30", holidays=Holidays(country="IN")), NOW
    )
