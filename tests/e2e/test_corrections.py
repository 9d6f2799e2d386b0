"""A person says what was meant, and the agent goes on with the same interaction, under the same rules."""

import asyncio
import contextlib
from typing import Any

import httpx2
import pytest
from temporalio.service import RPCError

from domain.handoff import HandoffDecision, Resolution
from domain.values import HandoffId
from tests.house import DEMO, House
from workflows import ids
from workflows.handoff import HandoffWorkflow

UNCLEAR = "xyzzy plugh"
REFUND = {"intent": "refund_request", "invoiceId": "inv_1001"}


@pytest.fixture
async def asked(house: House) -> dict[str, Any]:
    """A message nobody understands, of a customer with a small and a large invoice."""
    await house.customer(plan="enterprise")
    await house.invoice("inv_1001", 4_900)
    await house.invoice("inv_2001", 48_000)
    answer = (await house.chat(UNCLEAR, requestId="r1")).json()
    assert answer["handoff"]["kind"] == "takeover", answer
    return dict(answer)


async def correct(house: House, handoff_id: str, **correction: Any) -> httpx2.Response:
    body = {"continue": True, "correction": correction}
    return await house.http.post(f"/handoffs/{handoff_id}/resolve", json=body)


def stages(shown: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m["data"]["stage"], m["what"]) for m in shown["timeline"] if m["kind"] == "decision"]


async def test_a_corrected_message_is_carried_out_by_the_agent(house: House, asked: dict[str, Any]) -> None:
    assert (await correct(house, asked["handoff"]["id"], **REFUND)).status_code == 200
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], stages(ended)) == ("completed", [("first", "ask_human"), ("corrected:1", "proceed")])
    assert [(r.invoice_id, r.amount) for r in await house.refunds()] == [("inv_1001", 4_900)]
    assert "EUR 49.00" in ended["reply"]
    assert (ended["decision"]["outcome"], ended["intent"]) == ("proceed", "refund_request"), "what holds is shown"
    assert (await house.chat(UNCLEAR, requestId="r1")).json()["reply"] == asked["reply"], "the first answer stays"


async def test_a_correction_raises_no_limit_and_what_needs_approval_still_needs_it(
    house: House, asked: dict[str, Any]
) -> None:
    await correct(house, asked["handoff"]["id"], intent="refund_request", invoiceId="inv_2001")
    shown = await house.until(asked["interactionId"], lambda i: i["handoff"]["kind"] == "approval")
    assert (shown["status"], await house.refunds()) == ("waiting_for_human", [])
    handoff = (await house.http.get(f"/handoffs/{shown['handoff']['id']}")).json()
    assert handoff["reason"] == "over_auto_limit"
    approved = await house.http.post(f"/handoffs/{handoff['id']}/approve", json={"digest": handoff["digest"]})
    assert approved.status_code == 200, approved.text
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], [r.amount for r in await house.refunds()]) == ("completed", [48_000])


async def test_what_the_rules_refuse_stays_refused(house: House, asked: dict[str, Any]) -> None:
    await house.invoice("inv_1001", 4_900, paid_days_ago=60)
    await correct(house, asked["handoff"]["id"], **REFUND)
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], await house.refunds()) == ("refused", [])
    assert "refund window" in ended["reply"]


async def test_a_correction_may_lead_to_a_person_again_three_times_and_no_more(
    house: House, asked: dict[str, Any]
) -> None:
    handoff, seen = asked["handoff"]["id"], [asked["handoff"]["id"]]
    for _ in range(3):
        assert (await correct(house, handoff, intent="cancellation")).status_code == 200
        shown = await house.until(asked["interactionId"], lambda i: i["handoff"]["id"] not in seen)
        handoff = shown["handoff"]["id"]
        seen.append(handoff)
    refused = await correct(house, handoff, intent="cancellation")
    assert (refused.status_code, refused.json()["reason"]) == (409, "corrections_used_up")
    await house.http.post(f"/handoffs/{handoff}/resolve", json={"reply": "It is cancelled."})
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], ended["reply"]) == ("completed", "It is cancelled.")
    assert [stage for stage, _ in stages(ended)] == ["first", "corrected:1", "corrected:2", "corrected:3"]


async def test_what_a_message_asked_itself_is_no_reason_to_ask_again(house: House, asked: dict[str, Any]) -> None:
    handoff, seen = asked["handoff"]["id"], [asked["handoff"]["id"]]
    await correct(house, handoff, intent="cancellation")
    shown = await house.until(asked["interactionId"], lambda i: i["handoff"]["id"] not in seen)
    await correct(house, shown["handoff"]["id"], **REFUND)
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], len(await house.refunds())) == ("completed", 1)


async def test_repeating_a_correction_changes_nothing_and_another_one_is_too_late(
    house: House, asked: dict[str, Any]
) -> None:
    handoff = asked["handoff"]["id"]
    first = await correct(house, handoff, **REFUND)
    await house.until_finished(asked["interactionId"])
    again = await correct(house, handoff, **REFUND)
    assert (again.status_code, again.json()["decidedAt"]) == (200, first.json()["decidedAt"])
    other = await correct(house, handoff, intent="refund_request", invoiceId="inv_2001")
    assert (other.status_code, other.json()["code"]) == (409, "handoff_already_decided")
    assert len(await house.refunds()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {}, {"continue": True}, {"correction": REFUND}, {"continue": True, "correction": {}},
        {"continue": True, "correction": REFUND, "reply": "hi"}, {"continue": False, "correction": REFUND},
        {"continue": True, "correction": {**REFUND, "limit": 1}}, {"continue": True, "correction": {"amount": 5}},
    ],
)  # fmt: skip
async def test_it_is_words_or_a_correction_and_nothing_else(
    house: House, asked: dict[str, Any], body: dict[str, Any]
) -> None:
    refused = await house.http.post(f"/handoffs/{asked['handoff']['id']}/resolve", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")


async def test_temporals_word_alone_is_no_correction(house: House, asked: dict[str, Any]) -> None:
    """Somebody with access to Temporal says that a person corrected it. Nobody did: a person is asked again."""
    handoff = HandoffId(asked["handoff"]["id"])
    workflow = house.temporal.get_workflow_handle(ids.handoff(DEMO, handoff))
    forged = Resolution(handoff_id=handoff, decision=HandoffDecision.RESOLVED, continues=True)
    first_run = await _run_of(house, workflow.id, other_than="")
    await workflow.signal(HandoffWorkflow.decided, forged)
    await _run_of(house, workflow.id, other_than=first_run)
    shown = (await house.http.get(f"/interactions/{asked['interactionId']}")).json()
    assert (shown["status"], stages(shown), await house.refunds()) == (
        "waiting_for_human",
        [("first", "ask_human")],
        [],
    )
    assert (await correct(house, handoff, **REFUND)).status_code == 200
    assert (await house.until_finished(asked["interactionId"]))["status"] == "completed"


async def _run_of(house: House, workflow_id: str, *, other_than: str) -> str:
    """The workflow's run, once there is one that is not `other_than`."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RPCError):  # it is started a moment after the answer
                run = (await house.temporal.get_workflow_handle(workflow_id).describe()).run_id
                if run != other_than:
                    return run
            await asyncio.sleep(0.02)


async def test_claiming_a_takeover_holds_its_conversation_and_resolving_gives_it_back(
    house: House, asked: dict[str, Any]
) -> None:
    path, here = f"/handoffs/{asked['handoff']['id']}", f"/conversations/{asked['conversationId']}"
    ana, ben = [{"Authorization": f"Bearer {await house.key('operator', name=name)}"} for name in ("ana", "ben")]
    claimed = (await house.http.post(f"{path}/claim", headers=ana)).json()
    held = (await house.http.get(here)).json()
    assert (held["state"], held["heldBy"], held["heldUntil"]) == ("human", "ana", claimed["claimedUntil"])
    joined = (await house.chat("refund please")).json()
    assert (joined["status"], joined["handoff"], await house.refunds()) == ("completed", None, [])
    assert (await house.http.post(f"{here}/takeover", json={}, headers=ben)).status_code == 409
    resolved = await house.http.post(f"{path}/resolve", json={"reply": "Hello, this is Ana."}, headers=ana)
    assert resolved.status_code == 200, resolved.text
    assert (await house.http.get(here)).json()["state"] == "open"
    assert (await house.chat("refund invoice inv_1001 please")).json()["status"] == "completed"
    assert len(await house.refunds()) == 1


async def test_released_reassigned_and_kept(house: House, asked: dict[str, Any]) -> None:
    path, here = f"/handoffs/{asked['handoff']['id']}", f"/conversations/{asked['conversationId']}"
    ana, ben = [{"Authorization": f"Bearer {await house.key('operator', name=name)}"} for name in ("ana", "ben")]
    await house.http.post(f"{path}/claim", headers=ana)
    await house.http.post(f"{path}/release", headers=ana)
    assert (await house.http.get(here)).json()["state"] == "open"
    await house.http.post(f"{path}/claim", headers=ana)
    moved = await house.http.post(f"{path}/reassign", json={"to": "ben"}, headers=ana)
    assert moved.status_code == 200, moved.text
    assert (await house.http.get(here)).json()["heldBy"] == "ben"
    await house.http.post(f"{path}/resolve", json={"reply": "This is Ben.", "keep": True}, headers=ben)
    assert (await house.http.get(here)).json()["heldBy"] == "ben"


async def test_a_takeover_in_a_conversation_somebody_else_holds_is_not_claimed(
    house: House, asked: dict[str, Any]
) -> None:
    path, here = f"/handoffs/{asked['handoff']['id']}", f"/conversations/{asked['conversationId']}"
    ana, ben = [{"Authorization": f"Bearer {await house.key('operator', name=name)}"} for name in ("ana", "ben")]
    await house.http.post(f"{here}/takeover", json={}, headers=ana)
    refused = await house.http.post(f"{path}/claim", headers=ben)
    assert (refused.status_code, refused.json()["by"]) == (409, "ana")
    assert (await house.http.get(path)).json()["status"] == "open"
    assert (await house.http.post(f"{path}/claim", headers=ana)).status_code == 200
