"""Look up the customer's invoices."""

from collections.abc import Sequence

from pydantic import ConfigDict

from domain.facts import Facts, Invoice
from domain.ports import Ports
from domain.tools.tool import EffectClass, Tool, ToolCall
from domain.values import Json, Value


class GetBillingArguments(Value):
    """None: whose invoices they are comes from the call, never from arguments a model could choose."""

    model_config = ConfigDict(extra="forbid")


def _describe(invoices: Sequence[Invoice]) -> Json:
    return {
        "invoices": [
            {
                "id": invoice.id,
                "total": invoice.total.model_dump(mode="json"),
                "status": invoice.status.value,
                "paidAt": invoice.paid_at.isoformat() if invoice.paid_at else None,
                "refunded": invoice.refunded,
                "inFlight": invoice.in_flight,
                "refundable": invoice.refundable.amount,
            }
            for invoice in invoices
        ]
    }


async def _run(arguments: GetBillingArguments, call: ToolCall, ports: Ports) -> Json:
    return _describe(await ports.billing.get_billing(call.customer_id))


def _preview(arguments: GetBillingArguments, facts: Facts) -> Json:
    return _describe(facts.invoices)


get_billing = Tool(
    name="get_billing",
    summary="Look up the customer's invoices with what was paid, given back and is still refundable.",
    arguments=GetBillingArguments,
    run=_run,
    effect=EffectClass.READ,
    idempotent=True,
    preview=_preview,
)
"""Result: `{invoices: [{id, total, status, paidAt, refunded, inFlight, refundable}]}`, latest payment first; amounts
in minor units of the invoice's currency. Descriptions are not in it: they are free text."""
