"""The servers other tests stand on: time really is skipped, and a killed server really keeps what it acknowledged."""

import time
import uuid
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.temporal import dev_server, temporal_server


class Question(BaseModel):
    hours: int


class Answer(BaseModel):
    word: str


@workflow.defn(name="test-waits")
class Waits:
    """Answers `late` after `hours`, or `told` as soon as somebody says so."""

    def __init__(self) -> None:
        self._told = False

    @workflow.run
    async def run(self, question: Question) -> Answer:
        try:
            await workflow.wait_condition(lambda: self._told, timeout=timedelta(hours=question.hours))
        except TimeoutError:
            return Answer(word="late")
        return Answer(word="told")

    @workflow.signal
    def tell(self) -> None:
        self._told = True


def worker(client: Client, queue: str) -> Worker:
    # Not sandboxed: a test module is imported under a name of pytest's own.
    return Worker(client, task_queue=queue, workflows=[Waits], workflow_runner=UnsandboxedWorkflowRunner())


async def test_a_day_is_skipped_and_models_cross_the_boundary() -> None:
    queue, begun = uuid.uuid4().hex, time.monotonic()
    async with temporal_server() as env, worker(env.client, queue):
        late = await env.client.start_workflow(Waits.run, Question(hours=24), id=f"{queue}-1", task_queue=queue)
        told = await env.client.start_workflow(Waits.run, Question(hours=24), id=f"{queue}-2", task_queue=queue)
        await env.fast_forward(late, timedelta(hours=24, minutes=1))
        await env.fast_forward(told, timedelta(hours=23, minutes=59))
        await told.signal(Waits.tell)
        assert (await late.result(), await told.result()) == (Answer(word="late"), Answer(word="told"))
    assert time.monotonic() - begun < timedelta(hours=23).total_seconds()


async def test_a_server_killed_with_minus_nine_still_knows_the_workflow_it_acknowledged(tmp_path: Path) -> None:
    queue = uuid.uuid4().hex
    async with dev_server(tmp_path) as server:
        client = await server.connect()
        await client.start_workflow(Waits.run, Question(hours=24), id=queue, task_queue=queue)
        before = server.pid
        await server.kill()
        await server.start()
        assert server.pid != before
        client = await server.connect()
        async with worker(client, queue):
            handle = await client.start_workflow(
                Waits.run, Question(hours=24), id=queue, task_queue=queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )  # fmt: skip
            assert len([w async for w in client.list_workflows(f"WorkflowId = '{queue}'")]) <= 1
            await handle.signal(Waits.tell)
            assert await handle.result() == Answer(word="told")


async def test_a_server_on_other_state_does_not_know_it(tmp_path: Path) -> None:
    """The control: what the test above sees comes from the database file."""
    queue = uuid.uuid4().hex
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with dev_server(tmp_path / "a") as server:
        await (await server.connect()).start_workflow(Waits.run, Question(hours=24), id=queue, task_queue=queue)
    async with dev_server(tmp_path / "b") as server:
        found = await (await server.connect()).count_workflows("WorkflowType = 'test-waits'")
        assert found.count == 0
