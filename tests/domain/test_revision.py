"""An edit is judged and verified like the first proposal, and says field by field what it changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.approval import proposed_actions
from domain.decision import Outcome
from domain.errors import RequestInvalid
from domain.facts import Account, Facts, Invoice
from domain.policies import PolicyBook
from domain.proposal import Proposal, ProposedAction
from domain.revision import EditRefused, Revised, Rules, revise
from domain.values import AccountStatus, CustomerId, Intent, InvoiceStatus, Json, Money, Plan

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RULES = Rules.shipped()


def invoice(name: str, amount: int, **changes: Any) -> Invoice:
    fields: dict[str, Any] = {"status": InvoiceStatus.PAID, "paid_at": NOW - timedelta(days=3), **changes}
    return Invoice(id=name, total=Money(amount=amount, currency="EUR"), **fields)


FACTS = Facts(
    now=NOW,
    account=Account(customer_id=CustomerId("c1"), email="c@example.com", plan=Plan.PRO, status=AccountStatus.ACTIVE),
    invoices=(invoice("inv_1", 50_000), invoice("inv_old", 50_000, paid_at=NOW - timedelta(days=200))),
)


def refund(amount: Any, name: str = "inv_1", currency: str = "EUR") -> ProposedAction:
    return ProposedAction(tool="issue_refund", arguments={"invoiceId": name, "amount": amount, "currency": currency})


MAIL = ProposedAction(tool="send_email", arguments={"purpose": "refund_confirmation"})
PROPOSAL = Proposal(intent=Intent.REFUND_REQUEST, confidence=0.95, actions=(refund(48_000), MAIL))
BEFORE = proposed_actions(RULES.judge(PROPOSAL, FACTS))


def edited(*edits: ProposedAction, before: list[Json] | None = None, facts: Facts = FACTS) -> Revised:
    return revise(before or BEFORE, edits, PROPOSAL, facts, RULES)


def test_the_case_itself_asks_a_person() -> None:
    assert RULES.judge(PROPOSAL, FACTS).outcome is Outcome.ASK_HUMAN
    assert [a["tool"] for a in BEFORE] == ["issue_refund", "send_email"]


def test_a_lower_amount_is_one_change_and_raises_nothing() -> None:
    revised = edited(refund(30_000), MAIL)
    (change,) = revised.changes
    assert (change.action, change.tool, change.field, change.before, change.after) == (
        0, "issue_refund", "amount", 48_000, 30_000,
    )  # fmt: skip
    assert not revised.raises
    assert revised.decision.actions[0].arguments["amount"] == 30_000


def test_an_amount_the_rules_give_by_themselves_is_fine_too() -> None:
    assert edited(refund(5_000), MAIL).decision.outcome is Outcome.PROCEED


def test_saying_the_same_is_no_change_in_either_spelling() -> None:
    assert edited(refund(48_000), MAIL).changes == ()
    snake = ProposedAction(tool="issue_refund", arguments={"invoice_id": "inv_1", "amount": 48_000, "currency": "EUR"})
    assert edited(snake, MAIL).changes == ()


@given(st.integers(1, 50_000))
def test_H3_more_money_than_was_proposed_is_always_seen(amount: int) -> None:
    revised = edited(refund(amount), MAIL)
    assert revised.raises == (amount > 48_000)
    assert bool(revised.changes) == (amount != 48_000)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (refund(50_001), "exceeds_refundable"),
        (refund(0), "nothing_to_refund"),
        (refund(1_000, "inv_none"), "invoice_not_found"),
        (refund(1_000, "inv_old"), "outside_window"),
        (refund(1_000, currency="USD"), "currency_mismatch"),
        (refund("1000"), "arguments_invalid"),
        (refund(1_000.0), "arguments_invalid"),
        (ProposedAction(tool="issue_refund", arguments={"amount": 1}), "arguments_invalid"),
        (
            ProposedAction(tool="issue_refund", arguments={**refund(1).arguments, "also": "this"}),
            "arguments_invalid",
        ),
    ],
)
def test_H2_what_the_rules_refuse_or_facts_do_not_back_cannot_be_approved(edit: ProposedAction, code: str) -> None:
    with pytest.raises(EditRefused) as refused:
        edited(edit, MAIL)
    said = refused.value.details
    assert code in {r["code"] for r in [*said["reasons"], *said["issues"]]}  # type: ignore[misc]


def test_what_facts_back_no_longer_is_refused() -> None:
    spent = FACTS.model_copy(update={"invoices": (invoice("inv_1", 50_000, refunded=40_000),)})
    with pytest.raises(EditRefused):
        edited(refund(30_000), MAIL, facts=spent)
    assert edited(refund(10_000), MAIL, facts=spent).changes


@pytest.mark.parametrize(
    "edits", [(refund(1),), (MAIL, refund(1)), (refund(1), MAIL, MAIL), (refund(1), refund(1)), ()]
)
def test_an_edit_is_about_the_same_calls_in_the_same_order(edits: tuple[ProposedAction, ...]) -> None:
    with pytest.raises(RequestInvalid):
        edited(*edits)


def test_a_case_the_rules_cannot_judge_is_refused() -> None:
    """A book without a single pack has nothing to say about priorities: the judgement ends without any action."""
    broken = Rules(PolicyBook(()), {}, RULES.agent)
    with pytest.raises(EditRefused):
        revise(BEFORE, (refund(1), MAIL), PROPOSAL, FACTS, broken)
