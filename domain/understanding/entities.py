"""Objects and amounts a message names. Claims, not facts: they say what is meant, never what is owed.

Every repetition in these patterns is bounded, so that no text makes them slow; a test holds them to it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from domain.understanding.text import normal
from domain.values import MAX_MINOR_UNITS

_INVOICE = re.compile(
    r"(?<![A-Za-z0-9_-])inv(?:[_-][A-Za-z0-9]|[0-9])(?:[A-Za-z0-9_-]{0,60}[A-Za-z0-9])?(?![A-Za-z0-9_])",
    re.IGNORECASE,
)

_CURRENCIES = {
    **{code: code for code in ("EUR", "USD", "GBP", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK")},
    **dict.fromkeys(("€", "EURO", "EUROS"), "EUR"),
    **dict.fromkeys(("$", "US$", "DOLLAR", "DOLLARS", "BUCK", "BUCKS"), "USD"),
    **dict.fromkeys(("£", "POUND", "POUNDS", "QUID"), "GBP"),
    **dict.fromkeys(("FRANC", "FRANCS"), "CHF"),
    **{"C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD"},
}
_DOLLARS = frozenset(["USD", "CAD", "AUD", "NZD"])
_CENTS = frozenset(["CENT", "CENTS"])
_UNREADABLE = frozenset(
    ["JPY", "¥", "YEN", "INR", "₹", "RUPEE", "RUPEES", "KR", "KRONER", "KRONOR", "CNY", "BRL", "MXN"]
)
"""Named money that is not hundredths of one known currency."""

_NAMES = sorted((*_CURRENCIES, *_CENTS, *_UNREADABLE), key=len, reverse=True)
_WORD = "|".join(name for name in _NAMES if name.isalpha())
_SIGN = "|".join(re.escape(name) for name in _NAMES if not name.isalpha())
_MARK = rf"(?:(?<![A-Za-z0-9_])(?:{_WORD})|{_SIGN})"

_NUMBER = re.compile(r"(?<![0-9])(?<![0-9][.,'/:\u2013-])[0-9][0-9.,'/:\u2013-]{0,40}")
_LEFT = re.compile(
    rf"(?=[\s\S]{{0,16}}\Z)((?<!\w)[-\u2212])?({_MARK})?\s?({_MARK})?\s?((?<!\w)[-\u2212])?\Z", re.IGNORECASE
)
_RIGHT = re.compile(rf"\s?({_WORD}|{_SIGN})(?![A-Za-z])", re.IGNORECASE)
_REACH = 16

_WHOLE = re.compile(r"[0-9]{1,13}")
_DECIMAL = re.compile(r"([0-9]{1,13})[.,]([0-9]{1,2})")
_GROUPED = re.compile(r"([1-9][0-9]{0,2}(?:([.,'])[0-9]{3})(?:\2[0-9]{3}){0,4})(?:(?!\2)[.,]([0-9]{2}))?")

_ELSEWHERE = re.compile(
    r"\b(?:half|partial(?:ly)?|(?:a |the )?(?:part|portion|third|quarter|rest|remainder|remaining|difference) of"
    r"|the (?:difference|rest|remainder)|pro-?rat(?:a|ed)|percent|thousand|hundred|million|everything"
    r"|all (?:of )?my invoices|euros?|dollars?|pounds?|quid|bucks|inv[_-][A-Za-z0-9_-]{61,64})\b",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:19|20)[0-9]{2}|[0-9]{1,4}(?:[/:\u2013-][0-9]{1,4}){1,2}|[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{2,4}")
_OTHERWISE = re.compile(
    r"\b(?:except|excluding|minus|less|without|besides|apart from|other than|(?:all|everything) but)(?: for)?\s?\Z",
    re.IGNORECASE,
)
"""What stands before an amount that is not the one meant: `all except`."""
_END_OF_RANGE = re.compile(rf"\s?(?:to|or|and)\s(?:{_MARK})?\s?[0-9]", re.IGNORECASE)
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_BEFORE_DAY = re.compile(rf"\b(?:{_MONTH})[a-z]{{0,6}}\.?\s(?:the\s)?\Z", re.IGNORECASE)
_AFTER_COUNT = re.compile(
    rf"\s?(?:st|nd|rd|th|x|times?|(?:more|business|working|full|whole|entire)?"
    rf"\s?(?:seconds?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)|h|am|pm|o'clock|stars?|(?:of\s)?(?:{_MONTH})[a-z]{{0,6}})\b",
    re.IGNORECASE,
)

Amount = tuple[int, str | None]


def find_invoice(text: str) -> str | None:
    """The first invoice token (`inv_1001`, `INV-1001`), as the customer wrote it. Nothing longer than 64 characters
    is one."""
    found = _INVOICE.search(normal(text))
    return found.group() if found else None


def find_amount(text: str) -> Amount | None:
    """The one amount the text names, in minor units, with its currency if it names one. A bare `$` reads as USD.

    `None` when there is no money in the text, and when there is but it cannot be read for sure: several different
    amounts, a sign, nothing, more than `MAX_MINOR_UNITS`, a currency without hundredths. `is_amount_unclear` tells
    the two apart. A number without a currency is no amount.
    """
    found = {number.amount for number in _numbers(text) if number.is_money}
    return found.pop() if len(found) == 1 else None


def is_amount_unclear(text: str) -> bool:
    """Whether the text says how much, or of what, in a way that `find_amount` and `find_invoice` cannot read: then
    nobody may conclude that all is meant. A time, a date and a rank are no amounts."""
    if find_amount(text) is not None:
        return False
    return _ELSEWHERE.search(normal(text)) is not None or any(n.is_money or not n.is_explained for n in _numbers(text))


@dataclass(frozen=True)
class _Number:
    is_money: bool
    amount: Amount | None = None
    is_explained: bool = False


def _numbers(text: str) -> Iterator[_Number]:
    plain = _INVOICE.sub(lambda found: "_" * len(found.group()), normal(text))
    for found in _NUMBER.finditer(plain):
        left = plain[max(0, found.start() - _REACH) : found.start()]
        right = plain[found.end() : found.end() + _REACH]
        yield _read(found.group(), left, right)


def _read(token: str, left: str, right: str) -> _Number:
    before = _LEFT.search(left)
    signs = [part for part in (before.groups() if before else ()) if part]
    after = _RIGHT.match(right)
    marks = [part.upper() for part in signs if part not in "-\u2212"] + ([after.group(1).upper()] if after else [])
    digits = token.rstrip(".,'/:\u2013-")
    if not marks:
        explained = _is_explained(digits, left, right)
        return _Number(is_money=not explained and bool(_END_OF_RANGE.match(right)), is_explained=explained)
    readable = len(signs) == len([part for part in signs if part not in "-\u2212"])
    words = left[: before.start()] if before else left
    whole = not _is_torn(digits, left, right, after is not None) and len(marks) <= 2 and not _OTHERWISE.search(words)
    return _Number(is_money=True, amount=_amount(digits, marks) if readable and whole else None)


def _is_torn(digits: str, left: str, right: str, currency_follows: bool) -> bool:
    """Whether the digits are only a part of what was written: `5k`, `50%`, `1 234,50`, `1e2`."""
    if re.search(r"[0-9][A-Za-z]\Z", left):
        return True
    if right[:1].isalnum() and not currency_follows:
        return True
    if re.match(r"\s?(?:%|[0-9]|k\b|m\b|mio\b|million|thousand|hundred)", right, re.IGNORECASE):
        return True
    return len(re.split(r"[.,']", digits)[0]) == 3 and re.search(r"[0-9]\s\Z", left) is not None


def _amount(digits: str, marks: list[str]) -> Amount | None:
    if any(mark in _UNREADABLE for mark in marks):
        return None
    if set(marks) & _CENTS:
        cents = int(digits) if _WHOLE.fullmatch(digits) and len(marks) == 1 else 0
        return _bounded(cents, None)
    named = {_CURRENCIES[mark] for mark in marks}
    if len(named) == 2 and named <= _DOLLARS and any(mark in {"$", "DOLLAR", "DOLLARS"} for mark in marks):
        named.discard("USD")
    return _bounded(_minor_units(digits), named.pop()) if len(named) == 1 else None


def _minor_units(digits: str) -> int:
    """Hundredths, or zero for what is not written as money. A single separator before three digits groups thousands:
    money has no third decimal."""
    if _WHOLE.fullmatch(digits):
        return int(digits) * 100
    if decimal := _DECIMAL.fullmatch(digits):
        return int(decimal[1]) * 100 + int(decimal[2].ljust(2, "0"))
    if grouped := _GROUPED.fullmatch(digits):
        return int(re.sub(r"[.,']", "", grouped[1])) * 100 + int(grouped[3] or 0)
    return 0


def _bounded(minor_units: int, currency: str | None) -> Amount | None:
    return (minor_units, currency) if 0 < minor_units <= MAX_MINOR_UNITS else None


def _is_explained(digits: str, left: str, right: str) -> bool:
    if re.search(r"[A-Za-z]\Z", left) or _DATE.fullmatch(digits):
        return True
    return _BEFORE_DAY.search(left) is not None or _AFTER_COUNT.match(right) is not None
