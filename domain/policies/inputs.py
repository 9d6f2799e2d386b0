"""What rules may look at: typed, bounded, without anything personal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.confidence import certainty
from domain.facts import Account, Facts, History, Invoice
from domain.policies.cel import ConditionFailed
from domain.proposal import Proposal
from domain.values import Json

MAX_TEXT = 256
MAX_ITEMS = 50
MAX_DEPTH = 8
MAX_VALUES = 500
MAX_INVOICES = 25
"""`facts.get_billing` shows the latest ones; the invoice an action concerns is found among all."""

_INT64 = 2**63


@dataclass(frozen=True)
class Inputs:
    """Variables by dotted name. Made by `of`, so everything inside has passed the bounds."""

    variables: Mapping[str, object]

    @staticmethod
    def of(variables: Mapping[str, object]) -> "Inputs":
        """Raises `ConditionFailed` for text over 256 characters, lists over 50 items, integers beyond 64 bits, `NaN`,
        nesting over 8 levels (so also for cycles), and whatever is not plain data."""
        budget = [MAX_VALUES]
        for name, value in variables.items():
            if name != "now":
                _check(value, MAX_DEPTH, budget)
        return Inputs(dict(variables))

    def for_action(self, tool: str, arguments: Json, invoice: Invoice | None, facts: Facts) -> "Inputs":
        """The same, with one action in view. `arguments` have their Python names (`invoice_id`)."""
        seen = None if invoice is None else invoice_view(invoice, facts)
        action: Mapping[str, object] = {
            "action": {"tool": tool, "arguments": arguments},
            "action.tool": tool,
            "action.arguments": arguments,
            "facts.invoice": seen,
        }
        return Inputs({**self.variables, **Inputs.of(action).variables})


def inputs_of(
    proposal: Proposal, facts: Facts, *, actions: Sequence[str] = (), consequences: int = 0, amount: int = 0
) -> Inputs:
    """What a rule about the whole proposal sees. `actions` are the proposed tools that exist, `consequences` counts
    those that are not reads, `amount` is what they would pay out together, in minor units."""
    account = account_view(facts.account)
    billing = [invoice_view(invoice, facts) for invoice in facts.invoices[:MAX_INVOICES]]
    variables: dict[str, object] = {
        "action": None,
        "action.tool": "",
        "action.arguments": {},
        "actions": list(actions),
        "consequences": consequences,
        "amount": amount,
        "facts": {"get_account": account, "get_billing": billing},
        "facts.invoice": None,
        "facts.invoice_count": len(facts.invoices),
        "intent": proposal.intent.value,
        "confidence": certainty(proposal.confidence),
        "wants_human": proposal.wants_human,
        "now": facts.now,
    }
    variables.update({f"customer.{name}": value for name, value in account.items()})
    variables["customer.identity"] = facts.identity.kind.value
    variables.update({f"history.{name}": getattr(facts.history, name) for name in History.model_fields})
    return Inputs.of(variables)


def account_view(account: Account) -> dict[str, str]:
    """The account without its personal fields; what is unknown is the empty text."""
    return {
        "plan": account.plan.value,
        "status": account.status.value,
        "language": account.language or "",
        "region": account.region or "",
        "time_zone": account.time_zone or "",
    }


def invoice_view(invoice: Invoice, facts: Facts) -> dict[str, Any]:
    """An invoice without its description, which is free text. Amounts are minor units."""
    return {
        "id": invoice.id,
        "total": invoice.total.amount,
        "currency": invoice.total.currency,
        "status": invoice.status.value,
        "age_days": age_days(invoice, facts),
        "refundable": invoice.refundable.amount,
        "refunded": invoice.refunded,
        "in_flight": invoice.in_flight,
        "in_doubt": invoice.in_doubt,
        "in_flight_minutes": in_flight_minutes(invoice, facts),
    }


def age_days(invoice: Invoice, facts: Facts) -> int | None:
    """Days begun since payment: 30 until exactly thirty times 24 hours have passed, then 31. `None` if unpaid."""
    if invoice.paid_at is None:
        return None
    return -((invoice.paid_at - facts.now) // timedelta(days=1))


def in_flight_minutes(invoice: Invoice, facts: Facts) -> int:
    """For how many whole minutes the oldest refund of it is being carried out. 0 when none is."""
    if invoice.in_flight_since is None:
        return 0
    return max(0, (facts.now - invoice.in_flight_since) // timedelta(minutes=1))


def _check(value: object, depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if depth < 0 or budget[0] < 0:
        raise ConditionFailed("the inputs are too many or nested too deeply")
    if isinstance(value, Mapping):
        _check_size(len(value))
        for key, item in value.items():
            _check_scalar(key if isinstance(key, str) else object())
            _check(item, depth - 1, budget)
    elif isinstance(value, list | tuple):
        _check_size(len(value))
        for item in value:
            _check(item, depth - 1, budget)
    else:
        _check_scalar(value)


def _check_size(items: int) -> None:
    if items > MAX_ITEMS:
        raise ConditionFailed("a list or object in the inputs is too long")


def _check_scalar(value: object) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        fits = -_INT64 <= value < _INT64
    elif isinstance(value, float):
        fits = -float(_INT64) <= value <= float(_INT64)
    else:
        fits = isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()
    if not fits:
        raise ConditionFailed("a value in the inputs is out of bounds")
