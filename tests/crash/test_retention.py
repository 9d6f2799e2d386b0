"""F17, D-6: whatever dies in the middle of a run, every row ends once, is counted once, and the run is done."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from domain.retention import RetentionResult
from tests.canaries import Canaries
from tests.crash.test_failpoints import models, running
from tests.e2e.test_erasure import canaries_in
from tests.house import House
from tests.postgres import PostgresServer
from tests.processes import Processes
from workflows import ids

__all__ = ["models", "running"]

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("failpoint", ["F17", "F17b"])
async def test_D6_a_worker_that_dies_between_or_in_a_batch_is_made_up_for(
    running: tuple[Processes, House], postgres: PostgresServer, models: Path, failpoint: str
) -> None:
    both, house = running
    canaries, customer, url = Canaries(), f"cust_{failpoint}", both.variables["DATABASE_URL"]
    await house.customer(customer)
    asked = [
        (await house.chat(f"hello {canaries[str(n)]}", customer_id=customer)).json()["interactionId"] for n in range(3)
    ]
    for interaction in asked:
        await house.until_settled(interaction)
    with postgres.owner(url) as owner:  # a year and a month ago
        owner.execute(
            "UPDATE interactions SET created_at = created_at - interval '400 days', finished_at = finished_at -"
            " interval '400 days' WHERE customer_id = %s",
            [customer],
        )
    before = [e["details"]["rows"] for e in await done(house)]
    both.arm("worker", failpoint)
    run = await house.temporal.start_workflow(
        ids.RETENTION_WORKFLOW, id=f"retention-{failpoint}", task_queue=both.variables["HOLDFAST_TASK_QUEUE"],
        result_type=RetentionResult,
    )  # fmt: skip
    await both.died("worker")
    # Through the product: what stands in the tables is sealed.
    shown = [(await house.http.get(f"/interactions/{interaction}")).content for interaction in asked]
    assert canaries.found_in(b"".join(shown)) == (set(canaries.words) if failpoint == "F17" else set()), (
        "all of a batch or nothing"
    )
    await both.start("worker")
    async with asyncio.timeout(120):
        assert (await run.result()).done
    assert canaries_in(postgres, url, canaries) == set()
    assert sum(e["details"]["rows"] for e in await done(house)) - sum(before) == 3, "counted once"
    with postgres.owner(url) as owner:
        unfinished = owner.execute("SELECT count(*) FROM retention_runs WHERE finished_at IS NULL").fetchone()
    assert unfinished == (0,)


async def done(house: House) -> list[dict[str, Any]]:
    found = (await house.http.get("/audit", params={"action": "retention.done"})).json()["items"]
    return [event for event in found if event["subject"] == "interactions"]
