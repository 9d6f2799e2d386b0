"""Exit 0 if the worker of this container polled its task queue within the last two minutes, as Temporal saw it."""

import asyncio
import os
import socket
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from settings import Settings, temporal_config
from workflows.runtime import connect

STALE = timedelta(minutes=2)


async def polling() -> bool:
    settings = Settings.load()
    client = await connect(temporal_config(settings))
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=settings.task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    # The SDK names a worker `<pid>@<host>`, and a container's host name is its own.
    mine = (p for p in answer.pollers if p.identity.endswith(f"@{socket.gethostname()}"))
    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    return any(now - p.last_access_time.ToDatetime(UTC) < STALE for p in mine)


if __name__ == "__main__":
    code = 0 if asyncio.run(polling()) else 1
    # A thread of the Temporal client may abort the interpreter on its way out, which would read as unhealthy.
    os._exit(code)
