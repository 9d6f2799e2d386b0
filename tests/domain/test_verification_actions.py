"""What is checked about an action before anything happens."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import Facts
from domain.proposal import ProposedAction
from domain.tools import TOOLS
from domain.values import InvoiceStatus, Plan
from domain.verification import verify_action
from tests.domain.verification_corpus import World

WORLD = World(5, Plan.PRO, "EUR")
FACTS = WORLD.facts


def refund(**changes: Any) -> ProposedAction:
    arguments = {"invoiceId": "inv_1005", "amount": 2585, "currency": "EUR"} | changes
    return ProposedAction(tool="issue_refund", arguments=arguments)


def codes(action: ProposedAction, facts: Facts = FACTS) -> list[str]:
    return [issue.code for issue in verify_action(action, facts, TOOLS)]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (refund(), []),
        (refund(amount=1), []),
        (refund(amount=2586), ["exceeds_refundable"]),
        (refund(amount=0), ["amount_not_positive"]),
        (refund(currency="USD"), ["currency_mismatch"]),
        (refund(invoiceId="inv_9"), ["invoice_not_found"]),
        (refund(invoiceId="inv_2005", amount=1), ["exceeds_refundable"]),
        (refund(invoiceId="inv_3005", amount=254_15 - 1250), []),
        (refund(invoiceId="inv_3005", amount=254_15 - 1249), ["exceeds_refundable"]),
        (refund(amount="2585"), ["arguments_invalid"]),
        (refund(amount=True), ["arguments_invalid"]),
        (refund(amount=float("nan")), ["arguments_invalid"]),
        (refund(amount=-1), ["arguments_invalid"]),
        (refund(note="and twice as much"), ["arguments_invalid"]),
        (ProposedAction(tool="issue_refund"), ["arguments_invalid"]),
        (ProposedAction(tool="wire_money"), ["unknown_tool"]),
        (ProposedAction(tool="send_email", arguments={"purpose": "reply"}), []),
        (ProposedAction(tool="send_email", arguments={"purpose": "marketing"}), ["arguments_invalid"]),
        (ProposedAction(tool="create_ticket", arguments={"topic": "technical_issue"}), []),
        (ProposedAction(tool="handoff_to_human", arguments={"reason": "human_request"}), []),
        (ProposedAction(tool="get_account"), []),
    ],
)
def test_an_action_is_checked_against_facts(action: ProposedAction, expected: list[str]) -> None:
    assert codes(action) == expected


@pytest.mark.parametrize("email", [None, ""])
def test_mail_needs_an_address(email: str | None) -> None:
    nobody = FACTS.model_copy(update={"account": FACTS.account.model_copy(update={"email": email})})
    assert codes(ProposedAction(tool="send_email", arguments={"purpose": "reply"}), nobody) == ["no_email_address"]


@pytest.mark.parametrize("email", ["ada", "a@b, c@d", "a@b\nBcc: c@d", "Ada <a@b>", "@b"])
def test_mail_needs_one_plain_address(email: str) -> None:
    odd = FACTS.model_copy(update={"account": FACTS.account.model_copy(update={"email": email})})
    assert codes(ProposedAction(tool="send_email", arguments={"purpose": "reply"}), odd) == ["email_address_invalid"]


def test_nothing_with_consequences_is_done_for_nobody() -> None:
    nobody = FACTS.model_copy(update={"account": FACTS.account.model_copy(update={"customer_id": " "})})
    assert codes(ProposedAction(tool="create_ticket", arguments={"topic": "x"}), nobody) == ["account_not_found"]
    assert codes(ProposedAction(tool="get_account"), nobody) == []


@given(st.integers(min_value=-10, max_value=10**13), st.sampled_from(list(InvoiceStatus)), st.integers(0, 3000))
def test_no_amount_above_what_is_refundable_passes(amount: int, status: InvoiceStatus, in_flight: int) -> None:
    invoice = WORLD.paid.model_copy(update={"status": status, "in_flight": in_flight})
    facts = FACTS.model_copy(update={"invoices": (invoice,)})
    allowed = 0 < amount <= max(0, 2585 - in_flight) and status is InvoiceStatus.PAID
    assert (codes(refund(amount=amount), facts) == []) is allowed
