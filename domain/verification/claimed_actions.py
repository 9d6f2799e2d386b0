"""A reply says that something was done only if that effect is confirmed."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from domain.decision import Issue
from domain.facts import Invoice
from domain.interaction import EffectState
from domain.values import MAX_MINOR_UNITS, AccountStatus, InvoiceStatus, Money
from domain.verification.amounts import money_in
from domain.verification.evidence import Evidence
from domain.verification.notation import DATE, blank, blank_ids, named
from domain.verification.reading import Reading
from domain.verification.spoken_actions import Spoken, spoken_actions

_REFUND_WORDS = re.compile(r"\b(?:refund|reimburs|money|payment|credit|amount)")
_PEOPLE = re.compile(
    r"\b(?:colleagues?|teams?|person|human|specialist|manager|agent|someone|supervisor|operator|support)\b"
)
_FULLY = re.compile(r"\b(?:fully|in full|full refund|entire|whole amount|complete refund|completely)\b")
_EARLIER = re.compile(r"\b(?:already|earlier|previous(?:ly)?|before|so far)\b")
_PARTLY = re.compile(r"\b(?:partially|partly|partial refund|in part)\b")
_MAY_HAVE_HAPPENED = frozenset(EffectState) - {EffectState.FAILED, EffectState.UNDONE}


def check_claimed_actions(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """Active, passive, past, perfect, in progress or in a bare word; also that something was *not* done."""
    for sentence in reading.sentences:
        for spoken in spoken_actions(sentence):
            if not _is_backed(_Claim(spoken, sentence, evidence)):
                yield Issue(
                    code="denied_action" if spoken.denied else "unconfirmed_action",
                    check="claimed_actions",
                    message="the reply says something about an action that its effect does not confirm",
                )


@dataclass(frozen=True)
class _Claim:
    spoken: Spoken
    sentence: str
    evidence: Evidence

    @property
    def invoices(self) -> tuple[Invoice, ...]:
        return named(self.sentence, self.evidence.facts.invoices)

    def confirmed(self, *tools: str) -> bool:
        return any(action.tool in tools for action in self.evidence.confirmed)

    def started(self, *tools: str) -> bool:
        states = {action.effect_state for action in self.evidence.done if action.tool in tools}
        return bool(states & _MAY_HAVE_HAPPENED)


def _is_backed(claim: _Claim) -> bool:
    return _JUDGES[_kind(claim)](claim)


def _kind(claim: _Claim) -> str:
    """What kind of action a verb means in this sentence. `other` is backed by a tool of that verb only."""
    kind, sentence = claim.spoken.kind, claim.sentence
    if kind == "transfer":
        return "handoff" if _PEOPLE.search(sentence) and not _REFUND_WORDS.search(sentence) else "refund"
    if kind == "issue":
        return "refund" if _REFUND_WORDS.search(sentence) else "ticket" if "ticket" in sentence else "other"
    if kind == "open":
        return "ticket" if re.search(r"\b(?:ticket|case|issue|report)\b", sentence) else "other"
    if kind == "send":
        return "refund" if _REFUND_WORDS.search(sentence) and "mail" not in sentence else "mail"
    return kind


def _refund_is_backed(claim: _Claim) -> bool:
    if claim.spoken.denied:
        earlier = any(i.refunded for i in (claim.invoices or claim.evidence.facts.invoices))
        return not claim.started("issue_refund") and (claim.spoken.by_us or not earlier)
    earlier_meant = _EARLIER.search(claim.sentence) is not None
    invoices = claim.invoices or (claim.evidence.facts.invoices if earlier_meant else ())
    named_all = all(_was_refunded(invoice, claim) for invoice in claim.invoices)
    some = any(_was_refunded(invoice, claim) for invoice in invoices) or bool(_moved(claim))
    touched = invoices or claim.evidence.facts.invoices
    return some and named_all and _amount_is_backed(claim) and _extent_is_backed(claim, touched)


def _moved(claim: _Claim) -> bool:
    return not claim.invoices and bool(claim.evidence.confirmed_refunds())


def _was_refunded(invoice: Invoice, claim: _Claim) -> bool:
    by_us = bool(claim.evidence.confirmed_refunds(invoice.id))
    return by_us or (not claim.spoken.by_us and not claim.spoken.in_progress and invoice.refunded > 0)


def _amount_is_backed(claim: _Claim) -> bool:
    """The first amount after the verb, else any, is one that was moved."""
    evidence = claim.evidence
    plain = blank(blank_ids(claim.sentence, evidence.known_ids), (DATE,))
    amounts = money_in(plain)
    after = [amount for amount in amounts if amount.start >= claim.spoken.position][:1]
    invoices = claim.invoices or evidence.facts.invoices
    moved = {a.money for a in evidence.confirmed_refunds() if a.money and _concerns(a.invoice_id, claim.invoices)}
    earlier = set() if claim.spoken.by_us else {money for i in invoices for money in _given_back(i, evidence)}
    of_these = {m for i in evidence.facts.invoices if evidence.confirmed_refunds(i.id) for m in evidence.amounts_of(i)}
    beside = not claim.spoken.by_us or all(amount.is_one_of(moved | of_these) for amount in amounts)
    return not amounts or (beside and any(amount.is_one_of(moved | earlier) for amount in (after or amounts)))


def _given_back(invoice: Invoice, evidence: Evidence) -> set[Money]:
    sums = {invoice.refunded, evidence.refunded(invoice)} - {0}
    return {Money(amount=n, currency=invoice.total.currency) for n in sums if n <= MAX_MINOR_UNITS}


def _concerns(invoice_id: str | None, invoices: tuple[Invoice, ...]) -> bool:
    return not invoices or any(invoice.id == invoice_id for invoice in invoices)


def _extent_is_backed(claim: _Claim, invoices: tuple[Invoice, ...]) -> bool:
    touched = [i for i in invoices if claim.evidence.refunded(i)]
    full = [max(i.refunded, claim.evidence.refunded(i)) >= i.total.amount for i in touched]
    if _FULLY.search(claim.sentence):
        return bool(full) and all(full)
    return not (_PARTLY.search(claim.sentence) and any(full))


def _ticket_is_backed(claim: _Claim) -> bool:
    return not claim.started("create_ticket") if claim.spoken.denied else claim.confirmed("create_ticket")


def _mail_is_backed(claim: _Claim) -> bool:
    return not claim.started("send_email") if claim.spoken.denied else claim.confirmed("send_email")


def _handoff_is_backed(claim: _Claim) -> bool:
    with_a_person = claim.evidence.handoff is not None or claim.confirmed("handoff_to_human")
    return not with_a_person if claim.spoken.denied else with_a_person


def _looking_is_backed(claim: _Claim) -> bool:
    return _handoff_is_backed(claim) or (not claim.spoken.denied and claim.confirmed("create_ticket"))


def _ending_is_backed(claim: _Claim) -> bool:
    """Cancelled, closed: facts may say so of an invoice or the account; we ourselves never did."""
    if claim.spoken.denied or claim.spoken.by_us or claim.spoken.in_progress:
        return claim.spoken.denied or _other_is_backed(claim)
    about = claim.invoices or (claim.evidence.facts.invoices if "invoice" in claim.sentence else ())
    if about:
        return all(invoice.status is InvoiceStatus.VOID for invoice in about)
    said = AccountStatus.SUSPENDED if claim.spoken.verb.startswith(("suspend", "deactivat")) else AccountStatus.CLOSED
    return (
        claim.evidence.facts.account.status is said
        and re.search(r"\b(?:account|subscription|membership)\b", claim.sentence) is not None
    )


def _charge_is_backed(claim: _Claim) -> bool:
    """`You were charged` says that an invoice was paid."""
    if claim.spoken.by_us or claim.spoken.in_progress:
        return False
    about = claim.invoices or claim.evidence.facts.invoices
    paid = any(invoice.status is InvoiceStatus.PAID for invoice in about)
    return paid != claim.spoken.denied


def _anything_is_backed(claim: _Claim) -> bool:
    return claim.spoken.denied or bool(claim.evidence.confirmed)


def _other_is_backed(claim: _Claim) -> bool:
    """A tool named after the verb backs it: `book_appointment` backs *booked*."""
    if claim.spoken.denied:
        return True
    stem = re.sub(r"(?:ied|ed|ing|en|e|t)$", "", claim.spoken.verb)
    verbs = {action.tool.split("_")[0] for action in claim.evidence.confirmed}
    return any(len(stem) >= 3 and verb.rstrip("ey").startswith(stem.rstrip("ei")) for verb in verbs)


_JUDGES: dict[str, Callable[[_Claim], bool]] = {
    "refund": _refund_is_backed,
    "ticket": _ticket_is_backed,
    "mail": _mail_is_backed,
    "handoff": _handoff_is_backed,
    "looking": _looking_is_backed,
    "ending": _ending_is_backed,
    "charge": _charge_is_backed,
    "anything": _anything_is_backed,
    "other": _other_is_backed,
}
