"""Is the process alive, and can it serve?"""

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from api.deps import Services, ServicesDep
from domain.errors import DependencyDown
from domain.values import Value

router = APIRouter(tags=["health"])

PROBE_S = 2.0


class Health(Value):
    status: str = "ok"


class Readiness(Value):
    """What this process needs. `ready` is true only when nothing is missing."""

    ready: bool
    missing: tuple[str, ...] = ()
    """Among `postgres`, `migrations`, `temporal`, `worker`."""


@router.get("/healthz", summary="The process lives")
async def get_health() -> Health:
    """Looks at nothing else."""
    return Health()


@router.get("/readyz", summary="Postgres, Temporal and a worker are there", responses={503: {"model": Readiness}})
async def get_readiness(response: Response, services: ServicesDep) -> Readiness:
    """503 names what is missing."""
    postgres, temporal = await asyncio.gather(_postgres(services), _temporal(services))
    missing = (*postgres, *temporal)
    if missing:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return Readiness(ready=not missing, missing=missing)


async def _postgres(services: Services) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(PROBE_S):
            return () if await services.db.at_head() else ("migrations",)
    except (DependencyDown, TimeoutError):
        return ("postgres",)


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
