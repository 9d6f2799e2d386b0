"""How the customer is told no: one sentence per reason, with verified facts only."""

from collections.abc import Callable

from domain.decision import Decision
from domain.facts import Facts, Invoice


def refusal(decision: Decision, facts: Facts) -> str:
    """The sentence for the first reason that has one."""
    for reason in decision.reasons:
        if reason.code in _REFUSALS:
            return _REFUSALS[reason.code](_invoice_of(decision, facts), facts, reason.facts.get("limits.window_days"))
    return "I'm sorry, I can't do this for you. If you have more to tell us about it, please write to us here."


def _invoice_of(decision: Decision, facts: Facts) -> Invoice | None:
    """The customer's own invoice the decision is about; never an id that somebody merely wrote."""
    for action in decision.actions:
        found = facts.invoice(str(action.arguments.get("invoiceId", action.arguments.get("invoice_id", ""))))
        if found:
            return found
    return None


def _name(invoice: Invoice | None) -> str:
    return f"invoice {invoice.id}" if invoice else "this invoice"


def _outside_window(invoice: Invoice | None, facts: Facts, window: object) -> str:
    limit = f"outside our {window}-day refund window" if type(window) is int else "outside our refund window"
    ago = f"it was paid {(facts.now - invoice.paid_at).days} days ago," if invoice and invoice.paid_at else "it is"
    return f"I'm sorry, I can't refund {_name(invoice)}: {ago} {limit}."


def _exceeds(invoice: Invoice | None, facts: Facts, window: object) -> str:
    left = f" At most {invoice.refundable} can still be refunded for {_name(invoice)}." if invoice else ""
    return f"I'm sorry, I can't refund this amount.{left}"


_ONE_RUNS = "one is already being carried out. Our answer to that request says how it ended."
_Refusal = Callable[[Invoice | None, Facts, object], str]
_REFUSALS: dict[str, _Refusal] = {
    "invoice_not_found": lambda i, f, w: (
        "I'm sorry, I can't find this invoice on your account. Please check the number."
    ),
    "invoice_void": lambda i, f, w: f"I'm sorry, I can't refund {_name(i)}: it is void.",
    "invoice_not_paid": lambda i, f, w: f"I'm sorry, I can't refund {_name(i)}: it has not been paid.",
    "already_refunded": lambda i, f, w: f"I'm sorry, I can't refund {_name(i)}: it has already been refunded.",
    "refund_in_progress": lambda i, f, w: f"I haven't started another refund of {_name(i)}: {_ONE_RUNS}",
    "outside_window": _outside_window,
    "currency_mismatch": lambda i, f, w: (
        f"I'm sorry, I can't refund this amount: {_name(i)} is in another currency."
        + (f" Its total is {i.total}." if i else "")
    ),
    "exceeds_refundable": _exceeds,
    "nothing_to_refund": lambda i, f, w: "I'm sorry, I can't find a payment on your account to refund.",
}
