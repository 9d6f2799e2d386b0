"""What other systems hear of an interaction and its handoff: each with the change it tells of, and once."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.replies import ReplyActivities
from adapters.failpoints import NoFailpoints
from domain.interaction import InteractionRef
from domain.tools import TOOLS
from domain.values import Mode
from domain.webhook import DomainEvent, EventType
from schema.deliveries import DeliveryRepository
from schema.events import EventRepository
from tests.e2e.test_approvals import Desk
from tests.e2e.test_handoffs import asked
from tests.house import DEMO, House
from tests.receiver import Heard, Receiver, receiver

__all__ = ["asked"]

HANDOFFS = ["handoff.opened", "handoff.decided", "handoff.breached"]
INTERACTIONS = ["interaction.completed", "interaction.waiting_for_human", "interaction.refused", "interaction.failed"]


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


class TestInteractions:
    @pytest.fixture
    async def hook(self, house: House) -> AsyncIterator[Receiver]:
        async with receiver() as world:
            await house.http.post("/webhooks", json={"url": world.url, "eventTypes": INTERACTIONS})
            yield world

    @pytest.mark.parametrize(
        ("amount", "paid_days_ago", "kind", "outcome"),
        [
            (4_900, 5, "completed", "proceed"),
            (4_900, 60, "refused", "refuse"),
            (48_000, 3, "waiting_for_human", "ask_human"),
        ],
    )
    async def test_how_it_ended_is_heard(
        self, house: House, hook: Receiver, amount: int, paid_days_ago: int, kind: str, outcome: str
    ) -> None:
        await house.customer()
        await house.invoice("inv_1", amount, paid_days_ago=paid_days_ago)
        answer = (await house.chat("refund please, my name is Anna")).json()
        assert answer["status"] == kind
        (heard,) = await hook.until(1)
        (data,) = told([heard], f"interaction.{kind}")
        assert (data["id"], data["sequence"]) == (answer["interactionId"], 1)
        assert (data["intent"], data["outcome"]) == ("refund_request", outcome)
        assert b"Anna" not in heard.body

    async def test_after_waiting_its_end_is_the_second_event(
        self, house: House, hook: Receiver, asked: dict[str, Any]
    ) -> None:
        desk = Desk(house, asked)
        await desk.say("ana", "approve", digest=await desk.digest())
        heard = await hook.until(2)
        assert [json.loads(h.body)["type"] for h in heard] == [INTERACTIONS[1], INTERACTIONS[0]]
        assert [json.loads(h.body)["data"]["sequence"] for h in heard] == [1, 2]

    async def test_shadow_is_heard_nowhere(self, house: House, hook: Receiver) -> None:
        await house.customer()
        await house.invoice("inv_1", 4_900)
        await house.chat("refund please", mode="shadow")
        await house.chat("refund please")
        (heard,) = await hook.until(1)
        assert json.loads(heard.body)["type"] == "interaction.completed"
        assert len(await recorded(house, "interaction.completed")) == 1

    @pytest.mark.parametrize("mode", ["live", "shadow"])
    async def test_what_could_not_be_finished_is_heard_once_and_not_from_shadow(
        self, house: House, hook: Receiver, asked: dict[str, Any], mode: Mode
    ) -> None:
        with psycopg.connect(house.settings.database_url, autocommit=True) as owner:
            owner.execute("UPDATE interactions SET mode = %s", [mode])
        replies = ReplyActivities(house.db, tools=TOOLS, now=lambda: datetime.now(UTC), failpoints=NoFailpoints())
        ref = InteractionRef(organisation=DEMO, interaction_id=asked["interactionId"], mode=mode)
        committed = [await ActivityEnvironment().run(replies.fail, ref) for _ in range(2)]
        assert {len(c.starts) for c in committed} == ({1} if mode == "live" else {0})
        assert len(await recorded(house, "interaction.failed")) == len(committed[0].starts)


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
