"""What no pack can loosen. Data may be stricter than this, never laxer: verdicts are composed by strictness."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from domain.decision import Outcome, Reason
from domain.errors import RequestInvalid
from domain.facts import Facts, History, Invoice
from domain.policies.verdict import Ruling
from domain.proposal import ProposedAction, Source
from domain.tools.tool import AnyTool, EffectClass
from domain.values import MAX_MINOR_UNITS, Json, Money, Value

MAX_ACTIONS = 10
"""More in one proposal is not a customer's wish."""
_MESSAGES = {
    "unknown_tool": "There is no such tool.",
    "arguments_invalid": "The arguments do not fit the tool.",
    "tool_not_allowed": "The agent may not use this tool for this kind of request.",
    "confirmation_missing": "The customer has not confirmed exactly this.",
    "invoice_not_found": "This customer has no such invoice.",
    "nothing_to_refund": "The amount is zero.",
    "amount_out_of_bounds": "The amount is not an amount of money.",
    "too_many_actions": "The proposal holds more actions than one interaction may have.",
    "several_money_actions": "The proposal moves money more than once.",
    "rate_of_actions": "Many actions in a short time.",
    "verification_failed": "The arguments are not backed by facts.",
    "customer_asked_for_human": "The customer asked for a person.",
    "low_confidence": "It is not clear enough what the customer wants.",
    "policy_error": "A rule had no answer for these facts.",
    "no_policy": "No policy says when this may pay out.",
}


@dataclass(frozen=True)
class ParsedAction:
    """A proposed action whose tool exists and whose arguments fit it."""

    tool: AnyTool
    arguments: Value
    money: Money | None
    subject: str | None

    @property
    def stored(self) -> Json:
        """As it is recorded, shown and executed: camelCase."""
        return self.arguments.model_dump(mode="json", by_alias=True)

    @property
    def visible(self) -> Json:
        """As rules see it: snake_case."""
        return self.arguments.model_dump(mode="json", by_alias=False)

    def invoice(self, facts: Facts) -> Invoice | None:
        """The customer's invoice this is about."""
        return None if self.subject is None else facts.invoice(self.subject)


def ruled(outcome: Outcome, code: str, **facts: Any) -> Ruling:
    """A ruling by an invariant: version 0, rule `invariants`."""
    reason = Reason(code=code, rule="invariants", message=_MESSAGES.get(code, ""), facts=facts)
    return Ruling(outcome=outcome, reason=reason)


def parse(action: ProposedAction, tools: Mapping[str, AnyTool]) -> ParsedAction | Ruling:
    """The action, typed; or a refusal: nobody, not even a person, can run what is no call of a known tool."""
    tool = tools.get(action.tool)
    if tool is None:
        return ruled(Outcome.REFUSE, "unknown_tool")
    try:
        arguments = tool.parse(action.arguments)
    except RequestInvalid:
        return ruled(Outcome.REFUSE, "arguments_invalid", tool=tool.name)
    return ParsedAction(tool, arguments, tool.money(arguments), tool.subject(arguments))


def check_grant(action: ParsedAction, read: Set[str], write: Set[str]) -> list[Ruling]:
    """The agent was given this tool for this intent; a tool with consequences cannot slip in as a reading one."""
    granted = write if action.tool.has_consequences else read | write
    return [] if action.tool.name in granted else [ruled(Outcome.REFUSE, "tool_not_allowed", tool=action.tool.name)]


def check_confirmation(action: ParsedAction, source: Source, confirmed: bool, required: Set[str]) -> list[Ruling]:
    """The customer said yes where the agent must ask first, and where somebody else's agent wants to move money."""
    foreign_money = source is Source.EXTERNAL and action.tool.effect is EffectClass.MONEY
    if confirmed or not (foreign_money or action.tool.name in required):
        return []
    return [ruled(Outcome.ASK_HUMAN, "confirmation_missing", tool=action.tool.name)]


def check_money(action: ParsedAction, facts: Facts, governed: bool) -> list[Ruling]:
    """Money moves in whole minor units from 1 up, on the customer's own invoice, and only where a pack spoke of it."""
    if action.tool.effect is not EffectClass.MONEY:
        return []
    found = []
    amount = action.money.amount if action.money else None
    if amount == 0:
        found.append(ruled(Outcome.REFUSE, "nothing_to_refund", tool=action.tool.name))
    elif not _is_amount(amount):
        found.append(ruled(Outcome.REFUSE, "amount_out_of_bounds", tool=action.tool.name))
    if action.subject is None or action.invoice(facts) is None:
        found.append(ruled(Outcome.REFUSE, "invoice_not_found", tool=action.tool.name))
    if not governed:
        found.append(ruled(Outcome.ASK_HUMAN, "no_policy", tool=action.tool.name))
    return found


def check_payments(actions: Sequence[ParsedAction]) -> list[Ruling]:
    """Splitting one payment into several does not avoid a limit: money moves once in a proposal, or a person looks."""
    payments = sum(action.tool.effect is EffectClass.MONEY for action in actions)
    return [ruled(Outcome.ASK_HUMAN, "several_money_actions", payments=payments)] if payments > 1 else []


def check_rate(consequences: int, history: History, per_minute: int, per_hour: int) -> list[Ruling]:
    """The agent's own ceiling on what happens to one customer in a short time."""
    minute, hour = history.actions_last_minute + consequences, history.actions_last_hour + consequences
    if consequences == 0 or (minute <= per_minute and hour <= per_hour):
        return []
    return [ruled(Outcome.ASK_HUMAN, "rate_of_actions", last_minute=minute, last_hour=hour)]


def _is_amount(amount: object) -> bool:
    return isinstance(amount, int) and not isinstance(amount, bool) and 1 <= amount <= MAX_MINOR_UNITS
