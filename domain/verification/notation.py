"""How amounts, dates and invoices are written in English text, and what they mean."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from domain.facts import Invoice
from domain.values import Money

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
_MONTH += r"|nov(?:ember)?|dec(?:ember)?)"
DATE = re.compile(
    r"\b(?P<iso>\d{4}-\d{1,2}-\d{1,2})(?:[t ]\d\d:\d\d(?::\d\d)?z?)?\b"
    rf"|\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<month>{_MONTH})\b\.?,?(?: (?P<year>\d{{4}})\b)?"
    rf"|\b(?P<month2>{_MONTH})\.? (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (?P<year2>\d{{4}})\b)?"
    r"|\b(?P<odd>\d{1,4}[/.]\d{1,2}[/.]\d{1,4})\b"
)
"""Dates in lower-case text. `odd` forms (03/04/2026) do not say which number is the month."""

_SIGNS: dict[str, str] = {"€": "EUR", "£": "GBP", "¥": "JPY CNY", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY"}
_DOLLARS = "USD CAD AUD NZD SGD HKD MXN"
_WORDS: dict[str, str] = {
    **dict.fromkeys(("euro", "euros"), "EUR"),
    **dict.fromkeys(("$", "dollar", "dollars", "buck", "bucks"), _DOLLARS),
    **{"us$": "USD", "ca$": "CAD", "a$": "AUD", "nz$": "NZD", "c$": "CAD", "s$": "SGD", "hk$": "HKD"},
    **dict.fromkeys(("pound", "pounds", "quid", "pounds sterling"), "GBP"),
    **dict.fromkeys(("franc", "francs", "fr", "sfr"), "CHF"),
    **dict.fromkeys(("krona", "kronor", "kroner", "krone", "kr"), "SEK NOK DKK ISK CZK"),
    **dict.fromkeys(("zloty", "zlotys"), "PLN"),
    **dict.fromkeys(("yen", "yuan"), "JPY CNY"),
    **dict.fromkeys(("rupee", "rupees"), "INR"),
    **dict.fromkeys(("cent", "cents", "eurocents"), "EUR " + _DOLLARS),
    **dict.fromkeys(("penny", "pence"), "GBP"),
    **_SIGNS,
}
_MINOR_WORDS = frozenset({"cent", "cents", "eurocents", "penny", "pence"})
_ISO = (
    "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW MAD MXN MYR NGN"
    " NOK NZD PEN PHP PLN QAR RON RSD RUB SAR SEK SGD THB TND TRY TWD UAH USD VND ZAR"
)
ISO_CODES = frozenset(_ISO.lower().split())
_CODE = "|".join(sorted((re.escape(w) for w in {*_WORDS, *ISO_CODES}), key=len, reverse=True))
_LEFT = re.compile(rf"(?<![a-z])({_CODE})[ :~-]{{0,2}}$")
_RIGHT = re.compile(rf"[ -]?({_CODE})(?![a-z])")
NUMBER = re.compile(r"\d{1,3}(?: \d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,']\d+)*")
CURRENCY_WORD = re.compile(rf"(?<![a-z])({_CODE})(?![a-z])")
_SCALE = re.compile(r" ?(?:k|m|mio|thousand|hundred|grand|million)\b")
_NEXT = re.compile(r" ?\d")
_GROUPED = re.compile(r"\d{1,3}(?:\.\d{3})+|\d{1,3}(?:,\d{3})+|\d{1,3}(?:'\d{3})+|\d{1,3}(?: \d{3})+|\d+")


@dataclass(frozen=True)
class Written:
    """A number as it stands in a text, at `start:end` with its currency."""

    start: int
    end: int
    number: str
    minor_units: int | None
    """None if it cannot be read exactly."""
    currencies: frozenset[str]
    """What the sign or word may mean; empty if none is written."""

    def is_one_of(self, allowed: Iterable[Money]) -> bool:
        return self.minor_units is not None and any(
            money.amount == self.minor_units and (not self.currencies or money.currency in self.currencies)
            for money in allowed
        )


def minor_units(number: str) -> int | None:
    """`1,234.50`, `1.234,50`, `1 234,5`, `49`: in hundredths. One separator before three digits groups thousands."""
    whole, _, fraction = number, "", ""
    match = re.fullmatch(r"(.*)[.,](\d{1,2})", number)
    if match:
        whole, fraction = match[1], match[2]
    if len(number) > 24 or not _GROUPED.fullmatch(whole):
        return None
    return int(re.sub(r"\D", "", whole)) * 100 + int(fraction.ljust(2, "0") or 0)


def numbers(text: str) -> Iterator[Written]:
    """Every number of a lower-case text, with the currency beside it if there is one."""
    for match in NUMBER.finditer(text):
        start, end = match.span()
        left, right = _LEFT.search(text[max(0, start - 20) : start]), _RIGHT.match(text, end, end + 20)
        beside = {found[1] for found in (left, right) if found}
        if left and right and _NEXT.match(text, right.end()):
            beside = {left[1]}  # the right one belongs to the next number
        currencies = [frozenset(_WORDS.get(word, word.upper()).split()) for word in beside]
        value = None if _SCALE.match(text, end) else minor_units(match[0])
        if value is not None and beside & _MINOR_WORDS:
            value = value // 100 if value % 100 == 0 else None
        first = start - (left.end() - left.start() if left else 0)
        last = right.end() if right else end
        yield Written(first, last, match[0], value, _agreed(currencies) if currencies else frozenset())


def _agreed(readings: list[frozenset[str]]) -> frozenset[str]:
    common = frozenset.intersection(*readings)
    return common or frozenset({"?"})  # two currencies on one number match nothing


def same_id(written: str, known: str) -> bool:
    """`INV-1001`, `inv 1001` and `1001` all name `inv_1001`: case, separators and a leading word do not matter."""
    one, other = _bare(written), _bare(known)
    return bool(one) and (one == other or (one.isdigit() and _tail_digits(known) == one))


def _bare(text: str) -> str:
    return re.sub(r"[\s_#-]", "", text.lower())


def _tail_digits(text: str) -> str:
    found = re.search(r"(?<!\d)\d{1,40}$", text)
    return found[0] if found else ""


def named(text: str, invoices: Iterable[Invoice]) -> tuple[Invoice, ...]:
    """The invoices a lower-case text names, in any of those spellings."""
    return tuple(i for i in invoices if _may_mention(text, i.id) and mention(i.id).search(text))


_OWN_ID = re.compile(r"[a-z]{3}_[0-9a-f]{32}")
"""An identifier we made: long and random, so it is only ever spelled one way."""


@lru_cache(maxsize=4096)
def mention(known: str) -> re.Pattern[str]:
    """Finds one identifier in lower-case text. One made of digits alone counts only where it is called an invoice."""
    parts = [re.escape(part) for part in re.split(r"[\s_-]+", known.lower()) if part]
    spelled = r"[\s_-]?".join(parts) if re.search(r"[^\W\d_]", known) else r"(?!)"
    digits = _tail_digits(known)
    number = rf"|(?<=invoice )(?:number |no |nr )?#?{digits}(?![\w-])|#{digits}(?![\w-])" if digits else ""
    return re.compile(rf"(?<![\w-])(?:{spelled})(?![\w-])(?![.@]\w){number}")


def blank_ids(text: str, known: Iterable[str]) -> str:
    """The lower-case text with every mention of these identifiers replaced by dashes of its own."""
    for one in known:
        if _OWN_ID.fullmatch(one):
            text = text.replace(one, "_" * len(one))
        elif _may_mention(text, one):
            text = blank(text, (mention(one),))
    return text


def _may_mention(text: str, known: str) -> bool:
    """Cheap, and never wrong when it says no: a pattern is worth building only for what may be there. Ids are new in
    every reply, so their patterns are built in every reply."""
    spelled = all(part in text for part in re.split(r"[\s_-]+", known.lower()))
    digits = _tail_digits(known)
    return spelled or bool(digits and digits in text and ("invoice" in text or "#" in text))


def month_number(name: str) -> int:
    return _MONTHS.index(name[:3]) + 1


def blank(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    """The text with every match replaced by as many dashes of its own, so that positions stay."""
    for pattern in patterns:
        text = pattern.sub(lambda match: "_" * len(match[0]), text)
    return text
