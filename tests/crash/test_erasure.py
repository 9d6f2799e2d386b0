"""F16, D-4: whatever dies in the middle of an erasure, it is done in the end, and done whole."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.canaries import Canaries, columns
from tests.crash.test_failpoints import models, running
from tests.house import House
from tests.postgres import PostgresServer
from tests.processes import Processes

__all__ = ["models", "running"]

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("failpoint", ["F16", "F16b"])
async def test_F16_a_worker_that_dies_while_it_erases_is_made_up_for(
    running: tuple[Processes, House], postgres: PostgresServer, models: Path, failpoint: str
) -> None:
    both, house = running
    canaries, customer = Canaries(), f"cust_{failpoint}"
    await house.customer(customer, name=canaries["name"], email=canaries.email("e-mail"))
    said = (await house.chat(f"hello, I am {canaries['message']}", customer_id=customer)).json()["interactionId"]
    both.arm("worker", failpoint)
    asked = await house.http.post(f"/customers/{customer}/erase", json={"requestId": failpoint})
    assert asked.status_code == 202
    await both.died("worker")
    shown = [(await house.http.get(path)).content for path in (f"/customers/{customer}", f"/interactions/{said}")]
    assert canaries.found_in(b"".join(shown)) == {"name", "e-mail", "message"}, "all of it or nothing"
    assert list((models / "tombstones").glob("*.json")), "the tombstone is kept before anything is erased"
    await both.start("worker")
    receipt = await until_erased(house, asked.json()["id"])
    assert receipt["erasedAt"]
    with postgres.owner(both.variables["DATABASE_URL"]) as owner:
        assert set[str]().union(*(canaries.found_in(content) for content in columns(owner).values())) == set()


async def until_erased(house: House, erasure: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while not (shown := (await house.http.get(f"/erasures/{erasure}")).json()).get("erasedAt"):  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.05)
    return dict(shown)
