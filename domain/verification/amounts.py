"""Every amount of money in a reply is one that facts or a confirmed result state, for the invoice it is said of."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

from domain.decision import Issue
from domain.facts import Invoice
from domain.values import Money
from domain.verification.evidence import Evidence
from domain.verification.notation import CURRENCY_WORD, DATE, Written, blank, blank_ids, named, numbers
from domain.verification.reading import Reading

_ABOUT_MONEY = re.compile(r"\b(?:refund|reimburs|credit|charg|paid|pay|owe|amount|total|balance|cost|price|money|back)")
_NUMBER_WORD = re.compile(
    r"\b(?:ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half|twice|double"
    r"|triple|quarter|third)\b"
)
_PERCENT = re.compile(r"\d ?%|\bper ?cent\b|\bpercentage\b")
_NOT_MONEY_AFTER = re.compile(
    r"(?:st|nd|rd|th)\b|:\d|%|[ -](?:(?:business|working|calendar) )?(?:day|week|month|year|hour|minute|second"
    r"|invoice|open|paid|unpaid|void|ticket|item|step|message|time|refunds)"
)
_NOT_MONEY_BEFORE = re.compile(r"(?:invoices?|ticket|number|no|nr|case|reference|step) #?$|#$|[a-z_]-?$|\d:$")
_LIST_NUMBER = re.compile(r"\d+[.)](?!\d)")
_SEGMENT = re.compile(r"[,;] | and | but | while |(?<=\)) ")
_MOST_PARTS = 40
_LABELS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:refundable|can (?:still )?be refunded|left to refund|remaining|still available)\b"), "left"),
    (re.compile(r"\balready (?:been )?(?:refunded|given back|returned)\b|\bof it refunded\b"), "refunded"),
    (re.compile(r"\b(?:outstanding|unpaid|still open|you owe|amount due|balance due)\b"), "due"),
)


def check_amounts(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """Any common notation is read; what looks like money and cannot be read is an issue too."""
    for sentence in reading.sentences:
        if _PERCENT.search(sentence):
            yield _issue("unbacked_percentage", "a percentage is in no fact")
        plain = blank(blank_ids(sentence, evidence.known_ids), (DATE,))
        amounts = money_in(plain)
        yield from _check_readable(plain, amounts, evidence)
        yield from _check_backed(sentence, amounts, evidence)


def money_in(plain: str) -> tuple[Written, ...]:
    """The numbers of one sentence that stand for money; identifiers and dates must have been blanked."""
    about_money = _ABOUT_MONEY.search(plain) is not None
    return tuple(n for n in numbers(plain) if n.currencies or _looks_like_money(plain, n, about_money))


def _looks_like_money(plain: str, number: Written, about_money: bool) -> bool:
    if number.start == 0 and _LIST_NUMBER.match(plain):
        return False
    if _NOT_MONEY_AFTER.match(plain, number.end) or _NOT_MONEY_BEFORE.search(plain[: number.start][-12:]):
        return False
    return about_money or re.search(r"[.,]\d\d$", number.number) is not None


def _check_readable(plain: str, amounts: tuple[Written, ...], evidence: Evidence) -> Iterator[Issue]:
    if any(amount.minor_units is None for amount in amounts):
        yield _issue("unreadable_amount", "an amount cannot be read exactly")
    known = {money.currency.lower() for money in evidence.amounts}
    attached = {position for amount in amounts for position in range(amount.start, amount.end)}
    for word in CURRENCY_WORD.finditer(plain):
        if word.start() not in attached and word[1] not in known and not _is_plain_word(word[1]):
            yield _issue("unreadable_amount", "a currency stands without an amount that can be read")
    if _ABOUT_MONEY.search(plain) and _NUMBER_WORD.search(plain):
        yield _issue("unreadable_amount", "an amount is written in words")


def _is_plain_word(word: str) -> bool:
    # Codes that are also English words ("try", "pen") mean money only beside a number.
    return word in {"try", "mad", "pen", "ron", "cop", "fr", "kr"}


def _check_backed(sentence: str, amounts: tuple[Written, ...], evidence: Evidence) -> Iterator[Issue]:
    if not amounts:
        return
    parts = _parts(sentence)
    sayable = [_sayable(sentence[a:b], sentence, evidence) for a, b in parts]
    starts = [a for a, _ in parts]
    for amount in amounts:
        allowed = sayable[bisect_right(starts, amount.start) - 1]
        if amount.minor_units is not None and not amount.is_one_of(allowed):
            yield _issue("unbacked_amount", "an amount differs from what facts and results say")


def _parts(sentence: str) -> list[tuple[int, int]]:
    """The parts of a list, each of which may speak of an invoice of its own."""
    cuts = [0, *(cut.end() for cut in _SEGMENT.finditer(sentence)), len(sentence)]
    parts = [(a, b) for a, b in pairwise(cuts) if a < b]
    return parts if len(parts) <= _MOST_PARTS else [(0, len(sentence))]


def _sayable(part: str, sentence: str, evidence: Evidence) -> frozenset[Money]:
    """What may stand in this part: amounts of the invoice it speaks of, of the kind it is said to be."""
    invoices = named(part, evidence.facts.invoices) or named(sentence, evidence.facts.invoices)
    kind = next((kind for pattern, kind in _LABELS if pattern.search(part)), None)
    if kind:
        return frozenset(_of_kind(invoice, kind, evidence) for invoice in invoices or evidence.facts.invoices)
    if not invoices:
        return evidence.amounts
    return frozenset(money for invoice in invoices for money in evidence.amounts_of(invoice))


def _of_kind(invoice: Invoice, kind: str, evidence: Evidence) -> Money:
    now = evidence.refunded(invoice)
    left = max(0, invoice.refundable.amount - (now - invoice.refunded))
    due = invoice.total.amount if invoice.status.value == "open" else 0
    return Money(amount={"left": left, "refunded": now, "due": due}[kind], currency=invoice.total.currency)


def _issue(code: str, message: str) -> Issue:
    return Issue(code=code, check="amounts", message=message)
