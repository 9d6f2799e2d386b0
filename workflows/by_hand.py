"""What somebody at the machine asks of Temporal directly, for the tour: skip a workflow's time, seal the audit now."""

import secrets
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import TimeSkippingConfig, WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionOptionsRequest
from temporalio.client import Client

from domain.audit import SealInput
from workflows import ids


async def skip_time(client: Client, workflow_id: str, by: timedelta) -> None:
    """Lets a running workflow live `by` at once: its timers fire as if so much time had passed. Only development
    servers that are told to do this can."""
    duration = Duration()
    duration.FromTimedelta(by)
    config = TimeSkippingConfig(enabled=True)
    config.fast_forward_config.id = secrets.token_hex(8)
    config.fast_forward_config.duration.CopyFrom(duration)
    await client.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            workflow_execution_options=WorkflowExecutionOptions(time_skipping_config=config),
            update_mask=FieldMask(paths=["time_skipping_config"]),
        )
    )


async def seal_now(client: Client, task_queue: str) -> None:
    """Seals what is committed, without waiting for the schedule."""
    await client.execute_workflow(
        ids.AUDIT_SEAL_WORKFLOW, SealInput(), id=f"audit-seal-{secrets.token_hex(8)}", task_queue=task_queue
    )
