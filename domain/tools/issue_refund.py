"""Give money of one invoice back."""

from typing import Annotated

from pydantic import ConfigDict, StringConstraints

from domain.facts import Facts
from domain.ports import Ports
from domain.tools.tool import EffectClass, Risk, Tool, ToolCall
from domain.values import Currency, Json, MinorUnits, Money, Value


class IssueRefundArguments(Value):
    """All three are stated and none has a default: an approval covers exactly them."""

    model_config = ConfigDict(extra="forbid")

    invoice_id: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    amount: MinorUnits
    currency: Currency


def _money(arguments: IssueRefundArguments) -> Money:
    return Money(amount=arguments.amount, currency=arguments.currency)


def _subject(arguments: IssueRefundArguments) -> str:
    return arguments.invoice_id


async def _run(arguments: IssueRefundArguments, call: ToolCall, ports: Ports) -> Json:
    receipt = await ports.billing.refund(call.key, call.customer_id, arguments.invoice_id, _money(arguments))
    return {
        "refundId": receipt.refund_id,
        "invoiceId": receipt.invoice_id,
        "amount": receipt.amount.model_dump(mode="json"),
    }


def _preview(arguments: IssueRefundArguments, facts: Facts) -> Json:
    return {"invoiceId": arguments.invoice_id, "amount": _money(arguments).model_dump(mode="json")}


issue_refund = Tool(
    name="issue_refund",
    summary="Give back an amount of one paid invoice.",
    arguments=IssueRefundArguments,
    run=_run,
    effect=EffectClass.MONEY,
    idempotent=True,
    atomic=True,
    undo=None,
    risk=Risk.HIGH,
    money=_money,
    subject=_subject,
    preview=_preview,
)
"""Result: `{refundId, invoiceId, amount: {amount, currency}}`; a preview has no `refundId`.
Nothing takes a refund back."""
