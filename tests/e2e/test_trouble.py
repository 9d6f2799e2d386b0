"""When something of ours is broken: nobody waits for ever, and a person is asked where there is one to ask."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.llm.embedded import EmbeddedIntentModel
from domain.ports import IntentScores
from schema.handoffs import HandoffRepository
from tests.house import DEMO, House, open_house
from tests.temporal import DevServer


class Broken:
    """An intent model with a bug."""

    def classify(self, text: str) -> IntentScores:
        raise ZeroDivisionError("with the customer's words in its message: " + text)


@pytest.mark.parametrize(("mode", "status"), [("live", "waiting_for_human"), ("shadow", "failed")])
async def test_a_bug_in_a_step_ends_as_a_handoff_or_in_shadow_as_a_failure(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, mode: str, status: str
) -> None:
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=Broken()) as house:
        await house.customer()
        answer = (await house.chat("the app crashes whenever I log in", mode=mode, requestId="r1")).json()
        again = (await house.chat("the app crashes whenever I log in", mode=mode, requestId="r1")).json()
    assert (answer["status"], again["replayed"]) == (status, True)
    assert (answer["handoff"] is not None) == (mode == "live")
    assert "wasn't able to complete" in answer["reply"]


async def test_a_decision_that_was_heard_before_a_crash_could_mark_it_is_not_told_for_ever(house: House) -> None:
    await house.customer()
    asked = (await house.chat("I want a human")).json()
    path = f"/handoffs/{asked['handoff']['id']}/resolve"
    assert (await house.http.post(path, json={"reply": "Hello, this is Ana."})).status_code == 200
    await house.until_finished(asked["interactionId"])
    async with house.db.transaction(DEMO) as session:  # as if the process had died between signal and mark
        await session.run(text("UPDATE handoffs SET told_at = NULL WHERE organisation = :organisation"))
    assert len(await house.db.untold_handoffs()) == 1

    async with asyncio.timeout(30):
        while await house.db.untold_handoffs():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.1)


async def test_an_invoice_keeps_its_currency_once_money_of_it_moved(house: House) -> None:
    await house.customer()
    await house.invoice("inv_1", 5_000)
    assert (await house.chat("refund please")).json()["status"] == "completed"
    path = "/customers/cust_123/invoices/inv_1"
    other = {"total": {"amount": 9_000, "currency": "USD"}, "status": "paid"}
    refused = await house.http.put(path, json=other)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    same = {"total": {"amount": 9_000, "currency": "EUR"}, "status": "paid"}
    assert (await house.http.put(path, json=same)).json()["refundable"]["amount"] == 4_000


def test_the_shipped_model_is_not_the_broken_one(intents: EmbeddedIntentModel) -> None:
    """The negative control: the same message is understood by the model that is shipped."""
    assert intents.classify("the app crashes whenever I log in").best[1] > 0


async def test_a_withdrawn_handoff_whose_workflow_is_gone_is_not_told_for_ever(house: House) -> None:
    await house.customer()
    await house.chat("I want a human")
    async with house.db.transaction(DEMO) as session:  # another handoff took its place, and nothing waits for it
        await session.run(
            text(
                "INSERT INTO handoffs (organisation, id, interaction_id, customer_id, kind, status, priority, reason,"
                " confidence, digest, proposed, issues, opened_at, sla_due_at, decided_at, decided_by, decision,"
                " revision) SELECT organisation, 'hnd_gone', interaction_id, customer_id, 'validation', 'resolved',"
                " priority, reason, confidence, digest, proposed, issues, opened_at, sla_due_at, opened_at, 'system',"
                " 'withdrawn', 0 FROM handoffs WHERE organisation = :organisation"
            )
        )
    async with asyncio.timeout(30):
        while await house.db.untold_handoffs():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.1)
    async with house.db.transaction(DEMO) as session:
        row = await session.first(
            text("SELECT told_at, tell_at FROM handoffs WHERE organisation = :organisation AND id = 'hnd_gone'")
        )
    assert row is not None
    assert (row.told_at is not None, row.tell_at) == (True, None)


@pytest.mark.parametrize(("verb", "body"), [("claim", None), ("reassign", {"to": "otto"})])
async def test_who_waits_for_a_handoff_is_on_record_with_the_time_of_their_turn(
    house: House, verb: str, body: dict[str, str] | None
) -> None:
    await house.customer()
    await house.key("operator", name="otto")
    handoff_id = (await house.chat("I want a human")).json()["handoff"]["id"]
    waiting = text("SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND :organisation <> ''")
    async with house.db.transaction(DEMO) as session:
        await HandoffRepository(session).lock(handoff_id)
        turn = asyncio.create_task(house.http.post(f"/handoffs/{handoff_id}/{verb}", json=body))
        async with asyncio.timeout(20):
            while not (row := await session.first(waiting)) or not row.n:  # noqa: ASYNC110 - another process does
                await asyncio.sleep(0.05)
        released = datetime.now(UTC)
    assert (await turn).status_code == 200
    async with house.db.transaction(DEMO) as session:
        events = await HandoffRepository(session).events(handoff_id)
    assert events[-1].at >= released
