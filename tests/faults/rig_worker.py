"""The worker of a fault run: the product's own, with two tools in the outside world of the run."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from temporalio.client import Client
from temporalio.worker import Worker

from adapters.llm.embedded import EmbeddedIntentModel
from adapters.logs import configure_logs
from schema.session import Database
from settings import Settings, customer_seals
from tests.faults import tools
from worker import Parts, build_worker, connected, signs_of_life
from workflows.runtime import precompile

Build = Callable[[Settings, Client, Database, Parts], Awaitable[Worker]]


async def guarded(settings: Settings, client: Client, db: Database, parts: Parts) -> Worker:
    return build_worker(settings, client, db, parts)


async def _work(build: Build) -> None:
    settings = Settings.load()
    configure_logs(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await connected(settings, stop)
    if client is None:
        return
    parts = Parts.of(settings, tools=tools.ALL, agent=tools.AGENT)
    precompile()
    if isinstance(parts.intents, EmbeddedIntentModel):
        await asyncio.to_thread(parts.intents.warm)
    db = Database(settings.database_url, seals=customer_seals(settings))
    async with await build(settings, client, db, parts), signs_of_life(db, settings.task_queue):
        await stop.wait()


def serve(build: Build) -> None:
    asyncio.run(_work(build))
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    serve(guarded)
