"""Traces: off unless asked for, one per request across both processes, and nothing personal in them."""

import asyncio
import contextlib
import functools
import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import uvicorn
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.worker import Replayer

from adapters.telemetry import SHOWN, DiscreetExporter, TraceParent
from tests.house import DEMO, House
from tests.postgres import PostgresServer
from tests.processes import Processes, data_folder, processes
from tests.sealed import CODEC
from tests.temporal import DevServer, free_port
from workflows.runtime import WORKFLOWS, is_tracing, temporal_plugin, temporal_plugins

ROOT = Path(__file__).parent.parent.parent
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
CANARY = "canary-7f3a"
KNOWN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Collector:
    """An OTLP/HTTP collector: what it was sent, in bytes and as spans."""

    port: int
    raw: bytes = b""
    spans: list[tuple[str, Span]] = field(default_factory=list)
    """The service a span is from, and the span."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if dict(scope["headers"]).get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.spans += [(named["service.name"], s) for group in resource.scope_spans for s in group.spans]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def names(self) -> list[str]:
        return [span.name for _, span in self.spans]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - spans come over a socket
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    found = Collector(free_port())
    server = _Server(uvicorn.Config(found, port=found.port, log_config=None, access_log=False, lifespan="off"))
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:
            assert not running.done()
            await asyncio.sleep(0.01)
    try:
        yield found
    finally:
        server.should_exit = True
        await running


@dataclass
class Traced:
    """One message that went through both processes, what the collector got, and what was logged."""

    collected: Collector
    house: House
    running: Processes
    interaction_id: str
    worker_metrics: str
    running_owner: Callable[[], psycopg.Connection]

    async def history(self) -> Any:
        async with self.house.db.transaction(DEMO) as session:
            from sqlalchemy import text

            row = await session.first(
                text("SELECT workflow_id FROM interactions WHERE id = :id"), id=self.interaction_id
            )
        assert row is not None
        return await self.house.temporal.get_workflow_handle(row.workflow_id).fetch_history()


async def say(house: House, message: str, *, prefer: str = "") -> dict[str, Any]:
    """One message, by a caller who traces and puts a customer's address wherever a request has room for it."""
    answer = await house.http.post(
        f"/chat?query={CANARY}",
        json={"customerId": f"{CANARY}@example.com", "message": message},
        headers={
            "traceparent": f"00-{TRACE}-{CALLER}-01",
            "tracestate": f"vendor={CANARY}",
            "baggage": f"email={CANARY}",
            "User-Agent": CANARY,
            "Prefer": prefer,
        },
    )
    assert answer.status_code in {200, 202}, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
async def traced(
    postgres: PostgresServer,
    temporal: DevServer,
    tmp_path_factory: pytest.TempPathFactory,
    learnt: Path,
) -> AsyncIterator[Traced]:
    models = data_folder(tmp_path_factory.mktemp("data"), learnt)
    url, metrics_port = postgres.create(), free_port()
    patch = pytest.MonkeyPatch()
    async with collector() as collected:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collected.port}")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        patch.setenv("HOLDFAST_METRICS_PORT", str(metrics_port))
        try:
            async with processes(url, temporal, tmp_path_factory.mktemp("traced"), models) as (running, house):
                await house.customer(f"{CANARY}@example.com", name=f"Name {CANARY}", email=f"{CANARY}@example.com")
                await house.invoice("inv_1", 4_900, customer_id=f"{CANARY}@example.com")
                answer = await say(house, "please refund invoice inv_1")
                assert answer["decision"]["outcome"] == "proceed", answer
                await house.until_settled(answer["interactionId"])
                await say(house, f"my door code is {CANARY}")
                await house.http.get("/customers/nobody", headers={"X-Request-Id": KNOWN})
                await house.http.get("/customers/nobody")
                await house.http.get("/customers/nobody", headers={"X-Request-Id": f"{CANARY}@example.com"})
                async with httpx2.AsyncClient() as scraper:
                    shown = (await scraper.get(f"http://127.0.0.1:{metrics_port}/metrics")).text
                wanted = {"POST /chat", "RunWorkflow:interaction", "RunWorkflow:delivery", "SMTP send"}
                await collected.until(lambda: wanted <= set(collected.names()))
                owner = functools.partial(postgres.owner, url)
                yield Traced(collected, house, running, answer["interactionId"], shown, owner)
        finally:
            patch.undo()
    postgres.drop(url)


async def test_one_trace_leads_from_the_callers_request_through_both_workflows_to_the_mail_server(
    traced: Traced,
) -> None:
    spans = [(service, s) for service, s in traced.collected.spans if s.trace_id.hex() == TRACE]
    by_id = {s.span_id: s for _, s in spans}
    ((_, sent),) = [(service, s) for service, s in spans if s.name == "SMTP send"]
    path = [sent]
    while path[-1].parent_span_id in by_id:
        path.append(by_id[path[-1].parent_span_id])
    assert [p.name for p in path][-2:] == ["StartUpdateWithStartWorkflow:interaction", "POST /chat"]
    assert path[-1].parent_span_id.hex() == CALLER
    assert {"RunActivity:deliveries.send", "StartChildWorkflow:delivery"} <= {p.name for p in path}
    assert {service for service, _ in spans} == {"holdfast-api", "holdfast-worker"}


async def test_every_span_is_sent_once_and_says_only_what_is_listed(traced: Traced) -> None:
    ids = [s.span_id for _, s in traced.collected.spans]
    assert len(ids) == len(set(ids)) > 5
    assert {a.key for _, s in traced.collected.spans for a in s.attributes} <= SHOWN
    assert not any(s.events or s.status.message or s.trace_state for _, s in traced.collected.spans)


async def test_nothing_personal_is_in_spans_in_the_history_or_in_the_logs(traced: Traced) -> None:
    history = (await traced.history()).to_json()
    assert "_tracer-data" in history, "no trace context was handed on: the check proves nothing"
    payloads = _decoded(history)
    assert TRACE in payloads
    for place in (
        traced.collected.raw.decode("latin-1"),
        payloads,
        traced.running.log("api"),
        traced.running.log("worker"),
    ):
        assert CANARY not in place


def _decoded(history: str) -> str:
    import base64
    import re

    return history + " ".join(
        base64.b64decode(data).decode("latin-1") for data in re.findall(r'"data": ?"([A-Za-z0-9+/=]+)"', history)
    )


async def test_a_traced_run_replays_where_nothing_is_traced(traced: Traced) -> None:
    """Tracing can be switched off while workflows run."""
    assert len(temporal_plugins()) == 1
    await Replayer(workflows=list(WORKFLOWS), plugins=[temporal_plugin(CODEC)]).replay_workflow(await traced.history())


async def test_a_log_line_names_the_request_and_its_trace(traced: Traced) -> None:
    log = traced.running.log("api")
    (line,) = [line for line in log.splitlines() if f'"http_request_id": "{KNOWN}"' in line]
    assert '"code": "customer_not_found"' in line
    assert '"organisation": "demo"' in line
    assert '"trace_id": "' in line
    assert '"http_request_id": "http_' in log, "an exchange without a name gets one"
    assert '"http_request_id": "~' in log, "an id that could be a person's address is hashed"


async def test_a_workers_log_line_says_what_it_is_about_and_leads_to_the_trace(traced: Traced) -> None:
    """Half way through, Postgres loses a table: the step that meets it says so."""
    with traced.running_owner() as owner:
        owner.execute("ALTER TABLE decisions RENAME TO elsewhere")
        sent = asyncio.create_task(say(traced.house, "what is my plan?", prefer="wait=0"))
        async with asyncio.timeout(30):
            while '"activity_type": "decisions.judge"' not in traced.running.log("worker"):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)
        owner.execute("ALTER TABLE elsewhere RENAME TO decisions")
    answer = await sent
    lines = [json.loads(line) for line in traced.running.log("worker").splitlines() if line.startswith("{")]
    line = next(line for line in lines if line["event"].startswith("an activity could not finish"))
    assert (line["organisation"], line["interaction_id"]) == ("demo", answer["interactionId"])
    assert line["workflow_id"].startswith("interaction:demo:~")
    assert line["trace_id"] == TRACE
    assert CANARY not in traced.running.log("worker")


async def test_a_worker_shows_the_metrics_of_temporals_sdk_when_given_a_port(traced: Traced) -> None:
    assert "temporal_workflow_completed_total{" in traced.worker_metrics
    assert 'activity_type="decisions.judge"' in traced.worker_metrics
    assert CANARY not in traced.worker_metrics


REPLAY_TRACED = """
import asyncio, sys
from pathlib import Path
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from workflows.runtime import WORKFLOWS, start_tracing, temporal_plugins

async def main():
    start_tracing(Resource({}), SimpleSpanProcessor(InMemorySpanExporter()))
    plugins = temporal_plugins()
    assert len(plugins) == 2
    found = sorted(Path("tests/histories").glob("*.json"))
    for path in found:
        history = WorkflowHistory.from_json(path.stem, path.read_text())
        await Replayer(workflows=list(WORKFLOWS), plugins=plugins).replay_workflow(history)
    print(len(found))

asyncio.run(main())
"""


def test_runs_recorded_without_tracing_replay_with_it() -> None:
    """Tracing can be switched on while workflows run. In a process of its own: it cannot be switched off in one."""
    done = subprocess.run(
        [sys.executable, "-c", REPLAY_TRACED], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == len(list((ROOT / "tests/histories").glob("*.json"))) > 5


def test_nothing_is_traced_unless_asked_for() -> None:
    assert not is_tracing()
    assert len(temporal_plugins()) == 1


def spans_of(make: Callable[[trace.Tracer], None], *, discreetly: bool) -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(DiscreetExporter(kept) if discreetly else kept))
    with contextlib.suppress(ValueError):
        make(provider.get_tracer("test"))
    return list(kept.get_finished_spans())


def _indiscreet(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("a", attributes={"url.path": f"/customers/{CANARY}", "http.route": "/x"}):
        raise ValueError(CANARY)


def test_of_an_exception_only_its_type_is_kept() -> None:
    (span,) = spans_of(_indiscreet, discreetly=True)
    assert dict(span.attributes or {}) == {"http.route": "/x", "error.type": "ValueError"}
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, None)
    assert CANARY not in span.to_json()


def test_negative_control_the_same_span_says_too_much_without_us() -> None:
    (span,) = spans_of(_indiscreet, discreetly=False)
    assert span.to_json().count(CANARY) >= 3


@pytest.mark.parametrize(
    "parent", [None, "", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{CALLER}-01-{CANARY}"]
)
def test_a_parent_that_is_none_starts_a_trace_of_our_own(parent: str | None) -> None:
    carrier = {} if parent is None else {"traceparent": parent}
    assert not trace.get_current_span(TraceParent().extract(carrier)).get_span_context().is_valid


def test_a_callers_trace_is_joined_without_its_free_text() -> None:
    carrier = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": f"vendor={CANARY}"}
    joined = trace.get_current_span(TraceParent().extract(carrier)).get_span_context()
    assert (trace.format_trace_id(joined.trace_id), dict(joined.trace_state)) == (TRACE, {})
