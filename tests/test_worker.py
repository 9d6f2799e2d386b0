"""How a worker starts: Temporal may come later, and go again while it does."""

import asyncio
import contextlib
import secrets
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest

from settings import Settings
from tests.house import ID_KEY
from tests.temporal import DevServer
from worker import connected
from workflows.runtime import connect


async def test_a_worker_waits_for_a_temporal_that_answers_and_cannot_serve_it_yet(
    temporal: DevServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its namespace is not there yet: the connection stands, and the first question fails."""
    name = f"t-{secrets.token_hex(6)}"
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    settings = Settings.load(
        override={"database_url": "-", "id_key": ID_KEY, "temporal_address": temporal.address, "data_dir": "."}
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
