"""Sealing happens by itself."""

import asyncio

from tests.house import House
from workflows.schedules import SCHEDULES, ensure_schedules


async def test_the_schedule_seals_what_happened_and_the_route_says_so(house: House) -> None:
    await house.customer()
    await house.chat("hello")
    for _ in range(2):  # several workers start
        await ensure_schedules(house.temporal, house.settings.task_queue)
    schedule = house.temporal.get_schedule_handle("audit-seal")
    async with asyncio.timeout(30):
        while True:
            await schedule.trigger()
            verdict = (await house.http.get("/audit/verify")).json()
            if verdict["count"] and not verdict["pending"] and verdict["outsideProof"]:
                break
            await asyncio.sleep(0.1)
    assert (verdict["ok"], verdict["confirmedTo"]) == (True, verdict["count"])
    for span, status in (("from=1&to=1", 200), ("from=2&to=1", 422)):
        assert (await house.http.get(f"/audit/verify?{span}")).status_code == status, "nothing checked is not sound"
    listed = (await house.http.get("/audit")).json()["items"]
    assert {event["sequence"] for event in listed} == set(range(1, verdict["count"] + 1))
    await house.http.get("/audit/export.json")
    exported = (await house.http.get("/audit?action=audit.exported")).json()["items"]
    assert [event["details"] for event in exported] == [{"format": "json", "filters": {}}]


async def test_what_happened_to_a_customer_is_found_under_the_customer(house: House) -> None:
    await house.customer()
    here = (await house.chat("hello")).json()["conversationId"]
    await house.http.put("/customers/cust_123/consents/email", json={"status": "granted", "expectedVersion": 0})
    await house.http.post(f"/conversations/{here}/takeover", json={})
    query = {"customerId": "cust_123"}
    found = {e["action"] for e in (await house.http.get("/audit", params=query)).json()["items"]}
    assert found >= {"customer.stored", "consent.changed", "conversation.taken_over", "interaction.completed"}
    exported = (await house.http.get("/audit/export.json", params=query)).json()["events"]
    assert found == {e["action"] for e in exported}
    for other in ({"customerId": "cust_other"}, query | {"interactionId": "int_missing0"}):
        assert (await house.http.get("/audit", params=other)).json()["items"] == []


async def test_a_paused_schedule_stays_paused_when_a_worker_starts(house: House) -> None:
    await ensure_schedules(house.temporal, house.settings.task_queue)
    schedule = house.temporal.get_schedule_handle(SCHEDULES[0].id)
    await schedule.pause(note="looking into it")
    await ensure_schedules(house.temporal, house.settings.task_queue)
    assert (await schedule.describe()).schedule.state.paused
