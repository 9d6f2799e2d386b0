"""One Temporal plugin for client, worker and replayer, so that they cannot drift apart."""

import compileall
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.plugin import SimplePlugin
from temporalio.service import GrpcCompression
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.attributes import SEARCH_ATTRIBUTES
from workflows.handoff import HandoffWorkflow
from workflows.interaction import InteractionWorkflow

WORKFLOWS: tuple[type, ...] = (InteractionWorkflow, HandoffWorkflow)

SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "domain", "activities", "schema", "workflows.attributes", "workflows.ids", "workflows.options"
    )
)
"""Our packages pass through: re-importing them for every run costs 235 ms and 16 MB. The modules that define workflows
never do, since that would switch the determinism guard off; the constants beside them may."""


def precompile() -> None:
    """The sandbox loads the workflow modules anew for every run. Where nothing wrote their bytecode, as in many
    containers, that would compile them anew as well: two milliseconds each time."""
    compileall.compile_dir(str(Path(__file__).parent), quiet=2)


def temporal_plugin() -> SimplePlugin:
    """Converter and sandbox. Give it to `Client.connect`; worker and replayer inherit it from the client."""
    return SimplePlugin("holdfast", data_converter=pydantic_data_converter, workflow_runner=_sandboxed)


def _sandboxed(_: WorkflowRunner | None) -> WorkflowRunner:
    return SANDBOX


async def connect(config: dict[str, Any], *, lazy: bool = False, interceptors: Iterable[Any] = ()) -> Client:
    """A client from `temporalio.envconfig` options. Lazy clients cannot run workers; others fail if nobody answers."""
    options = {"target_host": "127.0.0.1:7233", **config}
    local = options["target_host"].startswith(("127.", "localhost"))
    return await Client.connect(
        **options,
        plugins=[temporal_plugin()],
        lazy=lazy,
        interceptors=list(interceptors),
        grpc_compression=GrpcCompression.NONE if local else GrpcCompression.GZIP,
    )


class SearchAttributeMismatch(Exception):
    """A search attribute exists with another type; Temporal would ignore ours silently."""


async def ensure_search_attributes(client: Client) -> None:
    """Registers every search attribute and reads them back with their types. Safe to repeat.

    Raises `SearchAttributeMismatch`: a workflow that upserts an attribute of another type would be stuck for ever.
    """
    wanted = {key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in SEARCH_ATTRIBUTES}
    operator = client.operator_service
    existing = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    missing = {name: kind for name, kind in wanted.items() if name not in existing.custom_attributes}
    if missing:
        await operator.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
        existing = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    wrong = [name for name, kind in wanted.items() if existing.custom_attributes.get(name) != kind]
    if wrong:
        raise SearchAttributeMismatch(f"registered with another type: {', '.join(sorted(wrong))}")
