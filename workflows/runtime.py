"""One Temporal plugin for client, worker and replayer, so that they cannot drift apart."""

import compileall
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, ReplaySafeTracerProvider, create_tracer_provider
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.plugin import SimplePlugin
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import GrpcCompression
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxRestrictions

from workflows.attributes import SEARCH_ATTRIBUTES
from workflows.audit import AuditSealWorkflow
from workflows.delivery import DeliveryWorkflow
from workflows.erasure import ErasureWorkflow
from workflows.handoff import HandoffWorkflow
from workflows.interaction import InteractionWorkflow
from workflows.retention import RetentionWorkflow
from workflows.rollup import RollupWorkflow
from workflows.sandbox import LeanSandbox

WORKFLOWS: tuple[type, ...] = (
    InteractionWorkflow,
    HandoffWorkflow,
    DeliveryWorkflow,
    AuditSealWorkflow,
    RollupWorkflow,
    ErasureWorkflow,
    RetentionWorkflow,
)

SANDBOX = LeanSandbox(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "domain",
        "activities",
        "schema",
        "workflows.attributes",
        "workflows.ids",
        "workflows.options",
        "workflows.starting",
    )
)
"""Our packages pass through: re-importing them for every run costs 235 ms and 16 MB. The modules that define workflows
never do, since that would switch the determinism guard off; the constants beside them may."""


def precompile() -> None:
    """The sandbox loads the workflow modules anew for every run. Where nothing wrote their bytecode, as in many
    containers, that would compile them anew as well: two milliseconds each time."""
    compileall.compile_dir(str(Path(__file__).parent), quiet=2)


def temporal_plugin(codec: PayloadCodec | None = None) -> SimplePlugin:
    """Converter and sandbox. Give it to `Client.connect`; worker and replayer inherit it from the client. With a codec
    everything Temporal keeps is sealed, without one nothing is: one end alone is refused by the other."""
    return SimplePlugin("holdfast", data_converter=_converter(codec), workflow_runner=_sandboxed)


def _converter(codec: PayloadCodec | None) -> DataConverter:
    if codec is None:
        return pydantic_data_converter
    # Messages and stack traces of failures are sealed with the rest; their types, which are codes, are not.
    return dataclasses.replace(
        pydantic_data_converter,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _sandboxed(_: WorkflowRunner | None) -> WorkflowRunner:
    return SANDBOX


def start_tracing(resource: Resource, spans: SpanProcessor) -> None:
    """Once per process, before anything connects: from then on clients, workers and the API make spans."""
    provider = create_tracer_provider(resource=resource)
    provider.add_span_processor(spans)
    trace.set_tracer_provider(provider)


def is_tracing() -> bool:
    """Whether this process makes spans that survive replay."""
    return isinstance(trace.get_tracer_provider(), ReplaySafeTracerProvider)


def flush_traces() -> None:
    """Blocks until the spans made so far are sent or given up."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, ReplaySafeTracerProvider):
        provider.force_flush()


def temporal_plugins(codec: PayloadCodec | None = None) -> list[SimplePlugin]:
    """Ours, and the one that makes spans where this process traces. It comes second: it adds to our sandbox."""
    return [temporal_plugin(codec), *([OpenTelemetryPlugin(add_temporal_spans=True)] if is_tracing() else ())]


def metrics_runtime(address: str) -> Runtime:
    """Temporal's SDK, showing its own metrics at `http://<address>/metrics`. Raises if the address is taken."""
    prometheus = PrometheusConfig(address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True)
    return Runtime(telemetry=TelemetryConfig(metrics=prometheus))


async def connect(
    config: dict[str, Any],
    *,
    codec: PayloadCodec | None = None,
    lazy: bool = False,
    interceptors: Iterable[Any] = (),
    runtime: Runtime | None = None,
) -> Client:
    """A client from `temporalio.envconfig` options, which seals with `codec`. Lazy clients cannot run workers; others
    fail if nobody answers."""
    options = {"target_host": "127.0.0.1:7233", **config}
    local = options["target_host"].startswith(("127.", "localhost"))
    return await Client.connect(
        **options,
        plugins=temporal_plugins(codec),
        runtime=runtime,
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
