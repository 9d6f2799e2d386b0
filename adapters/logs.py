"""Structured logs: JSON for machines, readable lines on a terminal. Nothing personal goes in: ids and codes only."""

import logging
import sys
from typing import Literal

import structlog
from opentelemetry import trace


def configure_logs(form: Literal["auto", "console", "json"], level: str) -> None:
    """Once per process, before anything logs. Standard-library loggers take the same road."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), _without_temporal_noise],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _traceback(console),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx2", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _traceback(console: bool) -> structlog.typing.Processor:
    """Where it happened, without the values of local variables: those may be a customer's words."""
    if console:
        return structlog.processors.format_exc_info
    return structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _trace(_: structlog.typing.WrappedLogger, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leads from a line to its trace, where there is one."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        entry["trace_id"] = trace.format_trace_id(span.trace_id)
        entry["span_id"] = trace.format_span_id(span.span_id)
    return entry


_TEMPORAL = ("workflow_id", "activity_type", "attempt")


def _without_temporal_noise(
    _: structlog.typing.WrappedLogger, __: str, entry: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The SDK attaches whole info objects; ids are enough. Workflow ids are ours, with nothing personal in them."""
    for name in ("temporal_activity", "temporal_workflow"):
        info = entry.pop(name, None)
        if isinstance(info, dict):
            entry.update({key: info[key] for key in _TEMPORAL if key in info})
    return entry
