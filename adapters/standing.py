"""What is open at this moment, as gauges. Every process of an installation shows the same: take the maximum."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.handoff import HandoffKind
from domain.standing import Standing

_KINDS = tuple(kind.value for kind in HandoffKind)


class _Gauge(NamedTuple):
    name: str
    says: str
    label: str
    kinds: tuple[str, ...]
    """All there are: what is not open is said to be none."""


_GAUGES = {
    "interactions": _Gauge(
        "holdfast_open_interactions",
        "Interactions that have not ended",
        "status",
        ("running", "waiting_for_customer", "waiting_for_human"),
    ),
    "handoffs": _Gauge("holdfast_open_handoffs", "Handoffs nobody has decided", "kind", _KINDS),
    "handoffs_overdue": _Gauge(
        "holdfast_overdue_handoffs", "Handoffs nobody has decided, past their due time", "kind", _KINDS
    ),
    "deliveries": _Gauge(
        "holdfast_open_deliveries", "Messages that have not arrived", "status", ("pending", "dead_letter")
    ),
    "untold": _Gauge(
        "holdfast_untold", "Decisions and messages no workflow has heard of yet", "what", ("handoff", "delivery")
    ),
    "unknown_effects": _Gauge("holdfast_unknown_effects", "Effects that may have happened, unresolved", "", ("",)),
    "legal_holds": _Gauge("holdfast_legal_holds", "Legal holds that hold", "", ("",)),
    "retention": _Gauge("holdfast_open_retention_runs", "Runs of retention that have not ended", "", ("",)),
    "unsealed": _Gauge("holdfast_audit_unsealed", "Organisations with unsealed audit events", "", ("",)),
}


class StandingCollector(Collector):
    """Shows what it was told last; nothing while it was told nothing."""

    def __init__(self) -> None:
        self.said: tuple[Sequence[Standing], Mapping[str, bool], datetime] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if self.said is None:
            return
        standing, ready, now = self.said
        parts = GaugeMetricFamily("holdfast_ready", "Whether a part this process needs is there.", labels=["part"])
        for part, is_there in ready.items():
            parts.add_metric([part], float(is_there))
        yield parts
        if ready.get("postgres"):
            yield from _gauges({(s.measure, s.kind): s for s in standing}, now)


def _gauges(found: Mapping[tuple[str, str], Standing], now: datetime) -> Iterator[GaugeMetricFamily]:
    for measure, gauge in _GAUGES.items():
        labels = [gauge.label] if gauge.label else []
        counts = GaugeMetricFamily(gauge.name, f"{gauge.says}.", labels=labels)
        oldest = GaugeMetricFamily(f"{gauge.name}_oldest_seconds", f"{gauge.says}: since when.", labels=labels)
        for kind in gauge.kinds:
            one = found.get((measure, kind))
            counts.add_metric([kind] if labels else [], one.count if one else 0)
            oldest.add_metric([kind] if labels else [], _age(one, now))
        yield counts
        yield oldest
    lag = GaugeMetricFamily("holdfast_rollup_lag_seconds", "How long ago the last run of counting was.")
    lag.add_metric([], _age(found.get(("rolled", "")), now))
    yield lag


def _age(one: Standing | None, now: datetime) -> float:
    return max((now - one.since).total_seconds(), 0.0) if one and one.since else 0.0
