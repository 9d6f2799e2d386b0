"""What other systems are told of a handoff: each fact once, in its order, and by no one who lost a race."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from domain.webhook import EventType
from schema.events import EventRepository
from tests.e2e.test_handoffs import asked, decide, digest_of
from tests.house import DEMO, House
from tests.receiver import Receiver, receiver

__all__ = ["asked"]

HANDOFF = ("handoff.opened", "handoff.decided")


@pytest.fixture
async def hook(house: House) -> AsyncIterator[Receiver]:
    async with receiver() as world:
        types = [*HANDOFF, "interaction.waiting_for_human", "interaction.completed", "interaction.refused"]
        answer = await house.http.post("/webhooks", json={"url": world.url, "eventTypes": types})
        assert answer.status_code == 201, answer.text
        yield world
        await house.http.delete(f"/webhooks/{answer.json()['id']}")


def told(hook: Receiver, subject: str) -> list[dict[str, Any]]:
    """The events about it, in their own order."""
    bodies = [json.loads(heard.body) for heard in hook.heard]
    return sorted((b for b in bodies if b["data"]["id"] == subject), key=lambda b: b["data"]["sequence"])


@pytest.fixture
async def heard(hook: Receiver, asked: dict[str, Any]) -> Receiver:
    """Somebody subscribed before the customer asked."""
    await hook.until(2)
    return hook


async def test_W5_a_decision_over_http_is_told_at_once_with_ids_and_codes_only(
    house: House, heard: Receiver, asked: dict[str, Any]
) -> None:
    handoff_id = asked["handoff"]["id"]
    said = await decide(house, asked, "approve", digest=await digest_of(house, asked), note="Ada is right")
    assert said.status_code == 200
    await heard.until(4)
    opened, decided = told(heard, handoff_id)
    assert (opened["type"], decided["type"]) == HANDOFF
    assert decided["data"] == {
        "id": handoff_id, "sequence": 2, "interactionId": asked["interactionId"], "kind": "approval",
        "decision": "approved",
    }  # fmt: skip
    assert [e["type"] for e in told(heard, asked["interactionId"])] == [
        "interaction.waiting_for_human",
        "interaction.completed",
    ]
    assert b"Ada" not in b"".join(h.body for h in heard.heard)
    await house.until_settled(asked["interactionId"])


async def test_W5_of_many_deciders_at_once_the_one_that_is_heard_is_told_of_once(
    house: House, heard: Receiver, asked: dict[str, Any]
) -> None:
    answers = await asyncio.gather(*(decide(house, asked, "reject", note=f"no {n}") for n in range(10)))
    assert sorted(a.status_code for a in answers)[0] == 200
    await house.until_settled(asked["interactionId"])
    await heard.until(4)
    decided = [e for e in told(heard, asked["handoff"]["id"]) if e["type"] == "handoff.decided"]
    assert [e["data"]["decision"] for e in decided] == ["rejected"]
    assert await house.count("webhook_events") >= 4


async def test_W5_what_is_refused_is_told_to_nobody(house: House, heard: Receiver, asked: dict[str, Any]) -> None:
    assert (await decide(house, asked, "approve", digest="0" * 64)).status_code == 409
    async with house.db.transaction(DEMO) as session:
        assert await EventRepository(session).untold(asked["handoff"]["id"], EventType.HANDOFF_DECIDED) == ()
    await decide(house, asked, "reject")
    await house.until_settled(asked["interactionId"])
    await heard.until(4)
    assert [e["type"] for e in told(heard, asked["handoff"]["id"])] == list(HANDOFF)


async def test_W5_an_approval_that_expired_is_told_as_expired(
    house: House, heard: Receiver, asked: dict[str, Any]
) -> None:
    handoff_id = asked["handoff"]["id"]
    with psycopg.connect(house.settings.database_url, autocommit=True) as owner:
        owner.execute("UPDATE handoffs SET expires_at = now() WHERE id = %s", [handoff_id])
    assert (await decide(house, asked, "reject")).status_code == 409
    await heard.until(3)
    assert [e["data"].get("decision") for e in told(heard, handoff_id)] == [None, "expired"]
