"""Dates, ages and periods in a reply are those of facts and of the rules that decided."""

import re
from collections.abc import Iterator
from datetime import date

from domain.decision import Issue
from domain.facts import Invoice
from domain.verification.evidence import Evidence
from domain.verification.notation import DATE, blank, blank_ids, month_number, named
from domain.verification.reading import Reading

_AGO = re.compile(
    r"\b(\d{1,9}|a|one|two|three|four|five|six|seven|ten|few|several|couple of) (day|week|month|year)s? ago\b"
)
_YESTERDAY = re.compile(r"\b(?:yesterday|last (?:night|week|month|year)|(?:earlier )?this (?:morning|week|month))\b")
_PERIOD = re.compile(
    r"\b(\d{1,9})[- ](?:calendar )?days?[- ](?:refund )?(?:window|period|limit|policy|deadline)\b"
    r"|\bwindow (?:of|is) (\d{1,9}) (?:calendar )?days?\b"
    r"|\b(?:within|after|more than|over|past|older than|longer than) (\d{1,9}) (?:calendar )?days?(?! ago)\b"
)
_YEAR = re.compile(r"\b(?:since|in|from|of) ((?:19|20)\d\d)\b")
_WORDS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}


def check_dates(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """A date is that of a payment or today; `N days ago` is the age of a payment; `N-day` is a limit that decided."""
    for sentence in reading.sentences:
        plain = blank_ids(sentence, evidence.known_ids)
        about = named(sentence, evidence.facts.invoices) or evidence.facts.invoices
        for match in DATE.finditer(plain):
            if not _is_known_date(match, about, evidence):
                yield _issue("unbacked_date", "a date is in no fact")
        for match in _AGO.finditer(plain):
            if not _is_known_age(match, about, evidence):
                yield _issue("unbacked_age", "an age is not that of a payment")
        if any(not _is_known_period(match, evidence) for match in _PERIOD.finditer(plain)):
            yield _issue("unbacked_period", "a period is not one of the rules that decided")
        yield from _check_loose(blank(plain, (DATE,)), evidence)


def _dates(about: tuple[Invoice, ...], evidence: Evidence) -> set[date]:
    return {evidence.facts.now.date()} | {invoice.paid_at.date() for invoice in about if invoice.paid_at}


def _is_known_date(match: re.Match[str], about: tuple[Invoice, ...], evidence: Evidence) -> bool:
    known = _dates(about, evidence)
    if match["odd"]:
        return False
    if match["iso"]:
        year, month, day = (int(part) for part in match["iso"].split("-"))
        return any((d.year, d.month, d.day) == (year, month, day) for d in known)
    name, number = match["month"] or match["month2"], match["day"] or match["day2"]
    written = match["year"] or match["year2"]
    return any((d.month, d.day) == (month_number(name), int(number)) and written in (None, str(d.year)) for d in known)


def _is_known_age(match: re.Match[str], about: tuple[Invoice, ...], evidence: Evidence) -> bool:
    count = _WORDS.get(match[1]) if match[1] in _WORDS else int(match[1]) if match[1].isdigit() else None
    per = {"day": 1, "week": 7}.get(match[2])
    if count is None or per is None:
        return False
    return any(_age(invoice, evidence) in range(count * per, (count + 1) * per) for invoice in about if invoice.paid_at)


def _age(invoice: Invoice, evidence: Evidence) -> int:
    """Whole days since payment."""
    return (evidence.facts.now - invoice.paid_at).days if invoice.paid_at else -1


def _is_known_period(match: re.Match[str], evidence: Evidence) -> bool:
    days = int(next(group for group in match.groups() if group))
    # Only a rule's own limits count: an amount that happens to be 30 makes no 30-day window.
    return any(
        type(value) is int and value == days
        for reason in evidence.reasons
        for name, value in reason.facts.items()
        if name.startswith("limits.") and name.endswith("days")
    )


def _check_loose(plain: str, evidence: Evidence) -> Iterator[Issue]:
    if _YESTERDAY.search(plain):
        yield _issue("unbacked_date", "a date is too loose to be checked")
    years = {str(invoice.paid_at.year) for invoice in evidence.facts.invoices if invoice.paid_at}
    if any(match[1] not in years for match in _YEAR.finditer(plain)):
        yield _issue("unbacked_date", "a year is in no fact")


def _issue(code: str, message: str) -> Issue:
    return Issue(code=code, check="dates", message=message)
