"""`judge`: what is composed, in which order it is explained, and that nothing but a yes is a yes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.agents import SUPPORT
from domain.decision import Decision, Issue, Outcome, Reason, asking
from domain.digest import action_digest
from domain.facts import Account, Facts, History, Invoice
from domain.judgement import judge
from domain.policies import PolicyBook, pack_of
from domain.ports import Ports
from domain.proposal import Proposal, ProposedAction, Source
from domain.tools.tool import AnyTool, EffectClass, Risk, Tool, ToolCall
from domain.values import (
    AccountStatus,
    Currency,
    CustomerId,
    Intent,
    InvoiceStatus,
    Json,
    MinorUnits,
    Money,
    Plan,
    Priority,
    Value,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAN: Any = float("nan")
BOOK = PolicyBook.shipped()
PROCEED, ASK, REFUSE = Outcome.PROCEED, Outcome.ASK_HUMAN, Outcome.REFUSE


class Refund(Value):
    invoice_id: str
    amount: MinorUnits
    currency: Currency


class Ticket(Value):
    topic: str
    priority: Priority = Priority.NORMAL


class Mail(Value):
    purpose: str


class Handoff(Value):
    reason: str


class Nothing(Value):
    pass


async def run(_arguments: Value, _call: ToolCall, _ports: Ports) -> Json:
    return {}


def tool(name: str, arguments: type[Any], effect: EffectClass = EffectClass.WRITE, **more: Any) -> AnyTool:
    return Tool(name=name, summary=name, arguments=arguments, run=run, effect=effect, **more)


REFUND_TOOL = tool(
    "issue_refund",
    Refund,
    EffectClass.MONEY,
    risk=Risk.HIGH,
    money=lambda a: Money(amount=a.amount, currency=a.currency),
    subject=lambda a: a.invoice_id,
)
TOOLS: dict[str, AnyTool] = {
    t.name: t
    for t in (
        REFUND_TOOL,
        tool("create_ticket", Ticket),
        tool("send_email", Mail, outlet=True),
        tool("handoff_to_human", Handoff),
        tool("get_account", Nothing, EffectClass.READ),
        tool("get_billing", Nothing, EffectClass.READ),
    )
}


def backed(_action: ProposedAction, _facts: Facts) -> Sequence[Issue]:
    return ()


def doubted(action: ProposedAction, _facts: Facts) -> Sequence[Issue]:
    return (Issue(code="amount_unbacked", check="amounts"),) if action.tool == "issue_refund" else ()


def call(name: str, **arguments: Any) -> ProposedAction:
    return ProposedAction(tool=name, arguments=arguments)


def refund(amount: object = 4900, invoice_id: str = "inv_1", currency: str = "EUR") -> ProposedAction:
    return call("issue_refund", invoiceId=invoice_id, amount=amount, currency=currency)


MAIL = call("send_email", purpose="refund_confirmation")
TICKET = call("create_ticket", topic="complaint")


def proposal(*actions: ProposedAction, intent: Intent = Intent.REFUND_REQUEST, **more: Any) -> Proposal:
    return Proposal.model_validate({"intent": intent, "confidence": 0.93, "actions": actions, **more})


def facts_of(*, plan: str = "pro", status: str = "active", age: int = 5, invoices: int = 1, **history: int) -> Facts:
    paid = tuple(
        Invoice(
            id=f"inv_{number}",
            total=Money(amount=50_000, currency="EUR"),
            status=InvoiceStatus.PAID,
            paid_at=NOW - timedelta(days=age),
        )
        for number in range(1, invoices + 1)
    )
    account = Account(customer_id=CustomerId("cust_1"), plan=Plan(plan), status=AccountStatus(status), name="Ada")
    return Facts(now=NOW, account=account, invoices=paid, history=History(**history))


FACTS = facts_of()


def decide(
    wanted: Proposal,
    facts: Facts = FACTS,
    *,
    book: PolicyBook = BOOK,
    tools: Mapping[str, AnyTool] = TOOLS,
    verify: Callable[[ProposedAction, Facts], Sequence[Issue]] = backed,
) -> Decision:
    return judge(wanted, facts, book=book, tools=tools, agent=SUPPORT, verify=verify)


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


CASES: list[tuple[str, Proposal, Facts, Outcome, list[str]]] = [
    ("a refund within the limit", proposal(refund(), MAIL), FACTS, PROCEED, ["within_limit"]),
    ("a refund over the limit", proposal(refund(10_001), MAIL), FACTS, ASK, ["over_auto_limit"]),
    ("a refund too late", proposal(refund(), MAIL), facts_of(age=60), REFUSE, ["outside_window"]),
    ("a foreign invoice", proposal(refund(0, "inv_9")), FACTS, REFUSE, ["invoice_not_found"]),
    ("zero", proposal(refund(0)), FACTS, REFUSE, ["nothing_to_refund"]),
    ("a closed account", proposal(refund()), facts_of(status="closed"), ASK, ["account_not_active"]),
    ("no invoice", proposal(), facts_of(invoices=0), REFUSE, ["nothing_to_refund"]),
    ("no invoice, suspended", proposal(), facts_of(invoices=0, status="suspended"), ASK, ["account_not_active"]),
    ("nothing proposed", proposal(), FACTS, ASK, ["nothing_proposed"]),
    ("a question", proposal(intent=Intent.BILLING_QUESTION), FACTS, PROCEED, ["no_consequences"]),
    (
        "a question when suspended",
        proposal(intent=Intent.GREETING),
        facts_of(status="suspended"),
        PROCEED,
        ["no_consequences"],
    ),
    ("a ticket", proposal(TICKET, MAIL, intent=Intent.COMPLAINT), FACTS, PROCEED, ["tool_allowed"]),
    (
        "a ticket when suspended",
        proposal(TICKET, intent=Intent.COMPLAINT),
        facts_of(status="suspended"),
        ASK,
        ["account_not_active"],
    ),
    (
        "an enterprise complaint",
        proposal(TICKET, intent=Intent.COMPLAINT),
        facts_of(plan="enterprise"),
        ASK,
        ["enterprise_complaint"],
    ),
    ("unsure", proposal(refund(), confidence=0.69), FACTS, ASK, ["low_confidence"]),
    ("just sure enough", proposal(refund(), confidence=0.7), FACTS, PROCEED, ["within_limit"]),
    ("unsure what it is", proposal(intent=Intent.OTHER, confidence=0.2), FACTS, ASK, ["low_confidence"]),
    ("wants a person", proposal(refund(), wants_human=True), FACTS, ASK, ["customer_asked_for_human"]),
    (
        "a human request",
        proposal(call("handoff_to_human", reason="x"), intent=Intent.HUMAN_REQUEST),
        FACTS,
        ASK,
        ["customer_asked_for_human"],
    ),
    (
        "a cancellation",
        proposal(call("handoff_to_human", reason="x"), intent=Intent.CANCELLATION),
        FACTS,
        ASK,
        ["handoff_proposed"],
    ),
    ("one escalation", proposal(refund()), facts_of(escalations_in_period=1), PROCEED, ["within_limit"]),
    ("two escalations", proposal(refund()), facts_of(escalations_in_period=2), ASK, ["recent_escalations"]),
    ("at the rate", proposal(refund(), MAIL), facts_of(actions_last_minute=18), PROCEED, ["within_limit"]),
    ("over the rate", proposal(refund(), MAIL), facts_of(actions_last_minute=19), ASK, ["rate_of_actions"]),
    ("over the hourly rate", proposal(refund(), MAIL), facts_of(actions_last_hour=99), ASK, ["rate_of_actions"]),
    (
        "a question over the rate",
        proposal(intent=Intent.GREETING),
        facts_of(actions_last_minute=999),
        PROCEED,
        ["no_consequences"],
    ),
    ("an unknown tool", proposal(refund(), call("wire_money")), FACTS, REFUSE, ["unknown_tool"]),
    ("a tool for another intent", proposal(refund(), intent=Intent.GREETING), FACTS, REFUSE, ["tool_not_allowed"]),
    ("two refunds", proposal(refund(5000), refund(5000)), FACTS, ASK, ["several_money_actions"]),
    ("eleven actions", proposal(*[MAIL] * 11), FACTS, REFUSE, ["too_many_actions"]),
    ("foreign and unconfirmed", proposal(refund(), source="external"), FACTS, ASK, ["confirmation_missing"]),
    (
        "foreign and confirmed",
        proposal(refund(), intent=Intent.OTHER, confidence=0, source="external", confirmed=True),
        FACTS,
        PROCEED,
        ["within_limit"],
    ),
    (
        "foreign, confirmed, over the limit",
        proposal(refund(10_001), source="external", confirmed=True),
        FACTS,
        ASK,
        ["over_auto_limit"],
    ),
    (
        "a model says confirmed",
        proposal(refund(), intent=Intent.OTHER, source="model", confirmed=True),
        FACTS,
        REFUSE,
        ["tool_not_allowed"],
    ),
    (
        "a model is unsure but says confirmed",
        proposal(refund(), confidence=0, source="model", confirmed=True),
        FACTS,
        ASK,
        ["low_confidence"],
    ),
]


@pytest.mark.parametrize(("wanted", "facts", "outcome", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_proposal_is_judged(wanted: Proposal, facts: Facts, outcome: Outcome, expected: list[str]) -> None:
    decision = decide(wanted, facts)
    assert (decision.outcome, codes(decision)) == (outcome, expected)
    assert all(action.outcome is outcome for action in decision.actions)
    assert decision.policy_version == 1


@pytest.mark.parametrize(
    "amount", [True, 1.0, 49.0, -1, 10**12 + 1, 2**63, 10**400, float("nan"), float("inf"), "4900", None, [1], {}]
)
def test_what_is_no_amount_is_refused(amount: object) -> None:
    decision = decide(proposal(refund(amount), MAIL))
    assert (decision.outcome, codes(decision)) == (REFUSE, ["arguments_invalid"])
    assert decision.actions[0].arguments == {}


def test_several_objections_are_told_strictest_first() -> None:
    decision = decide(proposal(refund(), confidence=0.1), facts_of(age=60, escalations_in_period=5))
    assert decision.outcome is REFUSE
    assert codes(decision) == ["outside_window", "low_confidence", "recent_escalations"]
    assert [(r.rule, r.version) for r in decision.reasons] == [("refund", 1), ("invariants", 0), ("escalation", 1)]


@pytest.mark.parametrize(
    ("amount", "outcome", "expected"),
    [
        (4900, ASK, ["verification_failed"]),
        (10_001, ASK, ["over_auto_limit", "verification_failed"]),
    ],
)
def test_an_argument_that_facts_do_not_back_never_proceeds(amount: int, outcome: Outcome, expected: list[str]) -> None:
    decision = decide(proposal(refund(amount), MAIL), verify=doubted)
    assert (decision.outcome, codes(decision)) == (outcome, expected)
    assert [issue.code for issue in decision.issues] == ["amount_unbacked"]


def test_a_no_of_the_policy_says_only_why_and_needs_no_verification() -> None:
    decision = decide(proposal(refund(50_001), MAIL), verify=doubted)
    assert (decision.outcome, codes(decision)) == (REFUSE, ["exceeds_refundable"])


def test_a_person_asked_for_is_reached_without_the_refused_action() -> None:
    decision = decide(proposal(refund(), TICKET, wants_human=True), facts_of(age=60))
    assert decision.outcome is ASK
    assert codes(decision)[0] == "customer_asked_for_human"
    assert "outside_window" in codes(decision)
    assert decision.actions == ()


def test_actions_keep_their_json_names_and_are_bound_by_digest() -> None:
    decision = decide(proposal(call("issue_refund", invoice_id="inv_1", amount=4900, currency="EUR"), MAIL))
    action = decision.actions[0]
    assert action.arguments == {"invoiceId": "inv_1", "amount": 4900, "currency": "EUR"}
    assert action.digest == action_digest(
        "issue_refund", action.arguments, customer_id=CustomerId("cust_1"), policy_version=1
    )


def test_the_version_is_the_one_of_the_pack_that_decided() -> None:
    newer = BOOK.pack("refund").model_copy(update={"version": 7})
    assert decide(proposal(refund()), book=BOOK.replacing(newer)).policy_version == 7
    escalated = decide(proposal(refund()), facts_of(escalations_in_period=2), book=BOOK.replacing(newer))
    assert escalated.policy_version == 1
    unsure = decide(proposal(refund(), confidence=0), book=BOOK.replacing(newer))
    assert unsure.policy_version == 7


def test_money_that_no_pack_speaks_of_asks_a_human() -> None:
    silent = pack_of({"subject": "refund", "version": 1, "tools": ["issue_refund"], "default": {"outcome": "proceed"}})
    for book in (PolicyBook([]), PolicyBook([silent])):
        decision = decide(proposal(refund()), book=book)
        assert (decision.outcome, codes(decision)) == (ASK, ["no_policy"])


def test_a_pack_cannot_loosen_what_code_forbids() -> None:
    open_gate = {"id": "all", "when": "true", "then": {"outcome": "proceed", "code": "fine"}}
    lax = pack_of({"subject": "refund", "version": 1, "tools": ["issue_refund", "wire_money"], "rules": [open_gate]})
    book = PolicyBook([lax])
    for wanted, code in [
        (proposal(refund(0)), "nothing_to_refund"),
        (proposal(refund(1, "inv_9")), "invoice_not_found"),
        (proposal(call("wire_money")), "unknown_tool"),
        (proposal(refund(), intent=Intent.GREETING), "tool_not_allowed"),
        (proposal(refund(-1)), "arguments_invalid"),
    ]:
        decision = decide(wanted, book=book)
        assert (decision.outcome, decision.reasons[0].code) == (REFUSE, code)
    assert decide(proposal(refund()), book=book).outcome is PROCEED


def test_a_pack_can_be_stricter_than_the_shipped_ones() -> None:
    closed = {"id": "all", "when": "true", "then": {"outcome": "refuse", "code": "never"}}
    strict = pack_of({"subject": "closed", "version": 5, "tools": ["issue_refund"], "rules": [closed]})
    decision = decide(proposal(refund()), book=PolicyBook([*BOOK, strict]))
    assert (decision.outcome, codes(decision), decision.policy_version) == (REFUSE, ["never"], 5)


def test_the_ceiling_of_the_agent_holds_without_a_pack() -> None:
    book = PolicyBook([BOOK.pack("refund")])
    assert decide(proposal(refund()), facts_of(actions_last_minute=29), book=book).outcome is PROCEED
    assert codes(decide(proposal(refund()), facts_of(actions_last_minute=30), book=book)) == ["rate_of_actions"]
    assert codes(decide(proposal(refund()), facts_of(actions_last_hour=200), book=book)) == ["rate_of_actions"]


def test_a_tool_that_must_be_confirmed_asks_until_it_is() -> None:
    careful = replace(SUPPORT, confirm=frozenset({"create_ticket"}))
    wanted = proposal(TICKET, intent=Intent.COMPLAINT)
    for confirmed, outcome in ((False, ASK), (True, PROCEED)):
        asked = wanted.model_copy(update={"confirmed": confirmed})
        decision = judge(asked, FACTS, book=BOOK, tools=TOOLS, agent=careful, verify=backed)
        assert decision.outcome is outcome


def test_a_tool_with_consequences_cannot_pass_as_a_reading_one() -> None:
    tools = {**TOOLS, "get_account": tool("get_account", Nothing, EffectClass.WRITE)}
    wanted = proposal(call("get_account"), intent=Intent.ACCOUNT_QUESTION)
    assert decide(wanted).outcome is PROCEED
    assert codes(decide(wanted, tools=tools)) == ["tool_not_allowed"]


def explode(*_: object) -> Any:
    raise RuntimeError("Ada Lovelace, ada@example.org")


class Exploding(PolicyBook):
    def priority(self, inputs: object) -> Any:
        raise RecursionError


@pytest.mark.parametrize(
    "broken",
    [
        {"verify": explode},
        {"tools": {**TOOLS, "issue_refund": replace(REFUND_TOOL, money=explode)}},
        {"tools": {**TOOLS, "issue_refund": replace(REFUND_TOOL, subject=explode)}},
        {"book": Exploding(BOOK)},
        {"facts": FACTS.model_copy(update={"now": datetime(2026, 3, 1)})},  # noqa: DTZ001
        {"facts": FACTS.model_copy(update={"history": History.model_construct(refunded_in_period=10**30)})},
        {"facts": FACTS.model_copy(update={"history": History.model_construct(refunded_in_period=NAN)})},
        {"facts": FACTS.model_copy(update={"account": None})},
        {"facts": FACTS.model_copy(update={"invoices": None})},
    ],
    ids=lambda b: next(iter(b)),
)
def test_whatever_goes_wrong_asks_a_human_and_tells_nothing(broken: dict[str, Any]) -> None:
    decision = decide(proposal(refund()), **broken)
    assert decision.outcome is ASK
    assert "policy_error" in codes(decision)
    assert all(action.outcome is not PROCEED for action in decision.actions)
    assert "Ada" not in decision.model_dump_json()
    assert len(decision.digest) == 64


def test_an_action_whose_check_failed_is_kept_for_the_person() -> None:
    decision = decide(proposal(refund()), verify=explode)
    assert [action.tool for action in decision.actions] == ["issue_refund"]


def test_a_proposal_that_says_nothing_asks_a_human() -> None:
    assert decide(Proposal()).outcome is ASK


@pytest.mark.parametrize("confidence", [float("nan"), 2.0, -1.0, "1.0", True, None], ids=str)
def test_a_confidence_that_is_none_counts_as_none(confidence: object) -> None:
    wanted = proposal(refund()).model_copy(update={"confidence": confidence})
    decision = decide(wanted)
    assert (decision.outcome, codes(decision), decision.confidence) == (ASK, ["low_confidence"], 0.0)


def test_a_later_refusal_of_the_ledger_turns_a_yes_into_a_question() -> None:
    first = decide(proposal(refund(), MAIL))
    later = asking(first, Reason(code="over_cumulative_limit", rule="ledger"))
    assert later.outcome is ASK
    assert codes(later) == ["over_cumulative_limit", "within_limit"]
    assert all(action.outcome is ASK for action in later.actions)
    assert later.digest not in ("", first.digest)
    refused = decide(proposal(refund()), facts_of(age=60))
    assert asking(refused, Reason(code="x", rule="ledger")) is refused


def test_a_decision_by_default_asks_a_human() -> None:
    assert Decision().outcome is ASK
    assert Decision.model_validate({"outcome": "ask_human", "unknown": 1}).actions == ()


def test_the_external_source_is_the_only_one_a_yes_counts_for() -> None:
    for source in Source:
        wanted = proposal(refund(), confidence=0.0, confirmed=True, source=source)
        assert (decide(wanted).outcome is PROCEED) is (source is Source.EXTERNAL)
