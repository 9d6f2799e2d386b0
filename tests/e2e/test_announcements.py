"""What other systems hear of a handoff's life: opened, late, decided; each with the change it tells of, and once."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from domain.webhook import DomainEvent, EventType
from schema.deliveries import DeliveryRepository
from schema.events import EventRepository
from tests.e2e.test_approvals import Desk
from tests.e2e.test_handoffs import asked
from tests.house import DEMO, House
from tests.receiver import Heard, Receiver, receiver

__all__ = ["asked"]

HANDOFFS = ["handoff.opened", "handoff.decided", "handoff.breached"]


@pytest.fixture
async def hook(house: House) -> AsyncIterator[Receiver]:
    async with receiver() as world:
        answer = await house.http.post("/webhooks", json={"url": world.url, "eventTypes": HANDOFFS})
        assert answer.status_code == 201, answer.text
        yield world


@pytest.fixture
async def desk(house: House, hook: Receiver, asked: dict[str, Any]) -> Desk:
    return Desk(house, asked)


def told(heard: list[Heard], kind: str = "handoff.decided") -> list[dict[str, Any]]:
    events = [json.loads(one.body) for one in heard]
    return [event["data"] for event in events if event["type"] == kind]


async def recorded(house: House, kind: str = "handoff.decided") -> list[str]:
    async with house.db.transaction(DEMO) as session:
        rows = await session.all(text("SELECT subject FROM webhook_events WHERE type = :kind"), kind=kind)
    return [row.subject for row in rows]


async def test_a_decision_over_http_is_heard_after_the_opening(desk: Desk, hook: Receiver) -> None:
    await hook.until(1)
    answer = await desk.say("ana", "approve", digest=await desk.digest())
    assert answer.status_code == 200, answer.text
    heard = await hook.until(2)
    (event,) = told(heard)
    assert event == {
        "id": desk.answer["handoff"]["id"],
        "sequence": 2,
        "interactionId": desk.answer["interactionId"],
        "kind": "approval",
        "decision": "approved",
    }
    assert "ana" not in heard[1].body.decode()
    assert (await desk.say("ana", "approve", digest=await desk.digest())).status_code == 200
    assert await recorded(desk.house) == [event["id"]], "saying it again is no second decision"


@pytest.mark.parametrize(("verb", "decision"), [("reject", "rejected"), ("resolve", "resolved")])
async def test_a_no_and_a_persons_own_answer_are_heard_too(
    desk: Desk, hook: Receiver, verb: str, decision: str
) -> None:
    answer = await desk.say("ana", verb, reply="We called you about it, Anna.")
    assert answer.status_code == 200, answer.text
    heard = await hook.until(2)
    assert [event["decision"] for event in told(heard)] == [decision]
    assert not any(b"Anna" in one.body for one in heard)


async def test_a_yes_by_link_is_heard(desk: Desk, hook: Receiver) -> None:
    await hook.until(1)
    await desk.say("ana", "presence")  # a link is for somebody with a key
    made = await desk.house.http.post(f"{desk.path}/links", json={"approver": "ana"})
    assert made.status_code == 201, made.text
    answer = await desk.house.http.post(made.json()["url"], data={"decision": "approve"})
    assert answer.status_code == 200, answer.text
    assert [event["decision"] for event in told(await hook.until(2))] == ["approved"]


async def test_what_was_over_is_heard_as_expired(desk: Desk, hook: Receiver) -> None:
    await hook.until(1)
    digest = await desk.digest()
    desk.behind_our_back("expires_at = now()")
    assert (await desk.say("ana", "approve", digest=digest)).status_code == 409
    heard = await hook.until(3)
    assert [event["decision"] for event in told(heard)] == ["expired"]
    assert [event["kind"] for event in told(heard, "handoff.opened")] == ["approval", "takeover"]


async def test_W5_what_nobody_set_going_is_set_going(house: House, hook: Receiver) -> None:
    """As if the process had ended between commit and start: the row says that nobody was told."""
    async with house.db.transaction(DEMO) as session:
        event = DomainEvent(EventType.HANDOFF_DECIDED, "hnd_1", datetime.now(UTC))
        (delivery_id,) = await EventRepository(session).record(event)
    (heard,) = await hook.until(1)
    assert told([heard])[0]["id"] == "hnd_1"
    async with house.db.transaction(DEMO) as session:
        assert (await DeliveryRepository(session).get(delivery_id)).source_id == heard.id
