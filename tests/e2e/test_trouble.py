"""When something of ours is broken: nobody waits for ever, and a person is asked where there is one to ask."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.llm.embedded import EmbeddedIntentModel
from domain.ports import IntentScores
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
