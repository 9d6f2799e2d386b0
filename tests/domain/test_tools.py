"""Each tool: what it asks for, what it declares, what it does through its ports, and what it must never do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import RequestInvalid, ToolRefused, ToolUnavailable
from domain.facts import Facts
from domain.tools import ALL_TOOLS, TOOLS
from domain.tools.send_email import message_id
from domain.tools.tool import AnyTool, EffectClass, Risk, ToolCall
from domain.values import Json, Money, Plan
from tests.domain.verification_corpus import World
from tests.fakes import FakeWorld

CUSTOMER = World(5, Plan.PRO, "EUR")
CALL = ToolCall(
    key="eff_0192f3c4d5e6",
    interaction_id="int_0192f3c4d5e6",
    customer_id=CUSTOMER.account.customer_id,
    account=CUSTOMER.account,
    reply="I've refunded EUR 25.85.",
)
ARGUMENTS: dict[str, Json] = {
    "get_account": {},
    "get_billing": {},
    "issue_refund": {"invoiceId": "inv_1005", "amount": 2585, "currency": "EUR"},
    "create_ticket": {"topic": "technical_issue", "priority": "high"},
    "send_email": {"purpose": "reply"},
    "handoff_to_human": {"reason": "human_request"},
}


async def world() -> FakeWorld:
    made = FakeWorld()
    await made.put_account(CUSTOMER.account)
    for invoice in CUSTOMER.facts.invoices:
        await made.put_invoice(CUSTOMER.account.customer_id, invoice)
    return made


async def run(name: str, arguments: Json, made: FakeWorld, call: ToolCall = CALL) -> Json:
    tool = TOOLS[name]
    return await tool.run(tool.parse(arguments), call, made.ports)


def test_every_tool_is_found_by_its_name() -> None:
    assert set(TOOLS) == set(ARGUMENTS)
    assert all(TOOLS[tool.name] is tool for tool in ALL_TOOLS)


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.name)
def test_arguments_that_do_not_fit_never_reach_a_tool(tool: AnyTool) -> None:
    tool.parse(ARGUMENTS[tool.name])
    with pytest.raises(RequestInvalid):
        tool.parse(ARGUMENTS[tool.name] | {"alsoDo": "something else"})
    for name in ARGUMENTS[tool.name]:
        wrongs: tuple[object, ...] = (None, [], {}, 1.5, True, "", "x\x00y", "x" * 300)
        for wrong in wrongs:
            with pytest.raises(RequestInvalid):
                tool.parse(ARGUMENTS[tool.name] | {name: wrong})


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.name)
def test_a_tool_says_what_the_ledger_must_know(tool: AnyTool) -> None:
    assert tool.summary.endswith(".")
    assert tool.timeout > timedelta(0)
    assert tool.undo is None or tool.undo in TOOLS
    if tool.effect is EffectClass.MONEY:
        arguments = tool.parse(ARGUMENTS[tool.name])
        assert tool.money(arguments) is not None, "limits could not count it"
        assert tool.subject(arguments), "it could not be kept within what was paid"
        assert tool.risk is Risk.HIGH
    if tool.outlet:
        assert not tool.atomic, "what leaves the house cannot be part of a transaction"


def test_money_and_subject_of_a_refund_are_its_own_arguments() -> None:
    tool = TOOLS["issue_refund"]
    arguments = tool.parse(ARGUMENTS["issue_refund"])
    assert tool.money(arguments) == Money(amount=2585, currency="EUR")
    assert tool.subject(arguments) == "inv_1005"
    assert (tool.effect, tool.idempotent, tool.atomic, tool.undo) == (EffectClass.MONEY, True, True, None)


@pytest.mark.parametrize("amount", [True, "100", 1.0, float("nan"), float("inf"), -1, 10**12 + 1, None])
def test_an_amount_is_a_whole_number_within_bounds_or_nothing(amount: Any) -> None:
    with pytest.raises(RequestInvalid):
        TOOLS["issue_refund"].parse(ARGUMENTS["issue_refund"] | {"amount": amount})


@pytest.mark.parametrize("currency", ["eur", "EURO", "", "E1R", "€"])
def test_a_currency_is_its_code(currency: str) -> None:
    with pytest.raises(RequestInvalid):
        TOOLS["issue_refund"].parse(ARGUMENTS["issue_refund"] | {"currency": currency})


async def test_a_refund_is_made_under_the_effects_own_key() -> None:
    made = await world()
    result = await run("issue_refund", ARGUMENTS["issue_refund"], made)
    money = {"amount": 2585, "currency": "EUR"}
    assert result == {"refundId": "rfd_0001", "invoiceId": "inv_1005", "amount": money}
    assert set(made.billing.refunds) == {CALL.key}
    assert await run("issue_refund", ARGUMENTS["issue_refund"], made) == result


async def test_a_ticket_is_opened_under_the_effects_own_key() -> None:
    made = await world()
    assert await run("create_ticket", ARGUMENTS["create_ticket"], made) == {"ticketId": "tkt_0001"}
    assert await run("create_ticket", ARGUMENTS["create_ticket"], made) == {"ticketId": "tkt_0001"}


async def test_reading_tools_say_nothing_personal() -> None:
    made = await world()
    said = str([await run(name, {}, made) for name in ("get_account", "get_billing")])
    for personal in (CUSTOMER.account.name, CUSTOMER.account.email, CUSTOMER.account.phone):
        assert personal is not None
        assert personal not in said


async def test_reading_tools_read_what_facts_say() -> None:
    made = await world()
    for name in ("get_account", "get_billing"):
        assert await run(name, {}, made) == TOOLS[name].preview(TOOLS[name].parse({}), CUSTOMER.facts)


async def test_a_mail_carries_the_checked_reply_a_greeting_and_a_footer() -> None:
    made = await world()
    result = await run("send_email", {"purpose": "refund_confirmation"}, made)
    (mail,) = made.mail.sent
    assert mail.to == CUSTOMER.account.email
    assert mail.subject == "Your refund"
    assert mail.text.startswith("Hello Ada Example,\n\nI've refunded EUR 25.85.\n\n-- \n")
    assert mail.text.endswith("Reference: int_0192f3c4d5e6\n")
    assert result == {"messageId": "<eff_0192f3c4d5e6@holdfast.invalid>", "response": "250 OK"}


@pytest.mark.parametrize(
    "changes", [{"reply": "  \n"}, {"account": CUSTOMER.account.model_copy(update={"email": None})}]
)
async def test_a_mail_without_reply_or_address_is_refused(changes: dict[str, Any]) -> None:
    made = await world()
    with pytest.raises(ToolRefused):
        await run("send_email", {"purpose": "reply"}, made, replace(CALL, **changes))
    assert made.mail.sent == []


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Dr. Zoë O'Hara-Smith", "Hello Dr. Zoë O'Hara-Smith,"),
        ("  Ada \n Example ", "Hello Ada Example,"),
        ("Ада", "Hello Ада,"),
        ("", "Hello,"),
        ("visit evil.example", "Hello,"),
        ("https://evil.example", "Hello,"),
        ("call 0800 123456", "Hello,"),
        ("<b>Ada</b>", "Hello,"),
        ("Ada, you won EUR 1000!", "Hello,"),
        ("a" * 81, "Hello,"),
    ],
)
async def test_a_name_that_could_pass_for_something_else_is_left_out(name: str, greeting: str) -> None:
    made = await world()
    account = CUSTOMER.account.model_copy(update={"name": name})
    await run("send_email", {"purpose": "reply"}, made, replace(CALL, account=account))
    assert made.mail.sent[0].text.split("\n")[0] == greeting


async def test_R9_every_attempt_of_a_mail_carries_the_same_id() -> None:
    made = await world()
    made.mail.failures = [ToolUnavailable("later"), ToolUnavailable("later")]
    for _ in range(2):
        with pytest.raises(ToolUnavailable):
            await run("send_email", {"purpose": "reply"}, made)
    await run("send_email", {"purpose": "reply"}, made, replace(CALL, reply="Other words.", interaction_id="int_2"))
    assert made.mail.sent[0].message_id == message_id(CALL.key)


@given(
    st.text(alphabet=st.characters(codec=None), max_size=80), st.text(alphabet=st.characters(codec=None), max_size=80)
)
def test_a_message_id_is_well_formed_and_different_for_different_keys(one: str, other: str) -> None:
    first, second = message_id(one), message_id(other)
    assert first.isascii()
    assert first.startswith("<")
    assert first.endswith("@holdfast.invalid>")
    assert not set(first[1:-1]) & set(" <>\r\n\"'(),;:\\[]")
    assert (first == second) is (one == other)


async def test_a_handoff_is_never_run_through_a_port() -> None:
    with pytest.raises(ToolRefused, match="handled by the workflow"):
        await run("handoff_to_human", ARGUMENTS["handoff_to_human"], await world())


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.name)
async def test_P8_a_preview_touches_nothing_and_agrees_with_what_would_happen(tool: AnyTool) -> None:
    facts: Facts = CUSTOMER.facts
    arguments = tool.parse(ARGUMENTS[tool.name])
    before = (arguments.model_dump(), facts.model_dump())
    preview = tool.preview(arguments, facts)
    assert (arguments.model_dump(), facts.model_dump()) == before
    assert preview == tool.preview(arguments, facts)
    if tool.name in {"handoff_to_human", "create_ticket", "send_email"}:
        return  # what these return is made by the call: a preview shows what would be asked for
    result = await tool.run(arguments, CALL, (await world()).ports)
    assert {name: result[name] for name in preview} == preview
