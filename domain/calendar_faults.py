"""What is wrong with a calendar: asked before one is published, so that counting never meets one it cannot read."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import available_timezones

import holidays
from opening_hours import OpeningHours

from domain.calendar import Calendar, ExtraDay, Holidays, open_intervals
from domain.errors import HoldfastError

MAX_EXPRESSION = 1_000
MAX_DAYS = 400
"""Extra days of either kind. Years of them belong into the next version."""
YEARS = range(1970, 2200)
"""The grammar writes years with four digits, from 1900 on."""
_NO_PLACES = {"localtime", "Factory", "posixrules"}
"""In the time zone database, and nowhere on earth: what a machine is set to, or nothing."""
_UNSUPPORTED = re.compile(r"\b(?:PH|SH|dawn|sunrise|sunset|dusk)\b", re.IGNORECASE)
"""Words of the grammar that need a region or a place. Holidays are a field of their own."""
_RANGES = re.compile(r"\d{2}:\d{2}-\d{2}:\d{2}(?: *, *\d{2}:\d{2}-\d{2}:\d{2})*", re.ASCII)
"""The hours of one day. Anything more, say another rule after a `;`, would reach beyond that day."""


class CalendarInvalid(HoldfastError):
    """`details["errors"]` names each field and what is wrong with it."""

    code = "calendar_invalid"


def check_calendar(calendar: Calendar, at: datetime) -> None:
    """Raises `CalendarInvalid` with `details["errors"]`: which field is wrong, and why, for the form it came from.

    One that is never open in the year after `at` is refused too: nothing would ever be due.
    """
    faults = list(_faults(calendar))
    if not faults and next(open_intervals(calendar, at, at + timedelta(days=366)), None) is None:
        faults = [("openingHours", "never open within a year")]
    if faults:
        errors = [{"field": f, "in": "body", "code": "calendar_invalid", "message": message} for f, message in faults]
        raise CalendarInvalid("these opening hours cannot be used", errors=errors)


def _faults(calendar: Calendar) -> Iterator[tuple[str, str]]:
    if calendar.time_zone not in available_timezones() - _NO_PLACES:
        yield "timeZone", "no such time zone; use an IANA name such as Europe/Paris"
    if fault := _fault_of(calendar.opening_hours, MAX_EXPRESSION):
        yield "openingHours", fault
    if calendar.holidays and (fault := _fault_of_region(calendar.holidays)):
        yield "holidays", fault
    if len(calendar.days) > MAX_DAYS or len({extra.day for extra in calendar.days}) < len(calendar.days):
        yield "days", f"at most {MAX_DAYS} days, each once"
    for extra in calendar.days:
        if fault := _fault_of_day(extra):
            yield f"days.{extra.day.isoformat()}", fault


def _fault_of(expression: str, longest: int) -> str | None:
    if not expression.strip() or len(expression) > longest:
        return f"write between 1 and {longest} characters"
    if unsupported := _UNSUPPORTED.search(expression):
        return f"{unsupported[0]} is not supported here"
    if "||" in expression:  # would speak where holidays and extra days say closed
        return "|| is not supported here; write the rules one after another, separated by ;"
    try:
        OpeningHours(expression)
    except Exception as error:  # its ParserError is missing in its stubs
        return " ".join(str(error).replace("|", " ").split())
    return None


def _fault_of_day(extra: ExtraDay) -> str | None:
    if extra.day.year not in YEARS:
        return f"only days from {YEARS.start} to {YEARS[-1]} can differ"
    if extra.hours is None:
        return None
    if not _RANGES.fullmatch(extra.hours):
        return "write the hours of that day only, such as 10:00-14:00 or 09:00-12:00,14:00-18:00"
    return _fault_of(extra.hours, 100)


def _fault_of_region(region: Holidays) -> str | None:
    known = holidays.list_supported_countries()
    if region.country not in known:
        return "no holidays are known for this country"
    if region.subdivision and region.subdivision not in known[region.country]:
        return f"no such part of {region.country}: {', '.join(known[region.country][:60])}"
    return None
