"""Temporal as it comes: a default development server with a file database, start a workflow, wait for its result.

Kinder to it than a beginner would be: its pure steps stand in the workflow (three regular activities, not six), and
as they include a model, it runs without the sandbox and does not pay for it.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

import uvloop
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import GrpcCompression
from temporalio.worker import UnsandboxedWorkflowRunner

from adapters.embedded import temporal
from bench import steps
from bench.contestant import LOOPBACK, free_port
from bench.floor import QUEUE, ChatRequest, Floor, add_health
from bench.stock_temporal_workflow import StockTemporalWorkflow
from bench.temporal_floor import patiently_connect, work


@dataclass
class StockTemporal(Floor):
    """Temporal before anybody measured anything."""

    name: ClassVar[str] = "stock_temporal"
    title: ClassVar[str] = "Temporal as it comes"

    async def start(self) -> None:
        self.prepare()
        port = free_port()
        where = ("--ip", LOOPBACK, "--port", str(port), "--db-filename", str(self.place.folder / "temporal.db"))
        self.launch("temporal", (str(temporal.PROGRAM), "server", "start-dev", "--headless", *where), {})
        self.launch("worker", (sys.executable, "-m", "bench.stock_temporal"), self.variables(port))
        self.launch_api("bench.stock_temporal:create_app", self.variables(port))
        await self.ready("/healthz")


def create_app() -> FastAPI:
    """Starts the workflow, or finds it started, and waits for its result."""
    clients: list[Client] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        clients.append(await patiently_connect(GrpcCompression.GZIP))
        yield

    app = FastAPI(lifespan=lifespan)
    add_health(app)

    @app.post("/chat")
    async def chat(request: ChatRequest) -> steps.Answer:
        asked, client = request.asked(), clients[0]
        try:
            handle = await client.start_workflow(
                StockTemporalWorkflow.run,
                asked,
                id=asked.key,
                task_queue=QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            handle = client.get_workflow_handle_for(StockTemporalWorkflow.run, asked.key)
        return await handle.result()

    return app


if __name__ == "__main__":
    uvloop.run(work(StockTemporalWorkflow, UnsandboxedWorkflowRunner(), GrpcCompression.GZIP))
