"""How a worker starts: Temporal may come later, and go again while it does. How it says that it lives."""

import asyncio
import contextlib
import logging
import secrets
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest

from schema.heartbeats import Heartbeats
from schema.session import Database
from settings import Settings
from tests.house import ID_KEY
from tests.postgres import PostgresServer
from tests.sealed import PAYLOAD_KEY
from tests.temporal import DevServer
from worker import connected, signs_of_life
from workflows.runtime import connect


async def test_a_worker_waits_for_a_temporal_that_answers_and_cannot_serve_it_yet(
    temporal: DevServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its namespace is not there yet: the connection stands, and the first question fails."""
    name = f"t-{secrets.token_hex(6)}"
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    settings = Settings.load(
        override={
            "database_url": "-",
            "id_key": ID_KEY,
            "payload_keys": PAYLOAD_KEY,
            "environment": "development",
            "temporal_address": temporal.address,
            "data_dir": ".",
        }
    )
    waiting = asyncio.create_task(connected(settings, asyncio.Event()))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 1)
    assert not waiting.done()
    anybody = await connect({"target_host": temporal.address})
    retention = Duration(seconds=int(timedelta(days=1).total_seconds()))
    await anybody.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )
    client = await asyncio.wait_for(waiting, 30)
    assert client is not None
    assert client.namespace == name


async def until_alive(workers: Heartbeats) -> None:
    async with asyncio.timeout(20):
        while True:
            if await workers.is_any_alive(60):
                return
            await asyncio.sleep(0.05)


async def test_a_worker_that_ends_says_so_itself(database_url_of_test: str) -> None:
    db = Database(database_url_of_test)
    workers = Heartbeats(db, "q")
    async with signs_of_life(db, "q"):
        await until_alive(workers)
    assert not await workers.is_any_alive(60)
    await db.close()


async def test_signs_of_life_outlive_a_postgres_that_refuses_them(
    database_url_of_test: str, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    db = Database(database_url_of_test)
    workers = Heartbeats(db, "q")
    caplog.set_level(logging.INFO, logger="worker")
    async with signs_of_life(db, "q"):
        await until_alive(workers)
        with postgres.owner(database_url_of_test) as owner:
            owner.execute("REVOKE INSERT ON worker_heartbeats FROM holdfast_app")
        async with asyncio.timeout(20):
            while True:
                if "no sign of life now" in caplog.messages:
                    break
                await asyncio.sleep(0.05)
        with postgres.owner(database_url_of_test) as owner:
            owner.execute("DELETE FROM worker_heartbeats")
            owner.execute("GRANT INSERT ON worker_heartbeats TO holdfast_app")
        await until_alive(workers)
    await db.close()
