"""The lean sandbox answers as the SDK's own does, and guards as it does."""

import inspect
import secrets
import uuid

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox._runner import _Instance

from tests.temporal import DevServer
from workflows.runtime import SANDBOX, WORKFLOWS
from workflows.sandbox import LeanSandbox


def test_it_has_the_restrictions_of_the_sdk_but_for_what_passes_through() -> None:
    plain = SandboxedWorkflowRunner().restrictions
    assert isinstance(SANDBOX, LeanSandbox)
    assert SANDBOX.restrictions.invalid_module_members == plain.invalid_module_members
    assert SANDBOX.restrictions.invalid_modules == plain.invalid_modules
    assert plain.passthrough_modules <= SANDBOX.restrictions.passthrough_modules


@pytest.mark.parametrize("name", ["get_serialization_context", "get_external_store_context", "_run_code"])
def test_what_it_replaces_is_still_where_it_was(name: str) -> None:
    """An upgrade that changes these must be looked at by a person."""
    source = inspect.getsource(getattr(_Instance, name))
    assert "exec(code" in source if name == "_run_code" else f"__temporal_in_sandbox.{name}(" in source


@pytest.mark.parametrize("defined", WORKFLOWS, ids=lambda w: w.__name__)
async def test_every_workflow_can_be_prepared_in_it(defined: type) -> None:
    SANDBOX.prepare_workflow(workflow._Definition.must_from_class(defined))


async def test_the_guard_is_on(temporal: DevServer) -> None:
    """The negative control: what must not happen in a workflow still raises inside."""
    client = await temporal.connect()
    queue = f"q-{secrets.token_hex(4)}"
    async with Worker(
        client,
        task_queue=queue,
        workflows=[Careless],
        workflow_runner=SANDBOX,
        workflow_failure_exception_types=[Exception],
    ):
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(Careless.run, id=queue, task_queue=queue)
    assert "RestrictedWorkflowAccessError" in str(getattr(failed.value.cause, "type", ""))


@workflow.defn(name="careless")
class Careless:
    """Rolls dice, which differ on replay."""

    @workflow.run
    async def run(self) -> str:
        return str(uuid.uuid4())
