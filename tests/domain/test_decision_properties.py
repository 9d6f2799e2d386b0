"""What holds for every proposal and every fact: limits, monotony, totality, one digest (P-4, P-6, P-10, R-14)."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.agents import SUPPORT
from domain.agents.support import propose
from domain.decision import Decision, Issue, Outcome
from domain.facts import Account, Facts, History, Invoice
from domain.judgement import judge
from domain.policies import PolicyBook
from domain.ports import Ports
from domain.proposal import Proposal, ProposedAction, Source, Understanding
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
    Value,
)

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOK = PolicyBook.shipped()
AUTO, TOGETHER, WINDOW = (BOOK.parameter("refund", name) for name in ("auto_limit", "cumulative_limit", "window_days"))


class Refund(Value):
    invoice_id: str
    amount: MinorUnits
    currency: Currency


class Anything(Value):
    topic: str = ""
    purpose: str = ""
    reason: str = ""


async def run(_arguments: Value, _call: ToolCall, _ports: Ports) -> Json:
    return {}


REFUND: AnyTool = Tool(
    name="issue_refund",
    summary="",
    arguments=Refund,
    run=run,
    effect=EffectClass.MONEY,
    risk=Risk.HIGH,
    money=lambda a: Money(amount=a.amount, currency=a.currency),
    subject=lambda a: a.invoice_id,
)
TOOLS: dict[str, AnyTool] = {
    "issue_refund": REFUND,
    **{
        name: Tool(name=name, summary="", arguments=Anything, run=run)
        for name in ("create_ticket", "send_email", "handoff_to_human")
    },
}


def backed(_action: ProposedAction, _facts: Facts) -> Sequence[Issue]:
    return ()


def decide(wanted: Proposal, facts: Facts, book: PolicyBook = BOOK) -> Decision:
    return judge(wanted, facts, book=book, tools=TOOLS, agent=SUPPORT, verify=backed)


def refunding(amount: object, invoice_id: str = "inv_1", currency: str = "EUR", **more: Any) -> Proposal:
    action = ProposedAction(
        tool="issue_refund", arguments={"invoiceId": invoice_id, "amount": amount, "currency": currency}
    )
    return Proposal.model_validate({"intent": Intent.REFUND_REQUEST, "confidence": 0.95, "actions": (action,), **more})


near_limits = st.sampled_from([0, 1, AUTO - 1, AUTO, AUTO + 1, TOGETHER, TOGETHER + 1, 10**12])
amounts = near_limits | st.integers(0, 30_000) | st.integers(0, 10**12)
ages = st.integers(-3, 60).map(lambda days: timedelta(days=days)) | st.none()
invoices = st.builds(
    Invoice,
    id=st.sampled_from(["inv_1", "inv_2"]),
    total=st.builds(Money, amount=amounts, currency=st.sampled_from(["EUR", "USD", "JPY"])),
    status=st.sampled_from(list(InvoiceStatus)) | st.just(InvoiceStatus.PAID),
    paid_at=ages.map(lambda age: None if age is None else NOW - age),
    refunded=st.just(0) | amounts,
    in_flight=st.just(0) | amounts,
)
worlds = st.builds(
    Facts,
    now=st.just(NOW),
    account=st.builds(
        Account,
        customer_id=st.just(CustomerId("cust_1")),
        plan=st.sampled_from(list(Plan)),
        status=st.sampled_from(list(AccountStatus)) | st.just(AccountStatus.ACTIVE),
        email=st.none() | st.just("a@example.org"),
    ),
    invoices=st.lists(invoices, max_size=3).map(tuple),
    history=st.builds(
        History,
        refunded_in_period=st.just(0) | amounts,
        escalations_in_period=st.integers(0, 3),
        actions_last_minute=st.integers(0, 25),
        actions_last_hour=st.integers(0, 120),
    ),
)
ordinary = st.builds(
    lambda total, refunded: Facts(
        now=NOW,
        account=Account(customer_id=CustomerId("cust_1"), status=AccountStatus.ACTIVE),
        invoices=(
            Invoice(
                id="inv_1",
                total=Money(amount=total, currency="EUR"),
                status=InvoiceStatus.PAID,
                paid_at=NOW - timedelta(days=3),
            ),
        ),
        history=History(refunded_in_period=refunded),
    ),
    total=st.integers(1, 60_000),
    refunded=st.just(0) | st.integers(0, 25_000),
)
"""Worlds in which a refund usually has a chance, so that properties about *proceed* are not empty."""
texts = st.text(max_size=20) | st.sampled_from(["inv_1", "INV-2", "EUR", "USD", "eur"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
wild_actions = st.builds(
    ProposedAction,
    tool=st.sampled_from([*TOOLS, "wire_money"]) | texts,
    arguments=st.fixed_dictionaries(
        {}, optional={"invoiceId": texts, "amount": amounts | json_values, "currency": texts, "topic": json_values}
    ),
)
wild = st.builds(
    Proposal,
    intent=st.sampled_from(list(Intent)),
    confidence=st.floats(0, 1),
    actions=st.lists(wild_actions, max_size=4).map(tuple) | st.lists(wild_actions, min_size=11, max_size=12).map(tuple),
    source=st.sampled_from(list(Source)),
    confirmed=st.booleans(),
    wants_human=st.booleans(),
)


def payment_beyond_authority(decision: Decision, facts: Facts) -> str | None:
    """What is wrong with a decision that pays out, judged without the packs: from the words of the default policy."""
    if decision.outcome is not Outcome.PROCEED:
        return None
    payments = [action.arguments for action in decision.actions if action.tool == "issue_refund"]
    return next(filter(None, (_beyond(payment, facts) for payment in payments)), None) or (
        "paid twice" if len(payments) > 1 else None
    )


def _beyond(payment: Json, facts: Facts) -> str | None:
    invoice = facts.invoice(payment["invoiceId"])
    if invoice is None or invoice.status is not InvoiceStatus.PAID or invoice.paid_at is None:
        return "not a paid invoice of this customer"
    amount = payment["amount"]
    wrong = {
        "over the limit": amount > AUTO,
        "over the limit together": facts.history.refunded_in_period + amount > TOGETHER,
        "more than was paid": amount + invoice.refunded + invoice.in_flight > invoice.total.amount,
        "nothing": amount < 1,
        "too late": facts.now - invoice.paid_at > timedelta(days=WINDOW),
        "another currency": payment["currency"] != invoice.total.currency,
        "not an active account": not facts.account.is_active,
    }
    return next((name for name, is_wrong in wrong.items() if is_wrong), None)


@settings(deadline=None)
@given(wild, worlds | ordinary)
def test_nothing_beyond_the_policy_ever_proceeds_whatever_is_proposed(wanted: Proposal, facts: Facts) -> None:
    assert payment_beyond_authority(decide(wanted, facts), facts) is None


@settings(deadline=None)
@given(amounts, ordinary)
def test_no_refund_over_a_limit_ever_proceeds(amount: int, facts: Facts) -> None:
    assert payment_beyond_authority(decide(refunding(amount), facts), facts) is None


def test_the_checker_would_notice_a_lost_limit() -> None:
    """Negative control: without the rule, and with the last rule open, the property above fails."""
    pack = BOOK.pack("refund")
    rules = [rule for rule in pack.rules if rule.id != "over_auto_limit"]
    rules[-1] = rules[-1].model_copy(update={"when": "true"})
    lax = BOOK.replacing(pack.model_copy(update={"rules": tuple(rules)}))
    invoice = Invoice(id="inv_1", total=Money(amount=60_000, currency="EUR"), status=InvoiceStatus.PAID, paid_at=NOW)
    account = Account(customer_id=CustomerId("cust_1"), status=AccountStatus.ACTIVE)
    facts = Facts(now=NOW, account=account, invoices=(invoice,))
    assert payment_beyond_authority(decide(refunding(AUTO + 1), facts, lax), facts) == "over the limit"
    assert payment_beyond_authority(decide(refunding(AUTO), facts, lax), facts) is None


def test_refunds_within_all_limits_do_proceed() -> None:
    """Negative control: a judge that never says yes would pass every property here."""
    invoice = Invoice(id="inv_1", total=Money(amount=60_000, currency="EUR"), status=InvoiceStatus.PAID, paid_at=NOW)
    account = Account(customer_id=CustomerId("cust_1"), status=AccountStatus.ACTIVE)
    facts = Facts(now=NOW, account=account, invoices=(invoice,))
    assert all(decide(refunding(amount), facts).outcome is Outcome.PROCEED for amount in (1, 4900, AUTO))


@settings(deadline=None)
@given(wild, worlds)
def test_every_proposal_gets_a_complete_decision(wanted: Proposal, facts: Facts) -> None:
    decision = decide(wanted, facts)
    assert decision.reasons
    assert all(reason.code for reason in decision.reasons)
    assert len(decision.digest) == 64
    assert all(action.outcome.strictness >= decision.outcome.strictness for action in decision.actions)
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
    if wanted.wants_human:
        assert decision.outcome is Outcome.ASK_HUMAN


@settings(deadline=None)
@given(st.integers(1, 10**12) | st.integers(1, 30_000), st.integers(1, 30_000), ordinary | worlds)
def test_asking_for_more_never_loosens_the_outcome(one: int, other: int, facts: Facts) -> None:
    less, more = (decide(refunding(amount), facts).outcome.strictness for amount in sorted((one, other)))
    assert more >= less


@settings(deadline=None)
@given(st.integers(1, 30_000), st.integers(0, 25_000), st.integers(0, 25_000), ordinary)
def test_having_been_given_more_never_loosens_the_outcome(amount: int, one: int, other: int, facts: Facts) -> None:
    given_back = [
        facts.model_copy(update={"history": History(refunded_in_period=refunded)}) for refunded in sorted((one, other))
    ]
    less, more = (decide(refunding(amount), world).outcome.strictness for world in given_back)
    assert more >= less


def with_limits(**limits: int) -> PolicyBook:
    pack = BOOK.pack("refund")
    return BOOK.replacing(pack.model_copy(update={"parameters": {**pack.parameters, **limits}}))


@pytest.mark.parametrize("name", ["auto_limit", "cumulative_limit", "window_days"])
@pytest.mark.parametrize("value", [0, 1, 20, 4_000])
def test_a_lower_limit_never_allows_more(name: str, value: int) -> None:
    lowered = with_limits(**{name: min(value, BOOK.parameter("refund", name))})

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 12_000), ordinary | worlds)
    def holds(amount: int, facts: Facts) -> None:
        before, after = (decide(refunding(amount), facts, book).outcome for book in (BOOK, lowered))
        assert after.strictness >= before.strictness

    holds()


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), amounts, ordinary | worlds)
def test_confidence_buys_no_authority(one: float, other: float, amount: int, facts: Facts) -> None:
    """More confidence can end doubt about what is wanted; complete certainty still stops at every limit."""
    low, high = (decide(refunding(amount, confidence=c), facts) for c in sorted((one, other)))
    sure = decide(refunding(amount, confidence=1.0), facts)
    assert high.outcome.strictness <= low.outcome.strictness
    assert sure.outcome.strictness <= high.outcome.strictness
    assert payment_beyond_authority(sure, facts) is None


@settings(deadline=None)
@given(
    st.builds(
        Understanding,
        intent=st.sampled_from(list(Intent)),
        confidence=st.floats(0, 1),
        invoice_id=st.none() | texts,
        amount=st.none() | amounts,
        currency=st.none() | texts,
        wants_human=st.booleans(),
        opts_out=st.booleans(),
        suspicious=st.booleans(),
    ),
    worlds | ordinary,
)
def test_claims_in_a_message_open_nothing(understanding: Understanding, facts: Facts) -> None:
    decision = decide(propose(understanding, facts), facts)
    assert payment_beyond_authority(decision, facts) is None
    if understanding.wants_human:
        assert decision.outcome is Outcome.ASK_HUMAN


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(wild, worlds)
def test_equal_facts_in_any_order_of_keys_give_one_decision(wanted: Proposal, facts: Facts) -> None:
    turned = [ProposedAction(tool=action.tool, arguments=reordered(action.arguments)) for action in wanted.actions]
    again = Facts.model_validate(reordered(facts.model_dump(mode="json")))
    other = wanted.model_copy(update={"actions": tuple(turned)})
    assert decide(other, again) == decide(wanted, facts)


SCRIPT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("properties", {path!r})
properties = importlib.util.module_from_spec(spec)
sys.modules["properties"] = properties
spec.loader.exec_module(properties)
print(properties.many_digests())
"""


def many_digests() -> str:
    """The digests of a fixed variety of decisions, in one line."""
    found = []
    for number in range(120):
        total = Money(amount=(number * 977) % 30_000, currency=("EUR", "USD")[number % 2])
        paid = NOW - timedelta(days=number % 40)
        invoice = Invoice(id="inv_1", total=total, status=InvoiceStatus.PAID, paid_at=paid, refunded=number % 3)
        account = Account(customer_id=CustomerId("cust_1"), status=list(AccountStatus)[(number % 7) // 6])
        history = History(refunded_in_period=number * 150, escalations_in_period=number % 3)
        facts = Facts(now=NOW, account=account, invoices=(invoice,), history=history)
        understanding = Understanding(intent=list(Intent)[number % 12 * (number % 2)], confidence=0.4 + number / 200)
        found.append(decide(propose(understanding, facts), facts).digest)
    return " ".join(found)


@pytest.mark.parametrize(
    "surroundings", [("0", "UTC", "C"), ("1", "Asia/Tokyo", "C.UTF-8"), ("4242", "America/Lima", "tr_TR")]
)
def test_another_process_seed_time_zone_and_locale_give_the_same_digests(surroundings: tuple[str, str, str]) -> None:
    seed, zone, locale = surroundings
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(path=__file__)],
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == many_digests()


def test_the_digests_compared_are_of_different_decisions() -> None:
    assert len(set(many_digests().split())) > 40


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.model_copy(update={"version": 2}),
        lambda p: p.model_copy(update={"parameters": {**p.parameters, "auto_limit": 9_999}}),
    ],
)
def test_a_digest_names_the_rules_it_was_made_under(change: Callable[[Any], Any]) -> None:
    invoice = Invoice(id="inv_1", total=Money(amount=4900, currency="EUR"), status=InvoiceStatus.PAID, paid_at=NOW)
    account = Account(customer_id=CustomerId("cust_1"), status=AccountStatus.ACTIVE)
    facts = Facts(now=NOW, account=account, invoices=(invoice,))
    changed = decide(refunding(4900), facts, BOOK.replacing(change(BOOK.pack("refund"))))
    assert changed.outcome is Outcome.PROCEED
    assert changed.digest != decide(refunding(4900), facts).digest
