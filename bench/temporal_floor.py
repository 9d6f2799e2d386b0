"""The Temporal floor: what a very good engineer gets out of Temporal with no product around it.

A tuned development server, Update-with-Start, every step a local activity, sandbox on with our modules passed through,
no compression on the loopback, API and worker as processes of their own: as the product runs it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import uvloop
from fastapi import FastAPI
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import GrpcCompression
from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from adapters.embedded import temporal
from bench import rows, steps
from bench.contestant import free_port
from bench.floor import POOL, QUEUE, ChatRequest, Floor, add_health, connect, database
from bench.floor_activities import FloorActivities
from bench.temporal_floor_workflow import TemporalFloorWorkflow

SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "bench.floor_activities", "bench.steps", "bench.rows", "domain", "adapters"
    )
)


@dataclass
class TemporalFloor(Floor):
    """Temporal at its best."""

    name: ClassVar[str] = "temporal_floor"
    title: ClassVar[str] = "Temporal floor (tuned, all local)"

    async def start(self) -> None:
        self.prepare()
        port = free_port()
        server = temporal.command(self.place.folder / "temporal.db", port, "--headless")
        self.launch("temporal", server, temporal.ENVIRONMENT)
        self.launch("worker", (sys.executable, "-m", "bench.temporal_floor"), self.variables(port))
        self.launch_api("bench.temporal_floor:create_app", self.variables(port))
        await self.ready("/healthz")


def create_app() -> FastAPI:
    """Starts or joins the workflow of the request and waits for its answer: one call."""
    clients: list[Client] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        clients.append(await patiently_connect(GrpcCompression.NONE))
        yield

    app = FastAPI(lifespan=lifespan)
    add_health(app)

    @app.post("/chat")
    async def chat(request: ChatRequest) -> steps.Answer:
        asked = request.asked()
        start = WithStartWorkflowOperation(
            TemporalFloorWorkflow.run,
            asked,
            id=asked.key,
            task_queue=QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        )
        return await clients[0].execute_update_with_start_workflow(
            TemporalFloorWorkflow.answer, id="answer", start_workflow_operation=start
        )

    return app


async def patiently_connect(compression: GrpcCompression) -> Client:
    """A client, as soon as the server is there."""
    while True:
        try:
            return await connect(compression=compression)
        except RuntimeError:
            await asyncio.sleep(0.1)


async def work(workflow: type, runner: WorkflowRunner, compression: GrpcCompression) -> None:
    """One worker until it is asked to stop."""
    steps.model()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with rows.make_pool(database(), POOL) as pool:
        floor = FloorActivities(pool)
        activities: Sequence[Callable[..., object]] = [
            floor.classify,
            floor.decide,
            floor.verify,
            floor.create_ticket,
            floor.deliver,
            floor.store,
        ]
        async with Worker(
            await patiently_connect(compression),
            task_queue=QUEUE,
            workflows=[workflow],
            activities=activities,
            workflow_runner=runner,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        ):
            await stop.wait()
    # A Rust thread may meet the interpreter's finalisation and abort; everything is closed, so leave at once.
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(work(TemporalFloorWorkflow, SANDBOX, GrpcCompression.NONE))
