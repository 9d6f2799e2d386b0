"""What the customer is told, from fixed sentences whose slots take verified facts only.

Every reply made here passes `verify_reply` on the same evidence, given that a handoff is open wherever a person is
spoken of. A draft by somebody else is only ever used for a decision that went through, and is checked like any text.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from domain.decision import Decision, Outcome
from domain.facts import Facts, Invoice
from domain.interaction import EffectState
from domain.refusals import refusal
from domain.values import Intent, InvoiceStatus, Money, Priority
from domain.verification.evidence import DoneAction
from domain.verification.promises import COLLEAGUE_REPLIES, THEY_REPLY

_MOST_INVOICES = 5
_GOOD = frozenset({EffectState.CONFIRMED, EffectState.PREVIEW})
# Reading has no effect; the mail carries this reply and so comes after it; a handoff is the workflow's own.
_NOT_REPORTED = frozenset({"get_account", "get_billing", "send_email", "handoff_to_human"})
_BEFORE_A_PERSON: dict[str, str] = {
    "customer_asked_for_human": "Of course.",
    "over_auto_limit": "A refund of this size needs a person's approval.",
    "over_cumulative_limit": "With your earlier refunds, this one needs a person's approval.",
    "low_confidence": "I want to be sure that I understand you correctly.",
    "account_not_active": "Your account needs a closer look first.",
    "identity_not_proven": "To protect your account, we have to be sure that it is you who asks.",
    "confirmation_missing": "This needs your explicit confirmation.",
}
_SORRY: dict[Intent, str] = {
    Intent.TECHNICAL_ISSUE: "I'm sorry about the trouble. ",
    Intent.COMPLAINT: "I'm sorry that this was not what you hoped for. ",
}
_WANTED: dict[Intent, str] = {Intent.REFUND_REQUEST: "your refund", Intent.CANCELLATION: "your cancellation"}


def compose_reply(
    decision: Decision, facts: Facts, done: Sequence[DoneAction], *, intent: Intent, draft: str | None
) -> str:
    """The reply to a decision after its actions were carried out. Deterministic; never empty.

    `done` has every action of the decision that does not itself carry the reply. One that is missing counts as unknown.
    A draft is used where the decision is *proceed* and nothing went wrong, since only then can it have known enough.
    """
    if decision.outcome is Outcome.REFUSE:
        return refusal(decision, facts)
    if decision.outcome is Outcome.ASK_HUMAN:
        return holding_reply(decision, decision.priority)
    states = [action.effect_state for action in done]
    if EffectState.FAILED in states or EffectState.UNDONE in states:
        return failed_reply(decision, facts, done)
    if _anything_open(decision, done):
        return unknown_reply(decision, facts, done)
    if draft and draft.strip():
        return draft.strip()
    return " ".join(_results(facts, done, intent)) or _ANSWERS.get(intent, _other)(facts)


DELAYED = f"Sorry: this takes us longer than it should. A colleague still has it. {THEY_REPLY}"


def holding_reply(decision: Decision, priority: Priority) -> str:
    """While a person looks. Says that somebody has it, not when: clocks are for operators."""
    why = next((_BEFORE_A_PERSON[r.code] for r in decision.reasons if r.code in _BEFORE_A_PERSON), "")
    passed = "I've passed this to a colleague" + (" as a priority." if priority.rank >= Priority.HIGH.rank else ".")
    return " ".join(part for part in (why, passed, THEY_REPLY) if part)


def operator_declined_reply(decision: Decision, said: str = "was reviewed and declined") -> str:
    """A person said no, or nobody said yes in time."""
    wanted = "refund request" if decision.intent is Intent.REFUND_REQUEST else "request"
    return f"Your {wanted} {said}. If you have more to tell us about it, please write to us here."


def failed_reply(decision: Decision, facts: Facts, done: Sequence[DoneAction]) -> str:
    """An effect certainly did not happen, and a person has it. What did happen is said first."""
    return _mixed_reply("I'm sorry, I wasn't able to complete {wanted}.", decision, facts, done)


def unknown_reply(decision: Decision, facts: Facts, done: Sequence[DoneAction]) -> str:
    """Nobody knows yet whether an effect happened, and a person is finding out: neither is claimed."""
    return _mixed_reply("I can't tell yet whether {wanted} went through.", decision, facts, done)


def _mixed_reply(sentence: str, decision: Decision, facts: Facts, done: Sequence[DoneAction]) -> str:
    good = _results(facts, done, decision.intent)
    wanted = "the rest of your request" if good else _WANTED.get(decision.intent, "your request")
    return " ".join((*good, sentence.format(wanted=wanted), holding_reply(Decision(), Priority.HIGH)))


def _anything_open(decision: Decision, done: Sequence[DoneAction]) -> bool:
    due = Counter(action.tool for action in decision.actions if action.tool not in _NOT_REPORTED)
    return any(action.effect_state not in _GOOD for action in done) or bool(due - Counter(a.tool for a in done))


def _results(facts: Facts, done: Sequence[DoneAction], intent: Intent) -> tuple[str, ...]:
    good = [action for action in done if action.effect_state in _GOOD]
    refunds = [_refunded(action, facts) for action in good if action.tool == "issue_refund"]
    tickets = [_ticket(action, intent) for action in good if action.tool == "create_ticket"]
    return (*refunds, *tickets)


def _refunded(action: DoneAction, facts: Facts) -> str:
    money, invoice = action.money, facts.invoice(action.invoice_id or "")
    what = f" {money}" if money else " your payment"
    reference = action.result.get("refundId")
    where = f" for invoice {invoice.id}" if invoice else ""
    return f"I've refunded{what}{where}." + (f" Your reference is {reference}." if _is_word(reference) else "")


def _ticket(action: DoneAction, intent: Intent) -> str:
    number = action.result.get("ticketId")
    named = f" {number}" if _is_word(number) else ""
    return f"{_SORRY.get(intent, '')}I've opened support ticket{named} for you. {COLLEAGUE_REPLIES}"


def _is_word(value: object) -> bool:
    return isinstance(value, str) and bool(value) and len(value) <= 64 and not any(ch.isspace() for ch in value)


def _account(facts: Facts) -> str:
    account = facts.account
    return f"Your account is {account.status.value} and on the {account.plan.value} plan."


def _billing(facts: Facts) -> str:
    if not facts.invoices:
        return "There is no invoice on your account."
    lines = [_line(invoice) for invoice in facts.invoices[:_MOST_INVOICES]]
    more = "\nOlder invoices are not listed here." if len(facts.invoices) > _MOST_INVOICES else ""
    return "Here is what I see on your account:\n" + "\n".join(lines) + more


def _line(invoice: Invoice) -> str:
    paid = invoice.status is InvoiceStatus.PAID and invoice.paid_at is not None
    status = f"paid on {invoice.paid_at:%Y-%m-%d}" if paid else invoice.status.value
    given = Money(amount=invoice.refunded, currency=invoice.total.currency)
    back = f", {given} of it refunded" if invoice.refunded else ""
    return f"- Invoice {invoice.id}: {invoice.total}, {status}{back}."


def _other(facts: Facts) -> str:
    return "Thank you for your message. Could you tell me a little more about what you need?"


_ANSWERS: dict[Intent, Callable[[Facts], str]] = {
    Intent.ACCOUNT_QUESTION: _account,
    Intent.BILLING_QUESTION: _billing,
    Intent.GREETING: lambda facts: "Hello! How can I help you?",
}
