"""Two releases of the workers side by side: what one began, it finishes, whatever the other changed."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from adapters.llm.embedded import EmbeddedIntentModel
from schema.session import Database
from settings import customer_seals
from tests.careless import CarelessInteraction
from tests.house import DEMO, ID_KEY, UNTIL_S, House, open_house
from tests.sealed import CODEC, PAYLOAD_KEY
from tests.temporal import DevServer
from worker import Parts, build_worker
from workflows import ids, releases
from workflows.interaction import InteractionWorkflow
from workflows.releases import NoSuchRelease, ReleaseStatus
from workflows.runtime import WORKFLOWS, connect

ROOT = Path(__file__).parent.parent
OVER_LIMIT = 48_000
CARELESS = tuple(CarelessInteraction if w is InteractionWorkflow else w for w in WORKFLOWS)


@pytest.fixture
async def old(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> AsyncIterator[House]:
    """A house whose workers say that they are build 1, which gets all new work."""
    versioned = {"deployment_name": "holdfast", "build_id": "1"}
    async with open_house(database_url_of_test, temporal.address, tmp_path, settings=versioned, intents=intents) as h:
        await promoted(h, "1")
        yield h


@contextlib.asynccontextmanager
async def beside(
    h: House, build: str, intents: EmbeddedIntentModel, workflows: tuple[type, ...]
) -> AsyncIterator[None]:
    """One more worker, of another build."""
    settings = h.settings.model_copy(update={"build_id": build})
    client = await connect({"target_host": h.settings.temporal_address, "namespace": h.temporal.namespace}, codec=CODEC)
    db = Database(settings.database_url, pool_size=4, seals=customer_seals(settings))
    async with build_worker(settings, client, db, Parts.of(settings, intents=intents), workflows=workflows):
        yield
    await db.close()


async def promoted(h: House, build: str) -> None:
    """As soon as Temporal knows the build's workers, and workers know what is theirs."""
    async with asyncio.timeout(UNTIL_S):
        while True:
            with contextlib.suppress(NoSuchRelease):
                return await releases.promote(h.temporal, "holdfast", build)
            await asyncio.sleep(0.05)


async def parked(h: House, number: int) -> dict[str, Any]:
    """An interaction that waits for an approval."""
    customer = f"cust_{number}"
    await h.customer(customer, plan="enterprise", email=f"c{number}@example.com")
    await h.invoice(f"inv_{number}", OVER_LIMIT, customer_id=customer)
    answer = (await h.chat("refund please", customer_id=customer, requestId=f"r{number}")).json()
    assert answer["status"] == "waiting_for_human", answer
    return dict(answer)


async def approved(h: House, asked: dict[str, Any]) -> None:
    shown = (await h.http.get(f"/handoffs/{asked['handoff']['id']}")).json()
    answer = await h.http.post(f"/handoffs/{asked['handoff']['id']}/approve", json={"digest": shown["digest"]})
    assert answer.status_code == 200, answer.text


async def build_of(h: House, asked: dict[str, Any]) -> str:
    described = await h.temporal.get_workflow_handle(workflow_id(asked)).describe()
    info = described.raw_description.workflow_execution_info.versioning_info
    return str(info.versioning_override.pinned.version.build_id or info.deployment_version.build_id)


def workflow_id(asked: dict[str, Any]) -> str:
    return ids.interaction(DEMO, asked["customerId"], asked["requestId"], ID_KEY.encode())


async def failures_of(h: House, asked: dict[str, Any]) -> list[str]:
    """Why workflow tasks of the interaction failed."""
    history = await h.temporal.get_workflow_handle(workflow_id(asked)).fetch_history()
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    return [e.workflow_task_failed_event_attributes.failure.message for e in history.events if e.event_type == failed]


async def test_V1_what_a_release_began_it_finishes_also_after_going_on_and_back(
    old: House, intents: EmbeddedIntentModel
) -> None:
    begun_on_old = [await parked(old, n) for n in range(3)]
    async with beside(old, "2", intents, CARELESS):
        await promoted(old, "2")
        begun_on_new = [await parked(old, n) for n in range(10, 13)]
        await approved(old, begun_on_old[0])
        await approved(old, begun_on_new[0])
        await promoted(old, "1")
        begun_after = await parked(old, 20)
        for asked in (*begun_on_old[1:], *begun_on_new[1:], begun_after):
            await approved(old, asked)
        for asked in (*begun_on_old, *begun_on_new, begun_after):
            assert (await old.until_finished(asked["interactionId"]))["status"] == "completed"
            assert await failures_of(old, asked) == []
        assert [await build_of(old, a) for a in (*begun_on_old, *begun_on_new, begun_after)] == [*"111", *"222", "1"]
    assert len(await old.refunds()) == 7


async def test_V1_open_runs_move_to_a_release_that_can_replay_them(old: House, intents: EmbeddedIntentModel) -> None:
    asked = await parked(old, 1)
    async with beside(old, "2", intents, WORKFLOWS):
        await promoted(old, "2")
        moved = await moves(old, WORKFLOWS)
        assert (moved.moved >= 2, moved.stayed) == (True, ())
        assert await build_of(old, asked) == "2"
        await approved(old, asked)
        assert (await old.until_finished(asked["interactionId"]))["status"] == "completed"
        assert await failures_of(old, asked) == []


async def test_a_run_stays_where_it_is_if_the_other_release_cannot_replay_it(
    old: House, intents: EmbeddedIntentModel
) -> None:
    asked = await parked(old, 1)
    async with beside(old, "2", intents, CARELESS):
        await promoted(old, "2")
        moved = await moves(old, CARELESS)
        assert moved.stayed == (workflow_id(asked),)
        assert await build_of(old, asked) == "1"
        await approved(old, asked)
        assert (await old.until_finished(asked["interactionId"]))["status"] == "completed"


async def test_negative_control_a_run_moved_without_looking_gets_stuck(
    old: House, intents: EmbeddedIntentModel
) -> None:
    asked = await parked(old, 1)
    async with beside(old, "2", intents, CARELESS):
        await promoted(old, "2")
        assert not (await moves(old, WORKFLOWS)).stayed, "replayed against code that is not the other build's"
        await approved(old, asked)
        async with asyncio.timeout(UNTIL_S):
            while not (reasons := await failures_of(old, asked)):  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0.05)
    assert "ondeterminism" in reasons[0]


async def moves(h: House, workflows: tuple[type, ...]) -> releases.Moved:
    """Once Temporal's list shows what is open, which takes it a moment."""
    query = "TemporalWorkerDeploymentVersion = 'holdfast:1' AND ExecutionStatus = 'Running'"
    async with asyncio.timeout(UNTIL_S):
        while (await h.temporal.count_workflows(query)).count < 2:  # noqa: ASYNC110 - another process is asked
            await asyncio.sleep(0.05)
    return await releases.move(h.temporal, "holdfast", source="1", target="2", workflows=workflows)


async def test_releases_are_listed_with_what_they_do(old: House, intents: EmbeddedIntentModel) -> None:
    async with beside(old, "2", intents, WORKFLOWS):
        await promoted(old, "2")
        listed = {r.build_id: r.status for r in await releases.releases(old.temporal, "holdfast")}
        assert listed["2"] is ReleaseStatus.CURRENT
        assert listed["1"] in {ReleaseStatus.DRAINING, ReleaseStatus.DRAINED}
        await releases.promote(old.temporal, "holdfast", "1", percent=10)
        listed = {r.build_id: r.status for r in await releases.releases(old.temporal, "holdfast")}
        assert listed == {"1": ReleaseStatus.RAMPING, "2": ReleaseStatus.CURRENT}


async def test_the_commands_say_what_they_did(old: House, tmp_path: Path) -> None:
    environment = {
        "TEMPORAL_ADDRESS": old.settings.temporal_address, "TEMPORAL_NAMESPACE": old.temporal.namespace,
        "TEMPORAL_DEPLOYMENT_NAME": "holdfast", "TEMPORAL_WORKER_BUILD_ID": "1", "DATABASE_URL": "postgresql://-",
        "HOLDFAST_ID_KEY": ID_KEY, "HOLDFAST_ENVIRONMENT": "development", "HOLDFAST_PAYLOAD_KEYS": PAYLOAD_KEY,
    }  # fmt: skip
    assert (await told(environment, "status")).split() == ["1", "current"]
    assert await told(environment, "promote", "--build", "1") == "1 gets 100 % of new work\n"
    assert "asks for all" in await told(environment, "promote", "--build", "99")
    unversioned = {**environment, "TEMPORAL_DEPLOYMENT_NAME": "", "TEMPORAL_WORKER_BUILD_ID": ""}
    assert "are not versioned" in await told(unversioned, "status")


async def told(environment: dict[str, str], *arguments: str) -> str:
    """What the command prints, as an operator would run it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "release.py", *arguments, env=environment, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode()


async def test_a_release_nobody_knows_cannot_be_promoted(old: House) -> None:
    with pytest.raises(NoSuchRelease):
        await releases.promote(old.temporal, "holdfast", "99")
    with pytest.raises(NoSuchRelease):
        await releases.promote(old.temporal, "another", "1")
    assert await releases.releases(old.temporal, "another") == []
