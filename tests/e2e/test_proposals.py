"""Issue 5: somebody else's agent proposes; the rules, the ledger and people decide, exactly as for our own."""

import asyncio
from typing import Any

import pytest

from tests.api.wire import problem_of
from tests.house import House

REFUND: dict[str, Any] = {
    "tool": "issue_refund",
    "arguments": {"invoiceId": "inv_1", "amount": 4_900, "currency": "EUR"},
}
TICKET: dict[str, Any] = {"tool": "create_ticket", "arguments": {"topic": "technical_issue", "priority": "normal"}}


@pytest.fixture
async def paid(house: House) -> House:
    await house.customer()
    await house.invoice("inv_1", 4_900)
    await house.invoice("inv_2", 48_000)
    return house


async def propose(house: House, *actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"customerId": "cust_123", "actions": list(actions), **fields}
    answer = await house.http.post("/proposals", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_confirmed_refund_within_the_rules_happens_once(paid: House) -> None:
    body = {"confirmed": True, "requestId": "r1"}
    first, again = await propose(paid, REFUND, **body), await propose(paid, REFUND, **body)
    assert (first["status"], first["decision"]["outcome"]) == ("completed", "proceed")
    assert (again["replayed"], again["actions"]) == (True, first["actions"])
    assert [(r.invoice_id, r.amount) for r in await paid.refunds()] == [("inv_1", 4_900)]
    shown = (await paid.http.get(f"/interactions/{first['interactionId']}")).json()
    assert (shown["message"], shown["intent"]) == ("", "other")


async def test_eight_at_once_are_one_refund(paid: House) -> None:
    answers = await asyncio.gather(*(propose(paid, REFUND, confirmed=True, requestId="r1") for _ in range(8)))
    assert {a["interactionId"] for a in answers} == {answers[0]["interactionId"]}
    assert len(await paid.refunds()) == 1


async def test_money_without_the_customers_yes_waits_for_a_person(paid: House) -> None:
    answer = await propose(paid, REFUND)
    assert answer["status"] == "waiting_for_human"
    assert "confirmation_missing" in {r["code"] for r in answer["decision"]["reasons"]}
    assert await paid.refunds() == []


async def test_a_refund_above_the_limit_waits_and_is_approved_from_the_decision(paid: House) -> None:
    big = {"tool": "issue_refund", "arguments": {"invoiceId": "inv_2", "amount": 48_000, "currency": "EUR"}}
    answer = await propose(paid, big, confirmed=True)
    assert answer["handoff"]["kind"] == "approval"
    (decision,) = (await paid.http.get(f"/decisions?interactionId={answer['interactionId']}")).json()["items"]
    detail = (await paid.http.get(f"/decisions/{decision['id']}")).json()
    assert (detail["handoffId"], detail["proposal"]["source"]) == (answer["handoff"]["id"], "external")
    digest = (await paid.http.get(f"/handoffs/{detail['handoffId']}")).json()["digest"]
    said = await paid.http.post(f"/decisions/{decision['id']}/approve", json={"digest": digest})
    assert said.status_code == 200, said.text
    await paid.until_settled(answer["interactionId"])
    assert [r.amount for r in await paid.refunds()] == [48_000]
    audit = (await paid.http.get(f"/audit?subject={detail['handoffId']}")).json()["items"]
    assert "handoff.approved" in {event["action"] for event in audit}


async def test_what_a_person_rejects_from_the_decision_never_happens(paid: House) -> None:
    answer = await propose(paid, REFUND)
    (decision,) = (await paid.http.get("/decisions?outcome=ask_human")).json()["items"]
    said = await paid.http.post(f"/decisions/{decision['id']}/reject", json={})
    assert said.json()["decision"] == "rejected", said.text
    ended = await paid.until_finished(answer["interactionId"])
    assert (ended["status"], await paid.refunds()) == ("refused", [])


async def test_a_decision_nobody_was_asked_about_cannot_be_approved(paid: House) -> None:
    answer = await propose(paid, REFUND, confirmed=True)
    (decision,) = (await paid.http.get(f"/decisions?interactionId={answer['interactionId']}")).json()["items"]
    said = await paid.http.post(f"/decisions/{decision['id']}/approve", json={"digest": "0" * 64})
    problem_of(said, 409, "conflict")
    problem_of(await paid.http.get("/decisions/dec_nowhere0"), 404, "decision_not_found")


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ({"tool": "delete_everything", "arguments": {}}, "unknown_tool"),
        ({"tool": "issue_refund", "arguments": {"amount": "all"}}, "arguments_invalid"),
        ({**REFUND, "arguments": {**REFUND["arguments"], "invoiceId": "inv_of_somebody_else"}}, "invoice_not_found"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_reason(paid: House, action: dict[str, Any], code: str) -> None:
    answer = await propose(paid, action, confirmed=True)
    assert (answer["status"], answer["decision"]["reasons"][0]["code"]) == ("refused", code)
    assert await paid.refunds() == []


async def test_a_reply_that_claims_what_did_not_happen_never_leaves(paid: House) -> None:
    lie = "I've refunded EUR 480.00 for invoice inv_2."
    answer = await propose(paid, TICKET, confirmed=True, reply=lie)
    assert answer["status"] == "waiting_for_human"
    assert lie not in answer["reply"]
    assert all(lie not in str(mail) for mail in paid.mails())


async def test_a_reply_that_is_backed_is_what_the_customer_reads(paid: House) -> None:
    words = "Hello! I've refunded EUR 49.00 for invoice inv_1. Anything else?"
    answer = await propose(paid, REFUND, confirmed=True, reply=words)
    assert (answer["status"], answer["reply"]) == ("completed", words)


async def test_shadow_shows_and_does_nothing(paid: House) -> None:
    answer = await propose(paid, REFUND, confirmed=True, mode="shadow")
    assert [a["effect"] for a in answer["actions"]] == ["preview"]
    assert await paid.refunds() == []


async def test_a_customer_who_is_in_a_persons_hands_is_left_to_that_person(paid: House) -> None:
    conversation = (await paid.chat("hello")).json()["conversationId"]
    taken = await paid.http.post(f"/conversations/{conversation}/takeover", json={})
    assert taken.status_code == 200, taken.text
    answer = await propose(paid, REFUND, confirmed=True, conversationId=conversation)
    assert answer["decision"]["reasons"][0]["code"] == "conversation_taken_over"
    assert await paid.refunds() == []


async def test_the_same_request_id_for_a_message_is_another_body(paid: House) -> None:
    await propose(paid, REFUND, confirmed=True, requestId="r1")
    problem_of(await paid.chat("refund please", requestId="r1"), 422, "request_id_reused")


async def test_a_proposal_of_nothing_is_no_proposal(paid: House) -> None:
    answer = await paid.http.post("/proposals", json={"customerId": "cust_123", "actions": []})
    problem_of(answer, 422, "validation_failed")


async def test_every_decision_explains_itself(paid: House) -> None:
    answer = await propose(paid, REFUND, confirmed=True)
    (decision,) = (await paid.http.get(f"/decisions?interactionId={answer['interactionId']}")).json()["items"]
    detail = (await paid.http.get(f"/decisions/{decision['id']}")).json()
    why = detail["why"]
    assert why["reproduced"] is True
    assert "issue_refund" in why["prose"]
    assert "an agent from outside proposed it" in why["prose"]
    (refund,) = [pack for pack in why["rules"] if pack["subject"] == "refund"]
    assert {"rule", "result"} == set(refund["tried"][0])
    assert detail["facts"]["account"].get("name") is None
    assert "Anna" not in str(detail)


async def test_an_evaluation_says_what_the_real_thing_would_say_and_leaves_no_trace(paid: House) -> None:
    case = {"customerId": "cust_123", "actions": [REFUND], "confirmed": True}
    before = {table: await paid.count(table) for table in ("interactions", "decisions", "effects", "audit_events")}
    said = (await paid.http.post("/decisions/evaluate", json={"cases": [case]})).json()["items"][0]
    assert {table: await paid.count(table) for table in before} == before
    answer = await propose(paid, REFUND, confirmed=True, mode="shadow")
    (decision,) = (await paid.http.get(f"/decisions?interactionId={answer['interactionId']}")).json()["items"]
    detail = (await paid.http.get(f"/decisions/{decision['id']}")).json()
    assert said["decision"]["outcome"] == detail["decision"]["outcome"] == "proceed"
    assert said["decision"]["actions"] == detail["decision"]["actions"]


async def test_an_evaluation_of_supplied_facts_at_a_supplied_time(paid: House) -> None:
    invoice = {"id": "inv_9", "total": {"amount": 4_900, "currency": "EUR"}, "status": "paid"}
    action = {**REFUND, "arguments": {**REFUND["arguments"], "invoiceId": "inv_9"}}

    def case(paid_at: str) -> dict[str, Any]:
        facts = {"account": {"status": "active"}, "invoices": [{**invoice, "paidAt": paid_at}]}
        return {"facts": facts, "actions": [action], "confirmed": True}

    cases = [case("2026-01-10T00:00:00Z"), case("2025-01-10T00:00:00Z")]
    body = {"cases": cases, "now": "2026-01-20T00:00:00Z"}
    said = (await paid.http.post("/decisions/evaluate", json=body)).json()["items"]
    assert [item["decision"]["outcome"] for item in said] == ["proceed", "refuse"]
    assert said[1]["decision"]["reasons"][0]["code"] == "outside_window"


async def test_nobody_is_evaluated_who_is_not_there(paid: House) -> None:
    body = {"cases": [{"customerId": "cust_123", "actions": []}, {"customerId": "cust_nobody", "actions": []}]}
    problem_of(await paid.http.post("/decisions/evaluate", json=body), 404, "customer_not_found")
    both = {"customerId": "cust_123", "facts": {}, "actions": []}
    problem_of(await paid.http.post("/decisions/evaluate", json={"cases": [both]}), 422, "validation_failed")
