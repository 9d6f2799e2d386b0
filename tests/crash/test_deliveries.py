"""kill -9 around an attempt to deliver, and between a decision and the word of it: told all the same, under one id."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.crash.test_failpoints import models
from tests.house import House
from tests.postgres import PostgresServer
from tests.processes import Processes, processes, until_answered
from tests.receiver import Receiver, receiver
from tests.temporal import DevServer

pytestmark = pytest.mark.crash
__all__ = ["models"]


@pytest.fixture(scope="module")
async def running(
    postgres: PostgresServer, temporal: DevServer, tmp_path_factory: pytest.TempPathFactory, models: Path
) -> Any:
    url = postgres.create()
    async with processes(url, temporal, tmp_path_factory.mktemp("deliveries"), models) as both:
        yield both
    postgres.drop(url)


@pytest.fixture
async def hook(running: tuple[Processes, House]) -> AsyncIterator[tuple[Receiver, str]]:
    """A subscribed receiver, and its webhook's id."""
    both, house = running
    await both.ready(house.http)
    async with receiver() as world:
        body = {"url": world.url, "eventTypes": ["handoff.decided"]}
        answer = await house.http.post("/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        yield world, answer.json()["id"]
        await house.http.delete(f"/webhooks/{answer.json()['id']}")


async def until(house: House, delivery_id: str, status: str = "delivered") -> dict[str, Any]:
    shown: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while shown.get("status") != status:
            with contextlib.suppress(httpx2.TransportError):
                shown = (await house.http.get(f"/deliveries/{delivery_id}")).json()
            await asyncio.sleep(0.05)
    return shown


@pytest.mark.parametrize(("failpoint", "heard"), [("F12", 1), ("F13", 2)])
async def test_W3_a_worker_killed_around_an_attempt_leaves_one_event_under_one_id(
    running: tuple[Processes, House], hook: tuple[Receiver, str], failpoint: str, heard: int
) -> None:
    both, house = running
    world, webhook_id = hook
    both.arm("worker", failpoint)
    delivery_id = (await house.http.post(f"/webhooks/{webhook_id}/test")).json()["deliveryId"]
    await both.died("worker")
    assert len(world.heard) == heard - 1, "F12 is before the call, F13 after it"
    await both.restart("worker")
    shown = await until(house, delivery_id)
    assert [event["status"] for event in shown["history"]] == ["attempting", "lost", "attempting", "delivered"]
    assert {h.id for h in world.heard} == {shown["webhookId"]}
    assert len(world.heard) == heard


@pytest.mark.parametrize("failpoint", ["F12", "F13"])
async def test_R9_a_worker_killed_around_a_mail_leaves_one_message_id(
    running: tuple[Processes, House], failpoint: str
) -> None:
    both, house = running
    await both.ready(house.http)
    customer = f"cust_mail_{failpoint}"
    await house.customer(customer, email=f"{customer}@example.com")
    await house.invoice("inv_1", 4_900, customer_id=customer)
    body = {"customerId": customer, "message": "refund please", "requestId": "req_1"}
    both.arm("worker", failpoint)
    asked = asyncio.create_task(until_answered(house.http, "/chat", body))
    await both.died("worker")
    await both.restart("worker")
    ended = await house.until_settled((await asked).json()["interactionId"])
    assert [(a["tool"], a["effect"]) for a in ended["actions"]] == [
        ("issue_refund", "confirmed"),
        ("send_email", "confirmed"),
    ]
    mails = [m for m in house.mails() if m["To"] == f"{customer}@example.com"]
    assert len({m["Message-ID"] for m in mails}) == 1
    assert len(mails) <= (1 if failpoint == "F12" else 2)


async def test_W5_a_decision_whose_api_died_before_anybody_was_told_is_told_by_the_next_process(
    running: tuple[Processes, House], hook: tuple[Receiver, str]
) -> None:
    both, house = running
    world, _ = hook
    await house.customer("cust_w5", plan="enterprise")
    await house.invoice("inv_1", 48_000, customer_id="cust_w5")
    body = {"customerId": "cust_w5", "message": "refund please", "requestId": "req_1"}
    asked = (await until_answered(house.http, "/chat", body)).json()
    both.arm("api", "F9")
    with contextlib.suppress(httpx2.TransportError):
        await house.http.post(f"/handoffs/{asked['handoff']['id']}/reject", json={})
    await both.died("api")
    assert world.heard == []
    await both.restart("api")
    await both.ready(house.http)
    (heard,) = await world.until(1)
    event = json.loads(heard.body)
    assert (event["type"], event["data"]["decision"]) == ("handoff.decided", "rejected")
    await house.until_settled(asked["interactionId"])
    assert len(world.heard) == 1


async def test_a_dead_letter_survives_the_death_of_every_process_and_is_redriven(
    running: tuple[Processes, House], hook: tuple[Receiver, str]
) -> None:
    both, house = running
    world, webhook_id = hook
    world.faults.append("410 Gone")
    delivery_id = (await house.http.post(f"/webhooks/{webhook_id}/test")).json()["deliveryId"]
    path = f"/deliveries/{delivery_id}"
    await until(house, delivery_id, "dead_letter")
    await asyncio.gather(both.restart("api"), both.restart("worker"))
    await both.ready(house.http)
    assert (await house.http.get(path)).json()["reason"] == "gone"
    await house.http.patch(f"/webhooks/{webhook_id}", json={"enabled": True})
    assert (await house.http.post(f"{path}/redrive", json={})).status_code == 200
    shown = await until(house, delivery_id)
    assert {h.id for h in world.heard} == {shown["webhookId"]}
    assert (len(world.heard), shown["round"]) == (2, 1)
