"""D-6: what has had its time goes, by the clock and by class; what is open or held stays, and so do the figures."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.retention import RetentionActivities
from adapters.failpoints import NoFailpoints
from adapters.llm.embedded import EmbeddedIntentModel
from domain.audit import SealInput
from domain.erasure import Attempt, ErasureRef, Tombstone
from domain.retention import RULES, DataClass, RetentionResult
from domain.values import CustomerId
from schema.erasures import ErasureRepository
from schema.interactions import InteractionRepository
from schema.retention import Batch, RetentionRepository
from schema.rollups import RollupRepository
from tests.canaries import Canaries
from tests.e2e.test_erasure import canaries_in, until
from tests.e2e.test_handoffs import digest_of
from tests.house import DEMO, House, open_house
from tests.postgres import PostgresServer
from tests.schema.given import request
from tests.temporal import DevServer
from worker import Parts, eraser
from workflows import ids
from workflows.schedules import ensure_schedules

YEAR = timedelta(days=366)


@pytest.fixture
async def house(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> AsyncIterator[House]:
    """Its words stand in clear, so that one sees in the tables whether they are gone."""
    clear = {"customer_plaintext": True}
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents, settings=clear) as made:
        yield made


async def run(house: House, days: float = 366, *, batch: int = 250) -> RetentionResult:
    """A run so many days from now."""
    at = datetime.now(UTC) + timedelta(days=days)
    activities = RetentionActivities(house.db, now=lambda: at, failpoints=NoFailpoints(), batch=batch)
    return await ActivityEnvironment().run(activities.end)


async def keep(house: House, **days: int) -> None:
    answer = await house.http.put("/retention", json={"days": days})
    assert answer.status_code == 200, answer.text


async def hold(house: House, customer: str | None = "cust_1", **fields: Any) -> str:
    answer = await house.http.post("/holds", json={"customerId": customer, "reason": "a dispute", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def release(house: House, hold_id: str) -> None:
    answer = await house.http.post(f"/holds/{hold_id}/release", json={"note": "settled"})
    assert answer.status_code == 200, answer.text


async def told(house: House, customer: str, canaries: Canaries) -> str:
    """Somebody asks for much, a person says yes and notes something, the money goes back, and a mail."""
    await house.customer(customer, email=f"{customer}@example.com", plan="enterprise")
    await house.invoice("inv_1", 48_000, customer_id=customer)
    asked = (await house.chat(f"please refund inv_1, {canaries['said']}", customer_id=customer)).json()
    handoff = asked["handoff"]["id"]
    noted = await house.http.post(f"/handoffs/{handoff}/notes", json={"note": canaries["noted"]})
    assert noted.status_code in {200, 201}, noted.text
    yes = {"digest": await digest_of(house, asked), "note": canaries["because"]}
    assert (await house.http.post(f"/handoffs/{handoff}/approve", json=yes)).status_code == 200
    await house.until_settled(asked["interactionId"])
    return str(asked["interactionId"])


async def events(house: House, action: str) -> list[dict[str, Any]]:
    return list((await house.http.get("/audit", params={"action": action, "limit": 200})).json()["items"])


async def test_D6_what_was_said_goes_when_its_time_is_over_and_not_before(
    house: House, postgres: PostgresServer
) -> None:
    canaries = Canaries()
    interaction = await told(house, "cust_1", canaries)
    url = house.settings.database_url
    assert (await run(house, 29)).rows == 0
    assert canaries_in(postgres, url, canaries) == set(canaries.words), "the control"
    ended = await run(house)
    assert ended.rows
    assert canaries_in(postgres, url, canaries) == set()
    shown = (await house.http.get(f"/interactions/{interaction}")).json()
    assert (shown["status"], shown["message"], shown["intent"]) == ("completed", "erased", "refund_request")
    assert [r.amount for r in await house.refunds()] == [48_000], "what was paid back stays paid back"
    for path in ("decision", "effects", "timeline", ""):
        assert (await house.http.get(f"/interactions/{interaction}/{path}".rstrip("/"))).status_code in {200, 404}
    assert await run(house) == RetentionResult(rows=0, done=True), "again, there is nothing to do"


async def test_D6_the_figures_are_the_same_before_and_after_counted_or_not(house: House) -> None:
    await told(house, "cust_1", Canaries())
    now = datetime.now(UTC)
    window = {"from": (now - timedelta(hours=2)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}

    async def figures() -> dict[str, Any]:
        shown = dict((await house.http.get("/metrics/dashboard", params=window)).json())
        return {name: value for name, value in shown.items() if name not in {"countedUntil", "window", "at"}}

    before = await figures()
    assert before["interactions"]["received"] == 1, "the control"
    assert (await run(house)).rows
    assert await figures() == before
    async with house.db.transaction(DEMO) as session:  # and counted only now, from rows without words
        await RollupRepository(session).roll(datetime.now(UTC) + timedelta(minutes=1))
    assert await house.count("metric_hours")
    assert await figures() == before


async def test_D6_the_audit_still_verifies_and_says_what_went(house: House, postgres: PostgresServer) -> None:
    interaction = await told(house, "cust_1", Canaries())
    await run(house)
    begun, done = await events(house, "retention.begun"), await events(house, "retention.done")
    assert {e["subject"] for e in begun} == {e["subject"] for e in done} >= {"interactions", "handoffs", "deliveries"}
    counted = {e["subject"]: e["details"]["rows"] for e in done}
    assert (counted["interactions"], counted["handoffs"]) == (1, 1)
    assert await verdict(house) == []
    url = house.settings.database_url
    with postgres.owner(url) as owner:  # the control: somebody writes other words and says it was time
        owner.execute('UPDATE decisions SET facts = \'{"code": "forged"}\' WHERE interaction_id = %s', [interaction])
        owner.execute("UPDATE interactions SET emptied_at = finished_at WHERE id = %s", [interaction])
    assert "ledger_differs" in await verdict(house)


async def verdict(house: House) -> list[str]:
    """What is wrong with the audit, once all of it is sealed."""
    async with asyncio.timeout(60):
        while True:
            await house.temporal.execute_workflow(
                ids.AUDIT_SEAL_WORKFLOW, SealInput(), id="audit-seal-x", task_queue=house.settings.task_queue
            )
            found = (await house.http.get("/audit/verify")).json()
            if not found["pending"]:
                return [finding["problem"] for finding in found["findings"]]


async def test_D6_what_is_open_stays_whatever_its_age(house: House, postgres: PostgresServer) -> None:
    canaries = Canaries()
    await house.customer("cust_1", plan="enterprise")
    await house.invoice("inv_1", 48_000, customer_id="cust_1")
    asked = (await house.chat(f"refund {canaries['said']}", customer_id="cust_1")).json()
    await run(house, 20 * 365)
    assert canaries_in(postgres, house.settings.database_url, canaries) == {"said"}
    no = await house.http.post(f"/handoffs/{asked['handoff']['id']}/reject", json={})
    assert no.status_code == 200, no.text
    await house.until_settled(asked["interactionId"])
    await run(house, 20 * 365)
    assert canaries_in(postgres, house.settings.database_url, canaries) == set()


@pytest.mark.parametrize("whom", ["cust_1", None])
async def test_D6_a_hold_beats_time_until_it_is_released(
    house: House, postgres: PostgresServer, whom: str | None
) -> None:
    mine, others = Canaries(), Canaries()
    await told(house, "cust_1", mine)
    await told(house, "cust_2", others)
    url, hold_id = house.settings.database_url, await hold(house, whom)
    await run(house)
    assert canaries_in(postgres, url, mine) == set(mine.words)
    assert canaries_in(postgres, url, others) == (set() if whom else set(others.words))
    await release(house, hold_id)
    twice = await house.http.post(f"/holds/{hold_id}/release", json={"note": "again"})
    assert (twice.status_code, twice.json()["code"]) == (409, "conflict")
    await run(house)
    assert canaries_in(postgres, url, mine) == set()
    for action in ("hold.placed", "hold.released"):
        (event,) = await events(house, action)
        assert (event["subject"], event["details"]) == (hold_id, {"whom": whom or "everybody"})


async def test_D6_a_hold_that_is_placed_between_two_batches_stops_the_second(
    house: House, postgres: PostgresServer
) -> None:
    said = Canaries()
    await house.customer("cust_1")
    for n in range(4):
        answer = (await house.chat(f"hello {said[str(n)]}", customer_id="cust_1")).json()
        await house.until_settled(answer["interactionId"])
    at = datetime.now(UTC) + YEAR
    async with house.db.transaction(DEMO) as session:
        assert await RetentionRepository(session).end_some(DataClass.INTERACTIONS, at, 2) == Batch(2, done=False)
    hold_id = await hold(house)
    async with house.db.transaction(DEMO) as session:
        assert await RetentionRepository(session).end_some(DataClass.INTERACTIONS, at, 2) == Batch(0, done=True)
    assert len(canaries_in(postgres, house.settings.database_url, said)) == 2
    await release(house, hold_id)
    await run(house)
    assert canaries_in(postgres, house.settings.database_url, said) == set()
    assert [e["details"]["rows"] for e in await events(house, "retention.done") if e["subject"] == "interactions"] == [
        2,
        2,
    ]


async def test_D6_a_hold_that_is_over_by_itself_holds_nothing(house: House, postgres: PostgresServer) -> None:
    canaries = Canaries()
    await told(house, "cust_1", canaries)
    over = datetime.now(UTC) + timedelta(days=400)
    hold_id = await hold(house, expiresAt=over.isoformat())
    await run(house)
    assert canaries_in(postgres, house.settings.database_url, canaries) == set(canaries.words)
    await run(house, 401)
    assert canaries_in(postgres, house.settings.database_url, canaries) == set()
    assert (await house.http.get(f"/holds/{hold_id}")).json()["holds"], "today it still does"


async def test_D6_a_hold_beats_the_wish_to_be_forgotten(house: House) -> None:
    await house.customer("cust_1")
    hold_id = await hold(house)
    refused = await house.http.post("/customers/cust_1/erase", json={"requestId": "r1"})
    assert (refused.status_code, refused.json()["code"], refused.json()["hold"]) == (409, "legal_hold", hold_id)
    (event,) = await events(house, "customer.erasure_refused")
    assert (event["subject"], event["details"]) == ("cust_1", {"hold": hold_id})
    assert (await house.http.get("/customers/cust_1")).status_code == 200
    await release(house, hold_id)
    asked = await house.http.post("/customers/cust_1/erase", json={"requestId": "r1"})
    assert asked.status_code == 202, "it burnt no request id"
    await until(house, asked.json()["id"])
    shown = (await house.http.get(f"/holds/{hold_id}")).json()
    assert (shown["customerId"], shown["reason"], shown["releaseNote"]) == ("erased", "erased", "erased")


async def test_D6_a_hold_that_came_before_an_erasure_was_done_is_waited_out(
    house: House, intents: EmbeddedIntentModel
) -> None:
    await house.customer("cust_1")
    stone = Tombstone(id="ers_held0", organisation=DEMO, subject="s", by="ana", at=datetime.now(UTC))
    async with house.db.transaction(DEMO) as session:
        await ErasureRepository(session).request(stone, CustomerId("cust_1"), "r1")
    hold_id = await hold(house)
    erasures = eraser(house.settings, house.db, Parts.of(house.settings, intents=intents))
    ref, steps = ErasureRef(organisation=DEMO, erasure_id=stone.id), ActivityEnvironment()
    assert await steps.run(erasures.erase, ref) == Attempt(is_held=True)
    assert (await house.http.get("/customers/cust_1")).status_code == 200
    assert not list(house.settings.tombstone_folder.glob("*.json")), "a backup is not to forget them either"
    await release(house, hold_id)
    assert await steps.run(erasures.erase, ref) == Attempt(is_held=False)
    assert (await house.http.get("/customers/cust_1")).status_code == 404


async def test_D6_a_shorter_time_counts_from_the_next_run_and_a_longer_one_brings_nothing_back(
    house: House, postgres: PostgresServer
) -> None:
    canaries = Canaries()
    await told(house, "cust_1", canaries)
    url = house.settings.database_url
    at_first = (await house.http.get("/retention")).json()
    assert (at_first["version"], {c["name"]: c["days"] for c in at_first["classes"]}) == (
        0,
        {each.value: rule.default for each, rule in RULES.items()},
    )
    await keep(house, interactions=30, handoffs=30, deliveries=30)
    await keep(house, interactions=30, handoffs=30, deliveries=30)
    assert (await house.http.get("/retention")).json()["version"] == 1, "the same words are the same version"
    (event,) = await events(house, "retention.changed")
    said = event["details"]["before"]["interactions"], event["details"]["after"]["interactions"]
    assert said == (365, 30)
    stale = await house.http.put("/retention", json={"days": {}, "expectedVersion": 0})
    assert (stale.status_code, stale.json()["version"]) == (409, 1)
    for days in ({"interactions": 29}, {"interactions": 3_651}):
        refused = await house.http.put("/retention", json={"days": days})
        assert (refused.status_code, refused.json()["fields"]) == (422, ["days.interactions"])
    assert (await house.http.put("/retention", json={"days": {"audit": 30}})).status_code == 422, "never the audit"
    await run(house, 31)
    assert canaries_in(postgres, url, canaries) == set()
    await keep(house, interactions=3_650)
    assert (await run(house, 400)).rows >= 0
    assert canaries_in(postgres, url, canaries) == set()


async def test_D6_a_run_and_an_erasure_at_once_leave_nothing_and_lose_nobody_else(
    house: House, postgres: PostgresServer
) -> None:
    mine, others = Canaries(), Canaries()
    await told(house, "cust_1", mine)
    for n in range(6):
        answer = (await house.chat(f"hello {mine[str(n)]}", customer_id="cust_1")).json()
        await house.until_settled(answer["interactionId"])
    await told(house, "cust_2", others)
    hold_id = await hold(house, "cust_2")
    asked, _ = await asyncio.gather(
        house.http.post("/customers/cust_1/erase", json={"requestId": "r1"}), run(house, batch=1)
    )
    assert asked.status_code == 202
    await until(house, asked.json()["id"])
    assert canaries_in(postgres, house.settings.database_url, mine) == set()
    assert canaries_in(postgres, house.settings.database_url, others) == set(others.words)
    assert await verdict(house) == []
    await release(house, hold_id)


async def test_D6_the_schedule_runs_it_and_a_repeated_run_does_nothing(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> None:
    """The worker's clock is a year ahead; the run is Temporal's."""
    parts: dict[str, Any] = {"intents": intents, "now": lambda: datetime.now(UTC) + YEAR}
    async with open_house(database_url_of_test, temporal.address, tmp_path, **parts) as house:
        await house.customer()
        sent = request("req_old", organisation=DEMO, customer_id=CustomerId("cust_123"), created_at=datetime.now(UTC))
        async with house.db.transaction(DEMO) as session:
            old = (await InteractionRepository(session).claim(sent)).interaction.id
            ended = "UPDATE interactions SET status = 'completed', finished_at = now() WHERE id = :id"
            await session.run(text(ended), id=old)
        await ensure_schedules(house.temporal, house.settings.task_queue)
        schedule = house.temporal.get_schedule_handle("retention")
        spec = (await schedule.describe()).schedule.spec
        assert [interval.every for interval in spec.intervals] == [timedelta(hours=1)]
        await schedule.trigger()
        async with asyncio.timeout(30):
            while not await events(house, "retention.done"):  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.1)
        shown = (await house.http.get(f"/interactions/{old}")).json()
        assert shown["message"] in {None, "erased"}
        again = await house.temporal.execute_workflow(
            ids.RETENTION_WORKFLOW, id="retention-x", task_queue=house.settings.task_queue, result_type=RetentionResult
        )
        assert again == RetentionResult(rows=0, done=True)
