"""What the support agent suggests. Claims stay claims; whether anything happens is for the rules."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.agents import AGENTS, ALL_AGENTS, SUPPORT, AgentSpec
from domain.agents.support import HANDED_OVER, TICKETED, propose
from domain.facts import Account, Facts, Invoice
from domain.proposal import Proposal, Source, Understanding
from domain.values import AccountStatus, CustomerId, Intent, InvoiceStatus, Json, Money, Plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SILENT = {Intent.BILLING_QUESTION, Intent.ACCOUNT_QUESTION, Intent.GREETING, Intent.OTHER}


def invoice(
    number: int, *, cents: int = 4900, days: int = 5, status: str = "paid", refunded: int = 0, currency: str = "EUR"
) -> Invoice:
    return Invoice(
        id=f"inv_{number}",
        total=Money(amount=cents, currency=currency),
        status=InvoiceStatus(status),
        paid_at=NOW - timedelta(days=days) if status == "paid" else None,
        refunded=refunded,
    )


def facts_with(*invoices: Invoice, email: str | None = "a@example.org", plan: Plan = Plan.PRO) -> Facts:
    account = Account(customer_id=CustomerId("cust_1"), name="Ada", email=email, plan=plan, status=AccountStatus.ACTIVE)
    return Facts(now=NOW, account=account, invoices=invoices)


def heard(intent: Intent, **more: object) -> Understanding:
    return Understanding.model_validate({"intent": intent, "confidence": 0.93, **more})


def calls(proposal: Proposal) -> list[tuple[str, Json]]:
    return [(action.tool, action.arguments) for action in proposal.actions]


def refund_of(proposal: Proposal) -> Json:
    return next(action.arguments for action in proposal.actions if action.tool == "issue_refund")


TWO = (invoice(2, cents=700, days=3), invoice(1, days=9))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ("inv_2", 700, "EUR")),
        ({"invoice_id": "inv_1"}, ("inv_1", 4900, "EUR")),
        ({"invoice_id": "INV-1"}, ("inv_1", 4900, "EUR")),
        ({"invoice_id": "Inv_1", "amount": 100}, ("inv_1", 100, "EUR")),
        ({"invoice_id": "inv_1", "amount": 100, "currency": "USD"}, ("inv_1", 100, "USD")),
        ({"invoice_id": "inv_1", "currency": "USD"}, ("inv_1", 4900, "EUR")),
        ({"amount": 0}, ("inv_2", 0, "EUR")),
        ({"amount": 999_999}, ("inv_2", 999_999, "EUR")),
        ({"invoice_id": "inv_99"}, ("inv_99", 0, "EUR")),
        ({"invoice_id": "INV-99", "amount": 5, "currency": "USD"}, ("INV-99", 5, "USD")),
    ],
    ids=str,
)
def test_a_refund_request_becomes_a_refund_of_what_was_meant(more: Json, expected: tuple[str, int, str]) -> None:
    proposal = propose(heard(Intent.REFUND_REQUEST, **more), facts_with(*TWO))
    invoice_id, amount, currency = expected
    assert calls(proposal) == [
        ("issue_refund", {"invoiceId": invoice_id, "amount": amount, "currency": currency}),
        ("send_email", {"purpose": "refund_confirmation"}),
    ]


@pytest.mark.parametrize(
    ("invoices", "expected"),
    [
        ((invoice(3, refunded=4900), invoice(2), invoice(1)), "inv_2"),
        ((invoice(3, refunded=4900), invoice(2, status="open")), "inv_3"),
        ((invoice(3, status="void"), invoice(2, status="open")), "inv_3"),
        ((invoice(3, status="open"), invoice(2, refunded=4900)), "inv_2"),
    ],
)
def test_without_a_name_it_is_the_invoice_that_explains_most(invoices: tuple[Invoice, ...], expected: str) -> None:
    assert refund_of(propose(heard(Intent.REFUND_REQUEST), facts_with(*invoices)))["invoiceId"] == expected


def test_two_invoices_that_read_alike_are_not_guessed_between() -> None:
    one, other = invoice(1), invoice(1).model_copy(update={"id": "INV_1"})
    claim = heard(Intent.REFUND_REQUEST, invoice_id="Inv-1")
    assert refund_of(propose(claim, facts_with(one, other)))["invoiceId"] == "Inv-1"
    exact = heard(Intent.REFUND_REQUEST, invoice_id="INV_1")
    assert refund_of(propose(exact, facts_with(one, other)))["invoiceId"] == "INV_1"


def test_a_refund_request_without_any_invoice_suggests_nothing() -> None:
    assert calls(propose(heard(Intent.REFUND_REQUEST), facts_with())) == []


@pytest.mark.parametrize(("more", "email"), [({"opts_out": True}, "a@example.org"), ({}, None), ({}, "")])
def test_nobody_is_mailed_who_cannot_or_will_not_be(more: Json, email: str | None) -> None:
    for intent in (Intent.REFUND_REQUEST, Intent.COMPLAINT):
        tools = [tool for tool, _ in calls(propose(heard(intent, **more), facts_with(*TWO, email=email)))]
        assert len(tools) == 1
        assert "send_email" not in tools


@pytest.mark.parametrize("intent", sorted(TICKETED))
def test_work_becomes_a_ticket_with_the_priority_of_the_pack(intent: Intent) -> None:
    proposal = propose(heard(intent), facts_with(plan=Plan.ENTERPRISE))
    urgent = intent in (Intent.COMPLAINT, Intent.TECHNICAL_ISSUE)
    assert calls(proposal) == [
        ("create_ticket", {"topic": intent.value, "priority": "urgent" if urgent else "high"}),
        ("send_email", {"purpose": "ticket_confirmation"}),
    ]


@pytest.mark.parametrize("intent", sorted(HANDED_OVER))
def test_what_a_person_settles_is_handed_over(intent: Intent) -> None:
    assert calls(propose(heard(intent), facts_with())) == [("handoff_to_human", {"reason": intent.value})]


@pytest.mark.parametrize("intent", list(Intent))
def test_a_wish_for_a_person_comes_before_any_intent(intent: Intent) -> None:
    proposal = propose(heard(intent, wants_human=True), facts_with(*TWO))
    assert calls(proposal) == [("handoff_to_human", {"reason": "human_request"})]
    assert proposal.wants_human


@pytest.mark.parametrize("intent", sorted(SILENT))
def test_questions_are_answered_without_doing_anything(intent: Intent) -> None:
    assert calls(propose(heard(intent), facts_with(*TWO))) == []


def test_every_intent_has_its_answer() -> None:
    assert set(Intent) == SILENT | TICKETED | HANDED_OVER | {Intent.REFUND_REQUEST}


def test_who_suggested_it_and_how_sure_they_were_is_passed_on() -> None:
    proposal = propose(heard(Intent.GREETING, source=Source.EMBEDDED, confidence=0.61), facts_with())
    assert (proposal.source, proposal.confidence, proposal.confirmed) == (Source.EMBEDDED, 0.61, False)


@pytest.mark.parametrize("intent", list(Intent))
def test_the_agent_only_suggests_what_it_was_granted(intent: Intent) -> None:
    grant = SUPPORT.granted(intent)
    tools = {tool for tool, _ in calls(propose(heard(intent), facts_with(*TWO)))}
    assert tools <= grant.write


def test_only_a_refund_request_opens_the_refund_tool() -> None:
    assert [intent for intent in Intent if "issue_refund" in SUPPORT.granted(intent).write] == [Intent.REFUND_REQUEST]
    assert "issue_refund" in SUPPORT.granted_at_all().write
    assert all(SUPPORT.granted(intent).read == {"get_account", "get_billing"} for intent in Intent)


@pytest.mark.parametrize("agent", ALL_AGENTS, ids=[agent.name for agent in ALL_AGENTS])
def test_every_agent_has_a_purpose_and_instructions_for_all_it_may_do(agent: AgentSpec) -> None:
    assert AGENTS[agent.name] is agent
    assert agent.purpose
    assert all(f"`{tool}`" in agent.prompt() for tool in agent.granted_at_all().write)
