"""Tools in other people's systems: what is certain, what is tried again, and what a person must look at."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from domain.tools import TOOLS
from tests.house import House, open_house
from tests.temporal import DevServer
from tests.world import World, world

TROUBLE = "the app crashes whenever I log in"
N = 60


@pytest.fixture
async def outside() -> AsyncIterator[World]:
    async with world() as here:
        yield here


@pytest.fixture
async def keyed(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel, outside: World
) -> AsyncIterator[House]:
    """A house whose ticket system recognises keys."""
    tools = {**TOOLS, "create_ticket": outside.tool(idempotent=True)}
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents, tools=tools) as h:
        yield h


@pytest.fixture
async def keyless(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel, outside: World
) -> AsyncIterator[House]:
    """A house whose ticket system would do it again."""
    outside.honours_keys = False
    tools = {**TOOLS, "create_ticket": outside.tool(idempotent=False)}
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents, tools=tools) as h:
        yield h


async def ask_all(house: House) -> list[dict[str, Any]]:
    """One request each of N customers, a few at a time; their interactions once nothing moves any more."""
    gate = asyncio.Semaphore(12)

    async def one(n: int) -> dict[str, Any]:
        async with gate:
            await house.customer(f"cust_{n}")
            answer = (await house.chat(TROUBLE, customer_id=f"cust_{n}", requestId="r1")).json()
            return await house.until(answer["interactionId"], lambda i: i["status"] != "running")

    return await asyncio.gather(*(one(n) for n in range(N)))


async def test_R3_an_idempotent_tool_that_drops_its_answers_is_called_again_under_the_same_key(
    keyed: House, outside: World
) -> None:
    dice = random.Random(3)
    unlucky = {n for n in range(N * 3) if dice.random() < 0.2}
    arrivals: Counter[str] = Counter()

    def fault(key: str, nth: int) -> str | None:
        arrivals["all"] += 1
        return "execute-then-drop" if nth == 1 and arrivals["all"] in unlucky else None

    outside.fault_of = fault
    ended = await ask_all(keyed)

    assert Counter(outside.done).most_common(1)[0][1] == 1
    assert len(outside.done) == N
    assert len(outside.calls) > N, "no fault was met: the run proves nothing"
    assert {i["status"] for i in ended} == {"completed"}
    assert {a["effect"] for i in ended for a in i["actions"]} == {"confirmed"}


async def test_R4_a_tool_that_is_not_idempotent_is_never_called_twice(keyless: House, outside: World) -> None:
    dice = random.Random(4)
    unlucky = {n for n in range(N * 2) if dice.random() < 0.2}
    arrivals: Counter[str] = Counter()

    def fault(key: str, nth: int) -> str | None:
        arrivals["all"] += 1
        return "execute-then-drop" if arrivals["all"] in unlucky else None

    outside.fault_of = fault
    ended = await ask_all(keyless)

    ambiguous = len(unlucky & set(range(1, N + 1)))
    unknown = [i for i in ended if [a["effect"] for a in i["actions"]] == ["unknown"]]
    assert max(Counter(outside.calls).values()) == 1
    assert len(unknown) == ambiguous > 0
    assert all(i["status"] == "waiting_for_human" and i["handoff"]["kind"] == "takeover" for i in unknown)
    assert all("can't tell yet" in i["reply"] for i in unknown)


async def test_negative_control_without_keys_a_retry_would_do_it_twice(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel, outside: World
) -> None:
    """The same faults, but the tool lies about being idempotent: the journal shows the double effect."""
    outside.honours_keys = False
    outside.fault_of = lambda key, nth: "execute-then-drop" if nth == 1 else None
    tools = {**TOOLS, "create_ticket": outside.tool(idempotent=True)}
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents, tools=tools) as house:
        await house.customer()
        await house.chat(TROUBLE)
    assert Counter(outside.done).most_common(1)[0][1] == 2


@pytest.mark.parametrize(
    ("fault", "effect", "status"),
    [
        ("refuse", "failed", "waiting_for_human"),
        ("garbage", "unknown", "waiting_for_human"),
        ("hang", "unknown", "waiting_for_human"),
    ],
)
async def test_a_failure_ends_as_what_is_known_about_it(
    keyless: House, outside: World, fault: str, effect: str, status: str
) -> None:
    outside.fault_of = lambda key, nth: fault
    await keyless.customer()
    answer = (await keyless.chat(TROUBLE)).json()
    ended = await keyless.until(answer["interactionId"], lambda i: i["status"] != "running")
    assert ([a["effect"] for a in ended["actions"]], ended["status"]) == ([effect], status)
    assert len(outside.calls) == 1


async def test_a_refusal_after_an_attempt_that_may_have_happened_is_unknown_and_not_failed(
    keyed: House, outside: World
) -> None:
    """The first call did the work and nobody heard; the second is refused and says nothing about the first."""
    outside.fault_of = lambda key, nth: "execute-then-drop" if nth == 1 else "refuse"
    await keyed.customer()
    answer = (await keyed.chat(TROUBLE)).json()
    ended = await keyed.until(answer["interactionId"], lambda i: i["status"] != "running")
    assert [a["effect"] for a in ended["actions"]] == ["unknown"]
    assert ended["handoff"]["kind"] == "takeover"
    assert (len(outside.calls), len(outside.done)) == (2, 1)


async def test_a_system_that_is_down_for_a_moment_is_tried_again_even_if_it_is_not_idempotent(
    keyless: House, outside: World
) -> None:
    """Nothing happened for certain, so trying again is no second effect."""
    outside.fault_of = lambda key, nth: "503" if nth == 1 else None
    await keyless.customer()
    answer = (await keyless.chat(TROUBLE)).json()
    ended = await keyless.until(answer["interactionId"], lambda i: i["status"] != "running")
    assert [a["effect"] for a in ended["actions"]] == ["confirmed"]
    assert len(outside.done) == 1


async def test_what_was_reserved_and_not_begun_is_dropped_when_a_person_takes_over(
    keyless: House, outside: World
) -> None:
    """The ticket failed, so the mail that would have confirmed it never leaves: the person's own words do."""
    outside.fault_of = lambda key, nth: "refuse"
    await keyless.customer(email="c@example.com")
    asked = (await keyless.chat(TROUBLE)).json()
    path = f"/handoffs/{asked['handoff']['id']}/resolve"
    assert (await keyless.http.post(path, json={"reply": "We are on it, Ana."})).status_code == 200
    ended = await keyless.until_settled(asked["interactionId"])

    assert [(a["tool"], a["arguments"].get("purpose"), a["effect"]) for a in ended["actions"]] == [
        ("create_ticket", None, "failed"),
        ("send_email", "ticket_confirmation", "failed"),
        ("send_email", "reply", "confirmed"),
    ]
    (mail,) = keyless.mails()
    assert "We are on it, Ana." in mail.get_content()


async def test_P8_shadow_calls_nobody_and_decides_as_live_does(keyed: House, outside: World) -> None:
    await keyed.customer(email="c@example.com")
    await keyed.invoice("inv_1", 4_900)
    for message in (TROUBLE, "refund please", "hello", "I want a human"):
        shadow = (await keyed.chat(message, mode="shadow")).json()
        assert {a["effect"] for a in shadow["actions"]} <= {"preview"}
        counted = {table: await keyed.count(table) for table in CONSEQUENCES}
        assert counted == dict.fromkeys(CONSEQUENCES, 0)
        assert (outside.calls, keyed.mails()) == ([], [])
    for _ in ("given back", "already given back"):
        shadow = (await keyed.chat("refund please", mode="shadow")).json()
        live = (await keyed.chat("refund please")).json()
        assert await digest(keyed, shadow) == await digest(keyed, live)
        assert (shadow["decision"], shadow["status"]) == (live["decision"], live["status"])
        assert shadow["reply"].split(" Your reference")[0] == live["reply"].split(" Your reference")[0]


CONSEQUENCES = ("effects", "effect_events", "tickets", "refunds", "deliveries", "handoffs")


async def digest(house: House, answer: dict[str, Any]) -> str:
    shown = (await house.http.get(f"/interactions/{answer['interactionId']}")).json()
    (decision,) = [m["data"]["decision"]["digest"] for m in shown["timeline"] if m["kind"] == "decision"]
    return str(decision)


async def test_O4_a_tool_that_is_down_is_called_at_most_twice_as_often(keyed: House, outside: World) -> None:
    """Whoever has a share is called again within seconds; the rest wait for a minute at least."""
    outside.fault_of = lambda key, nth: "503"
    offered = 2 * N

    async def one(n: int) -> None:
        await keyed.customer(f"cust_{n}")
        answer = await keyed.http.post(
            "/chat",
            json={"customerId": f"cust_{n}", "message": TROUBLE, "requestId": "r1"},
            headers={"Prefer": "wait=0"},
        )
        assert answer.status_code == 202

    for n in range(offered):
        await one(n)
    async with asyncio.timeout(60):
        while len(set(outside.calls)) < offered or len(outside.calls) < offered * 1.5:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(outside.calls) <= 2 * offered
    assert outside.done == []
