"""Metrics and traces. Nothing personal leaves: labels are ours and few, and spans keep only what is listed here."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from adapters.standing import StandingCollector
from domain.handoff import HandoffDecision
from domain.standing import Standing
from domain.values import Mode

WAIT_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
EXPORT_S = 3.0
"""How long one export may take, retries included: what a collector that is away can add to the end of a process."""

SHOWN = frozenset(
    {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "url.scheme",
        "network.protocol.version",
        "error.type",
        "temporalWorkflowID",
        "temporalRunID",
        "temporalActivityID",
        "temporalUpdateID",
    }
)
"""What a span may say. Paths, queries, hosts and the words of exceptions can name a customer; they are not here."""


class PrometheusMeters:
    """The metrics of one HTTP process. `provider` is for the framework, which measures every request with it."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=self._registry)
        self.provider = MeterProvider([reader], shutdown_on_exit=False)
        meter = self.provider.get_meter("holdfast")
        self._answers = meter.create_counter(
            "holdfast.answers", description="Requests with a message that were answered."
        )
        self._wait = meter.create_histogram(
            "holdfast.answer.wait",
            unit="s",
            description="How long a request with a message waited.",
            explicit_bucket_boundaries_advisory=WAIT_BUCKETS_S,
        )
        self._decisions = meter.create_counter(
            "holdfast.handoff.decisions", description="Handoffs decided by a person, each once."
        )
        self._conflicts = meter.create_counter(
            "holdfast.idempotency.conflicts", description="Request ids that came again with another body."
        )
        self._conflicts.add(0)
        self._refused = meter.create_counter(
            "holdfast.requests.shed", description="Requests refused because the process had too many under way."
        )
        self._refused.add(0)
        self._verifications = meter.create_counter(
            "holdfast.audit.verifications", description="Audit chains that were verified, by verdict."
        )
        for verdict in ("whole", "broken"):
            self._verifications.add(0, {"verdict": verdict})
        self._standing = StandingCollector()
        self._registry.register(self._standing)

    def answered(self, outcome: str, mode: Mode, *, replayed: bool, waited_s: float) -> None:
        """`outcome` is a decision's outcome, `pending` for a 202, or `none` for an answer without a decision."""
        self._answers.add(1, {"outcome": outcome, "mode": mode.value, "replayed": "true" if replayed else "false"})
        self._wait.record(waited_s, {"mode": mode.value, "replayed": "true" if replayed else "false"})

    def decided(self, decision: HandoffDecision) -> None:
        """A person decided; repeats of the same decision do not count."""
        self._decisions.add(1, {"decision": decision.value})

    def conflicted(self) -> None:
        """A request id was used for another body."""
        self._conflicts.add(1)

    def shed(self) -> None:
        """A request was one too many for this process."""
        self._refused.add(1)

    def verified(self, *, whole: bool) -> None:
        """An audit chain is as it was written, or not."""
        self._verifications.add(1, {"verdict": "whole" if whole else "broken"})

    def stands(self, standing: Sequence[Standing], ready: Mapping[str, bool], now: datetime) -> None:
        """How much is open, and which parts of what this process needs are there, until said anew."""
        self._standing.said = standing, ready, now

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Every metric as Prometheus reads it, in the format `accept` prefers, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def service(name: str) -> Resource:
    """Who a span is from: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, or `name` where they say nothing."""
    told = Resource.create()
    unnamed = str(told.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    return told.merge(Resource({SERVICE_NAME: name})) if unnamed else told


def export_spans(endpoint: str) -> SpanProcessor:
    """Sends spans to an OTLP/HTTP endpoint, batched, from a thread of its own. A collector that is away costs spans,
    never a request. Authentication comes from `OTEL_EXPORTER_OTLP_HEADERS`, as the OpenTelemetry SDK reads it."""
    return BatchSpanProcessor(
        DiscreetExporter(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S))  # seconds
    )


class DiscreetExporter(SpanExporter):
    """Hands spans on with the attributes in `SHOWN` only."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([discreet(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def discreet(span: ReadableSpan) -> ReadableSpan:
    """The span without events, links, status words and unlisted attributes. Of an exception its type remains."""
    shown: dict[str, AttributeValue] = {k: v for k, v in (span.attributes or {}).items() if k in SHOWN}
    for event in span.events:
        kind = (event.attributes or {}).get("exception.type")
        if kind is not None:
            shown.setdefault("error.type", kind)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=shown,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


class TraceParent(TraceContextTextMapPropagator):
    """Joins a caller's trace by `traceparent` alone. `tracestate` and `baggage` are free text: they would travel on
    into the histories of workflows."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        found = getter.get(carrier, "traceparent")
        return super().extract({"traceparent": list(found)} if found else {}, context)
