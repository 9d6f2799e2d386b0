"""The support agent: refunds, questions, tickets, and knowing when a person should take over."""

from domain.agents.agent import ActionLimits, AgentSpec, Grant
from domain.confidence import Bands
from domain.facts import Facts, Invoice
from domain.policies import PolicyBook, inputs_of
from domain.proposal import Proposal, ProposedAction, Understanding
from domain.tools.tool import Risk
from domain.values import Intent, InvoiceStatus, Json

TICKETED = frozenset(
    {
        Intent.ORDER_STATUS,
        Intent.APPOINTMENT_BOOKING,
        Intent.APPOINTMENT_CHANGE,
        Intent.TECHNICAL_ISSUE,
        Intent.COMPLAINT,
    }
)
"""Requests that become a ticket."""
HANDED_OVER = frozenset({Intent.CANCELLATION, Intent.HUMAN_REQUEST})
"""Requests that become a person's."""


def propose(understanding: Understanding, facts: Facts) -> Proposal:
    """What the support agent suggests; suggesting nothing is an answer too.

    Claims of the message (invoice, amount) are passed on as claims: the rules decide whether they are true.
    """
    return Proposal(
        intent=understanding.intent,
        confidence=understanding.confidence,
        actions=_actions(understanding, facts),
        source=understanding.source,
        wants_human=understanding.wants_human,
    )


def _actions(understanding: Understanding, facts: Facts) -> tuple[ProposedAction, ...]:
    intent = understanding.intent
    if understanding.wants_human or intent in HANDED_OVER:
        reason = Intent.HUMAN_REQUEST if understanding.wants_human else intent
        return (_action("handoff_to_human", {"reason": reason.value}),)
    if intent is Intent.REFUND_REQUEST:
        refund = _refund(understanding, facts)
        return (refund, *_mail("refund_confirmation", understanding, facts)) if refund else ()
    if intent in TICKETED:
        return (_ticket(understanding, facts), *_mail("ticket_confirmation", understanding, facts))
    return ()


def _ticket(understanding: Understanding, facts: Facts) -> ProposedAction:
    asked = Proposal(intent=understanding.intent, confidence=understanding.confidence)
    priority, _ = PolicyBook.shipped().priority(inputs_of(asked, facts))
    return _action("create_ticket", {"topic": understanding.intent.value, "priority": priority.value})


def _mail(purpose: str, understanding: Understanding, facts: Facts) -> tuple[ProposedAction, ...]:
    wanted = facts.account.email and not understanding.opts_out
    return (_action("send_email", {"purpose": purpose}),) if wanted else ()


def _refund(understanding: Understanding, facts: Facts) -> ProposedAction | None:
    claimed = understanding.invoice_id
    invoice = _named(claimed, facts) if claimed else _likely(facts)
    if invoice is None and claimed is None:
        return None
    amount, currency = understanding.amount, understanding.currency
    own = invoice.total.currency if invoice else None
    return _action(
        "issue_refund",
        {
            "invoiceId": invoice.id if invoice else claimed,
            "amount": amount if amount is not None else _all_of(invoice),
            "currency": (currency if amount is not None else None) or own or currency or _usual_currency(facts),
        },
    )


def _all_of(invoice: Invoice | None) -> int:
    """What is left of it. Where all of it is in flight, that: asking for nothing would hide why there is nothing."""
    return 0 if invoice is None else invoice.refundable.amount or invoice.in_flight


def _named(claimed: str, facts: Facts) -> Invoice | None:
    """The customer's invoice meant by what they wrote: `INV-1001` is `inv_1001`. An exact match goes first."""
    exact = facts.invoice(claimed)
    alike = [invoice for invoice in facts.invoices if _plain(invoice.id) == _plain(claimed)]
    return exact or (alike[0] if len(alike) == 1 else None)


def _plain(invoice_id: str) -> str:
    return invoice_id.strip().casefold().replace("-", "_")


def _likely(facts: Facts) -> Invoice | None:
    """The invoice meant when none is named: the latest with something to give back, else the latest paid, else the
    latest. The later choices are proposed so that the rules can say why nothing comes back."""
    refundable = (invoice for invoice in facts.invoices if invoice.refundable.amount > 0)
    paid = (invoice for invoice in facts.invoices if invoice.status is InvoiceStatus.PAID)
    return next(refundable, None) or next(paid, None) or next(iter(facts.invoices), None)


def _usual_currency(facts: Facts) -> str:
    return facts.invoices[0].total.currency if facts.invoices else "EUR"


def _action(tool: str, arguments: Json) -> ProposedAction:
    return ProposedAction(tool=tool, arguments=arguments)


_TICKET = Grant(write=frozenset({"create_ticket", "send_email"}))

SUPPORT = AgentSpec(
    name="support",
    version=1,
    purpose="Answers customers' questions about their account and bills, refunds within policy, and opens tickets.",
    propose=propose,
    always=Grant(read=frozenset({"get_account", "get_billing"}), write=frozenset({"handoff_to_human"})),
    grants={
        Intent.REFUND_REQUEST: Grant(write=frozenset({"issue_refund", "send_email"})),
        **{intent: _TICKET for intent in sorted(TICKETED)},
    },
    bands=Bands(act_from={Risk.LOW: 0.5, Risk.MEDIUM: 0.6, Risk.HIGH: 0.7}, large_amount=10_000, act_from_large=0.8),
    limits=ActionLimits(per_minute=30, per_hour=200),
)
