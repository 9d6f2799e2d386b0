"""What this process needs, and which of it is away."""

import asyncio
from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from api.deps import Services
from domain.errors import DependencyDown
from schema.heartbeats import Heartbeats

PROBE_S = 2.0
SILENT_S = 4.5
"""A worker gives a sign of life every two seconds; one may be late."""
BEHIND = {"postgres": "migrations", "temporal": "worker"}
"""Who is away hides how it stands with what is asked through it."""


async def what_is_missing(services: Services) -> tuple[str, ...]:
    """Among `postgres`, `migrations`, `temporal`, `worker`; within `PROBE_S`."""
    postgres, temporal, silent = await asyncio.gather(_postgres(services), _temporal(services), _silent(services))
    # Where Postgres or Temporal is away, nothing is known about workers.
    return (*postgres, *temporal, *(silent if not postgres and not temporal else ()))


async def _postgres(services: Services) -> tuple[str, ...]:
    asking = asyncio.create_task(services.db.at_head())
    if not (await asyncio.wait({asking}, timeout=PROBE_S))[0]:
        # When a server hangs, the driver takes ten seconds to let go of it: nobody here waits for that.
        asking.cancel()
        asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return ("postgres",)
    try:
        return () if asking.result() else ("migrations",)
    except DependencyDown:
        return ("postgres",)


async def _silent(services: Services) -> tuple[str, ...]:
    """Temporal remembers for minutes who polled: a worker that was killed is missed by its own signs of life."""
    asking = asyncio.create_task(Heartbeats(services.db, services.task_queue).is_any_alive(SILENT_S))
    if not (await asyncio.wait({asking}, timeout=PROBE_S))[0]:
        asking.cancel()
        asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return ()
    try:
        return () if asking.result() else ("worker",)
    except DependencyDown:
        return ()


async def _temporal(services: Services) -> tuple[str, ...]:
    """A worker is there when one polled for workflow tasks within the last minutes, as Temporal reports it."""
    request = DescribeTaskQueueRequest(
        namespace=services.temporal.namespace,
        task_queue=TaskQueue(name=services.task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        async with asyncio.timeout(PROBE_S):
            answer: Any = await services.temporal.workflow_service.describe_task_queue(request)
    except Exception:  # the client raises several kinds for one fact: it cannot be reached
        return ("temporal",)
    return () if answer.pollers else ("worker",)
