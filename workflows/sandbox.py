"""The SDK's workflow sandbox, entered less often.

For every payload the SDK asks the workflow, four times, in which serialization context it stands, and each time it
enters the sandbox by executing a source string: fifty entries for one interaction, several milliseconds. The questions
are look-ups in the SDK's own state; no code of a workflow runs. So they are asked without the ceremony, and the strings
that remain are compiled once. What a workflow may do is unchanged: its code still only ever runs inside.

This leans on the SDK's private `_Instance`; `tests/workflows/test_sandbox.py` fails when an upgrade moves it.
"""

from functools import lru_cache
from types import CodeType
from typing import Any

from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox._runner import _Instance


class LeanSandbox(SandboxedWorkflowRunner):
    """`SandboxedWorkflowRunner` with the same restrictions and fewer entries."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _LeanInstance(det, self.runner_class, self.restrictions)


class _LeanInstance(_Instance):
    def _run_code(self, code: str, **extra_globals: Any) -> None:
        super()._run_code(_compiled(code), **extra_globals)  # type: ignore[arg-type] # `exec` takes either

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._inside.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._inside.get_external_store_context(command_info)

    @property
    def _inside(self) -> Any:
        return self.globals_and_locals["__temporal_in_sandbox"]


@lru_cache(maxsize=64)
def _compiled(code: str) -> CodeType:
    return compile(code, "<sandbox>", "exec")
