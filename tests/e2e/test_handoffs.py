"""A thing that needs a person, from the question to the consequence."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from domain.handoff import HandoffDecision, Resolution
from domain.values import HandoffId
from tests.house import DEMO, House
from workflows import ids
from workflows.handoff import HandoffWorkflow

OVER_LIMIT = 48_000


@pytest.fixture
async def asked(house: House) -> dict[str, Any]:
    """A refund over the automatic limit: the answer that says a person is looking."""
    await house.customer("cust_456", plan="enterprise", email="c456@example.com")
    await house.invoice("inv_2001", OVER_LIMIT, customer_id="cust_456", paid_days_ago=3)
    answer = (await house.chat("refund please", customer_id="cust_456", requestId="r1")).json()
    assert answer["status"] == "waiting_for_human", answer
    return dict(answer)


async def decide(house: House, asked: dict[str, Any], verb: str, **body: Any) -> httpx2.Response:
    return await house.http.post(f"/handoffs/{asked['handoff']['id']}/{verb}", json=body)


async def digest_of(house: House, asked: dict[str, Any]) -> str:
    return str((await house.http.get(f"/handoffs/{asked['handoff']['id']}")).json()["digest"])


async def test_an_approval_runs_exactly_what_it_showed(house: House, asked: dict[str, Any]) -> None:
    shown = (await house.http.get(f"/handoffs/{asked['handoff']['id']}")).json()
    assert next((a["tool"], a["arguments"].get("amount")) for a in shown["proposed"]) == ("issue_refund", OVER_LIMIT)
    assert await house.refunds() == []

    approved = await decide(house, asked, "approve", digest=shown["digest"], note="looks right")
    ended = await house.until_finished(asked["interactionId"])

    assert approved.status_code == 200
    assert (ended["status"], ended["decision"]["outcome"]) == ("completed", "ask_human")
    assert [(r.invoice_id, r.amount) for r in await house.refunds()] == [("inv_2001", OVER_LIMIT)]
    assert "EUR 480.00" in ended["reply"]


async def test_an_approved_refund_is_mailed_once_it_happened(house: House, asked: dict[str, Any]) -> None:
    await decide(house, asked, "approve", digest=await digest_of(house, asked))
    ended = await house.until_settled(asked["interactionId"])
    assert {a["tool"]: a["effect"] for a in ended["actions"]} == {
        "issue_refund": "confirmed",
        "send_email": "confirmed",
    }
    (mail,) = house.mails()
    assert mail["To"] == "c456@example.com"
    assert "EUR 480.00" in mail.get_content()


async def test_a_rejection_moves_no_money_and_tells_the_customer(house: House, asked: dict[str, Any]) -> None:
    rejected = await decide(house, asked, "reject", reply="We cannot refund this order, sorry.")
    ended = await house.until_finished(asked["interactionId"])
    assert (rejected.status_code, ended["status"]) == (200, "refused")
    assert ended["reply"] == "We cannot refund this order, sorry."
    assert await house.refunds() == []


async def test_a_persons_own_answer_ends_it_without_the_proposed_action(house: House, asked: dict[str, Any]) -> None:
    await decide(house, asked, "resolve", reply="I have called you about this.")
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], ended["reply"]) == ("completed", "I have called you about this.")
    assert await house.refunds() == []


async def test_a_stale_digest_is_refused_and_nothing_happens(house: House, asked: dict[str, Any]) -> None:
    stale = await decide(house, asked, "approve", digest="0" * 64)
    assert (stale.status_code, stale.json()["code"]) == (409, "approval_stale")
    assert (await house.http.get(f"/handoffs/{asked['handoff']['id']}")).json()["status"] == "open"
    assert await house.refunds() == []


async def test_the_first_answer_to_the_request_stays_the_answer_after_the_decision(
    house: House, asked: dict[str, Any]
) -> None:
    await decide(house, asked, "approve", digest=await digest_of(house, asked))
    await house.until_finished(asked["interactionId"])
    again = await house.chat("refund please", customer_id="cust_456", requestId="r1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert {**again.json(), "replayed": False} == asked


async def test_repeating_ones_own_decision_changes_nothing(house: House, asked: dict[str, Any]) -> None:
    digest = await digest_of(house, asked)
    first = await decide(house, asked, "approve", digest=digest)
    await house.until_finished(asked["interactionId"])
    second = await decide(house, asked, "approve", digest=digest)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["decidedAt"] == first.json()["decidedAt"]
    assert len(await house.refunds()) == 1


async def test_H1_of_fifty_people_deciding_at_once_one_is_heard(
    house: House, asked: dict[str, Any], round_: int
) -> None:
    digest = await digest_of(house, asked)
    keys = [await house.key("operator", name=f"operator {n}") for n in range(50)]

    async def say(n: int) -> httpx2.Response:
        path = f"/handoffs/{asked['handoff']['id']}/{'approve' if n % 2 else 'reject'}"
        body = {"digest": digest} if n % 2 else {}
        return await house.http.post(path, json=body, headers={"Authorization": f"Bearer {keys[n]}"})

    answers = await asyncio.gather(*(say(n) for n in range(50)))
    ended = await house.until_finished(asked["interactionId"])

    statuses = sorted(a.status_code for a in answers)
    assert statuses == [200] + [409] * 49
    (winner,) = [a.json() for a in answers if a.status_code == 200]
    losers = [a.json() for a in answers if a.status_code == 409]
    assert {loser["code"] for loser in losers} == {"handoff_already_decided"}
    assert {(loser["decision"], loser["by"]) for loser in losers} == {(winner["decision"], winner["decidedBy"])}
    assert len(await house.refunds()) == (1 if winner["decision"] == "approved" else 0)
    assert ended["status"] == ("completed" if winner["decision"] == "approved" else "refused")


async def test_two_approvals_for_one_invoice_give_it_back_once(house: House, asked: dict[str, Any]) -> None:
    second = (await house.chat("refund please", customer_id="cust_456", requestId="r2")).json()
    for one in (asked, second):
        await decide(house, one, "approve", digest=await digest_of(house, one))
    await house.until_finished(asked["interactionId"])
    shown = await house.until(second["interactionId"], lambda i: i["handoff"]["kind"] == "takeover")
    assert len(await house.refunds()) == 1
    assert shown["reply"] is not None
    assert shown["handoff"]["kind"] == "takeover"


async def test_H2_a_yes_to_one_refund_is_no_yes_to_another_whatever_temporal_is_told(house: House) -> None:
    """Somebody with access to Temporal signals the workflow of B with the approval of A."""
    await house.customer("cust_w", plan="enterprise")
    await house.invoice("inv_1", 15_000, customer_id="cust_w")
    await house.invoice("inv_2", 90_000, customer_id="cust_w")
    first, second = [
        (await house.chat(f"Please refund invoice {i}", customer_id="cust_w")).json() for i in ("inv_1", "inv_2")
    ]
    await decide(house, first, "approve", digest=await digest_of(house, first))
    await house.until_finished(first["interactionId"])
    forged = HandoffId(first["handoff"]["id"]), HandoffId(second["handoff"]["id"])
    workflow = house.temporal.get_workflow_handle(ids.handoff(DEMO, forged[1]))
    for handoff_id in forged:
        said = Resolution(handoff_id=handoff_id, decision=HandoffDecision.APPROVED)
        await workflow.signal(HandoffWorkflow.decided, said)

    shown = await house.until(second["interactionId"], lambda i: i["handoff"]["kind"] == "takeover")
    assert (shown["status"], [r.invoice_id for r in await house.refunds()]) == ("waiting_for_human", ["inv_1"])


async def test_there_is_nothing_to_approve_in_a_takeover(house: House) -> None:
    await house.customer()
    asked = (await house.chat("I want a human")).json()
    refused = await decide(house, asked, "approve", digest="0" * 64)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_wanting_a_human_is_acknowledged_and_answered_by_one(house: House) -> None:
    await house.customer()
    asked = (await house.chat("I want to talk to a person")).json()
    assert asked["handoff"]["kind"] == "takeover"
    assert "colleague" in asked["reply"]
    await decide(house, asked, "resolve", reply="Hello, this is Ana.")
    assert (await house.until_finished(asked["interactionId"]))["reply"] == "Hello, this is Ana."


async def test_a_missing_scope_cannot_decide(house: House, asked: dict[str, Any]) -> None:
    key = await house.key("ingest")
    refused = await house.http.post(
        f"/handoffs/{asked['handoff']['id']}/reject", json={}, headers={"Authorization": f"Bearer {key}"}
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


async def test_another_organisations_handoff_does_not_exist(house: House, asked: dict[str, Any]) -> None:
    key = await house.key("admin", organisation="other")
    path = f"/handoffs/{asked['handoff']['id']}/reject"
    foreign = await house.http.post(path, json={}, headers={"Authorization": f"Bearer {key}"})
    missing = await house.http.post(
        "/handoffs/hnd_000000000000/reject", json={}, headers={"Authorization": f"Bearer {key}"}
    )
    assert (foreign.status_code, foreign.json()) == (404, missing.json())


async def test_a_calendar_that_ends_tomorrow_keeps_nobody_from_asking_a_person(house: House) -> None:
    today = datetime.now(UTC)
    hours = f"{today:%Y %b %d} 00:00-24:00; {today + timedelta(days=1):%Y %b %d} 00:00-01:00"
    body = {"timeZone": "UTC", "openingHours": hours, "regions": ["ending"]}
    put = await house.http.put("/calendars/ends", json=body)
    assert put.status_code == 200, put.text
    await house.customer("cust_ends", plan="free", region="ending")
    answer = (await house.chat("I want to talk to a human", customer_id="cust_ends")).json()
    assert answer["status"] == "waiting_for_human", answer
    detail = (await house.http.get(f"/handoffs/{answer['handoff']['id']}")).json()
    assert [clock["state"] for clock in detail["clocks"]] == ["running"] * 3
