"""Look up the customer's account."""

from pydantic import ConfigDict

from domain.facts import Account, Facts
from domain.ports import Ports
from domain.tools.tool import EffectClass, Tool, ToolCall
from domain.values import Json, Value


class GetAccountArguments(Value):
    """None: whose account it is comes from the call, never from arguments a model could choose."""

    model_config = ConfigDict(extra="forbid")


def _describe(account: Account) -> Json:
    return {
        "plan": account.plan.value,
        "status": account.status.value,
        "language": account.language,
        "timeZone": account.time_zone,
        "region": account.region,
        "hasEmail": account.email is not None,
        "hasPhone": account.phone is not None,
    }


async def _run(arguments: GetAccountArguments, call: ToolCall, ports: Ports) -> Json:
    return _describe(await ports.accounts.get_account(call.customer_id))


def _preview(arguments: GetAccountArguments, facts: Facts) -> Json:
    return _describe(facts.account)


get_account = Tool(
    name="get_account",
    summary="Look up the customer's plan, status and language.",
    arguments=GetAccountArguments,
    run=_run,
    effect=EffectClass.READ,
    idempotent=True,
    preview=_preview,
)
"""Result: `{plan, status, language, timeZone, region, hasEmail, hasPhone}`. Name, e-mail and phone are not in it."""
