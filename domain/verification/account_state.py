"""What a reply says about plan, account and invoices is what facts say."""

import re
from collections.abc import Iterator, Sequence

from domain.decision import Issue
from domain.facts import Invoice
from domain.values import AccountStatus, InvoiceStatus
from domain.verification.evidence import Evidence
from domain.verification.notation import named
from domain.verification.reading import Reading, negated

_PLAN = r"(free|pro|professional|enterprise|premium|basic|business|starter|standard|team|plus|gold|silver|trial)"
_PLAN_KIND = r"(?:plan|subscription|tier|account|customer|user|member|membership|licen[cs]e|edition|package)"
_PLANS = (
    re.compile(rf"\b{_PLAN}[ -]{_PLAN_KIND}\b"),
    re.compile(rf"\b(?:plan|subscription|tier)(?: is|:| -)(?: (?:currently|now|the|our|a|called|still))* {_PLAN}\b"),
    re.compile(rf"\b(?:on|to|have|using|subscribed to|part of)(?: (?:the|our|a))? {_PLAN}\b(?! (?:to|of|from|for)\b)"),
)
_ACCOUNT_WORDS: dict[str, AccountStatus | None] = {
    **dict.fromkeys(("active", "enabled", "open", "in good standing", "up and running"), AccountStatus.ACTIVE),
    **dict.fromkeys(("suspended", "blocked", "locked", "disabled", "deactivated", "frozen"), AccountStatus.SUSPENDED),
    **dict.fromkeys(("paused", "on hold", "restricted", "inactive"), AccountStatus.SUSPENDED),
    **dict.fromkeys(("closed", "terminated", "deleted", "cancelled", "canceled"), AccountStatus.CLOSED),
    **dict.fromkeys(("reactivated", "restored", "unlocked", "reopened", "verified", "expired", "past due"), None),
}
_ACCOUNT_WORD = "|".join(sorted(_ACCOUNT_WORDS, key=len, reverse=True))
_ADVERBS = r"(?: (?:currently|now|already|still|also|fully|not|been|just|both|all|marked as|as))*"
_BE = r"(?: (?:is|was|are|were|has|have|isn't|hasn't|wasn't|status(?: is)?|shows|remains)|:|'s)"
_ACCOUNT = (
    re.compile(rf"\b(?:account|subscription|membership){_BE}{_ADVERBS} ({_ACCOUNT_WORD})\b"),
    re.compile(rf"\b({_ACCOUNT_WORD}) (?:account|subscription|membership)\b"),
)
_RECEIVED = tuple(f"received {word}payment" for word in ("", "a ", "the ", "any ", "your "))
_INVOICE_WORDS: dict[str, InvoiceStatus | None] = {
    **dict.fromkeys(("paid", "settled", "paid in full", *_RECEIVED), InvoiceStatus.PAID),
    **dict.fromkeys(("unpaid", "open", "outstanding", "due", "pending", "owed", "owe"), InvoiceStatus.OPEN),
    **dict.fromkeys(("void", "voided", "cancelled", "canceled"), InvoiceStatus.VOID),
    # No fact says these, so nothing backs them.
    **dict.fromkeys(("overdue", "past due", "late", "disputed", "written off", "failed", "declined"), None),
}
_INVOICE_WORD = re.compile(rf"\b({'|'.join(sorted(_INVOICE_WORDS, key=len, reverse=True))})\b")
_OTHER_OBJECT = re.compile(r"\b(?:ticket|request|handoff|case)\b")
_LIFE = re.compile(
    r"\b(?:subscription|membership|contract|account|plan|trial) (?:\w+ )?"
    r"(?:ends?|ended|expires?|expired|renews?|renewed|stops?)\b"
    r"|\b(?:overdue|past due|in arrears|late fees?)\b"
    r"|\bno longer have (?:a|an|any) (?:subscription|membership|contract|account|plan)\b"
)
_COUNT = re.compile(
    r"\b(\d+|no|one|two|three|four|five)(?: (open|unpaid|outstanding|paid|void))? invoices?\b(?! \w*\d)"
)
_WORD_NUMBERS = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_INVOICE_SPLIT = re.compile(r"[,;] (?:and |but )?| and | but | while ")
_SOME = re.compile(r"\b(?:an|one|some|another|\d+|two|three|four|five)(?: \w+)? invoices?\b")
_LATEST = re.compile(r"\b(?:latest|last|most recent|newest)\b")


def check_account_state(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """Plans, account status, invoice status and how many invoices there are."""
    for sentence in reading.sentences:
        yield from _check_plan(sentence, evidence)
        yield from _check_account(sentence, evidence)
        yield from _check_count(sentence, evidence)
        yield from _check_invoices(sentence, evidence)


def _check_plan(sentence: str, evidence: Evidence) -> Iterator[Issue]:
    plan = evidence.facts.account.plan.value
    for pattern in _PLANS:
        for match in pattern.finditer(sentence):
            said = {"professional": "pro"}.get(match[1], match[1])
            if (said == plan) == negated(sentence, match.start(1)):
                yield _issue("plan_differs", "the plan is another one")


def _check_account(sentence: str, evidence: Evidence) -> Iterator[Issue]:
    status = evidence.facts.account.status
    if _LIFE.search(sentence):
        yield _issue("account_term_unknown", "no fact says when a subscription ends or renews")
    for pattern in _ACCOUNT:
        for match in pattern.finditer(sentence):
            if (_ACCOUNT_WORDS[match[1]] is status) == negated(sentence, match.start(1)):
                yield _issue("account_status_differs", "the account's status is another one")


def _check_count(sentence: str, evidence: Evidence) -> Iterator[Issue]:
    for match in _COUNT.finditer(sentence):
        wanted = _INVOICE_WORDS.get(match[2]) if match[2] else None
        actual = sum(1 for i in evidence.facts.invoices if wanted is None or i.status is wanted)
        said = _WORD_NUMBERS[match[1]] if match[1] in _WORD_NUMBERS else int(match[1][:9])
        # "One invoice is open" may be one of several.
        if said != actual and not (match[1] == "one" and actual > 1):
            yield _issue("invoice_count_differs", "the number of invoices is another one")


def _check_invoices(sentence: str, evidence: Evidence) -> Iterator[Issue]:
    if "invoice" not in sentence and not named(sentence, evidence.facts.invoices):
        return
    for segment in _segments(sentence, evidence):
        for match in _INVOICE_WORD.finditer(segment):
            if _is_about_invoices(segment, match) and not _holds(segment, sentence, match, evidence):
                yield _issue("invoice_status_differs", "the invoice's status is another one")


def _segments(sentence: str, evidence: Evidence) -> Sequence[str]:
    """Parts of a list, if the sentence speaks of several invoices; else the whole."""
    if len(named(sentence, evidence.facts.invoices)) < 2:
        return (sentence,)
    return _INVOICE_SPLIT.split(sentence)


def _is_about_invoices(segment: str, match: re.Match[str]) -> bool:
    before = segment[max(0, match.start() - 40) : match.start()].rstrip()
    other = _OTHER_OBJECT.search(before) or re.search(r"\b(?:account|subscription|membership)\b[^,;]*$", before)
    counted = _COUNT.search(segment[max(0, match.start() - 8) : match.end() + 12])
    return other is None and counted is None and not re.search(r"\b(?:if|until|once|when|be|only)$", before)


def _holds(segment: str, sentence: str, match: re.Match[str], evidence: Evidence) -> bool:
    wanted = _INVOICE_WORDS[match[1]]
    denied = negated(segment, match.start())
    about = _invoices_meant(segment, sentence, evidence)
    truths = [(invoice.status is wanted) != denied for invoice in about]
    if wanted is None or not truths:
        return denied
    return any(truths) if _SOME.search(segment) and not named(segment, about) else all(truths)


def _invoices_meant(segment: str, sentence: str, evidence: Evidence) -> Sequence[Invoice]:
    invoices = evidence.facts.invoices
    meant = named(segment, invoices) or named(sentence, invoices)
    if meant:
        return meant
    return invoices[:1] if _LATEST.search(segment) else invoices


def _issue(code: str, message: str) -> Issue:
    return Issue(code=code, check="account_state", message=message)
