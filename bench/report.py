"""From phases to figures, from figures to a table, and whether the targets are reached."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.cpu import Parts
from bench.load import Phase

LATENCY_AT = (1, 16)
THROUGHPUT_AT = (16, 64)
CPU_AT = 16
CONCURRENCIES = (1, 16, 64)
PARTS = ("temporal", "worker", "api", "postgres")

PEERS = {
    "RQ, one job per node": (1.5, 45 / 78.5),
    "DBOS, all six steps recorded": (1.0, 56 / 78.5),
    "LangGraph + Postgres, sync durability": (1.0, 83 / 78.5),
}
"""What we want to be as a multiple of a peer, and the peer's throughput as a share of the Temporal floor's at
concurrency 16, measured earlier on one machine (LangGraph and its like are not installed with the benchmark)."""


@dataclass(frozen=True)
class Measured:
    """One stretch of load on one contestant. Times in milliseconds."""

    p50: float
    p95: float
    p99: float
    per_second: float
    cpu_ms: float
    """User and system time of every process that serves, Postgres included, per answered interaction."""
    parts_ms: dict[str, float]
    """The same by part: `temporal`, `worker`, `api`, `postgres`, `launcher`."""
    client_ms: float
    """The same of the caller, which shares the machine."""
    answered: int

    @classmethod
    def of(cls, phase: Phase, served: Parts, client_ms: float) -> "Measured":
        return cls(
            p50=1000 * phase.percentile(0.50),
            p95=1000 * phase.percentile(0.95),
            p99=1000 * phase.percentile(0.99),
            per_second=phase.per_second,
            cpu_ms=served.total() / phase.answered,
            parts_ms={part: spent / phase.answered for part, spent in served.items()},
            client_ms=client_ms / phase.answered,
            answered=phase.answered,
        )


Round = dict[int, Measured]
"""One round of one contestant, by concurrency."""


@dataclass
class Report:
    """Everything one run measured. Rounds were interleaved, so rounds with the same index pair up."""

    machine: dict[str, Any]
    titles: dict[str, str]
    rounds: dict[str, list[Round]]
    idle: dict[str, float] = field(default_factory=dict)

    def figure(self, name: str, concurrency: int, of: str) -> float:
        """The median over the rounds."""
        return float(median(getattr(r[concurrency], of) for r in self.rounds[name]))

    def part(self, name: str, part: str) -> float:
        """CPU milliseconds of one part per interaction, the median over the rounds."""
        return float(median(r[CPU_AT].parts_ms.get(part, 0.0) for r in self.rounds[name]))

    def ratio(self, name: str, other: str, concurrency: int, of: str) -> float:
        """The median over the rounds of `name` / `other` within the round."""
        return self._paired(name, other, concurrency, of, lambda a, b: a / b)

    def difference(self, name: str, other: str, concurrency: int, of: str) -> float:
        return self._paired(name, other, concurrency, of, lambda a, b: a - b)

    def _paired(
        self, name: str, other: str, concurrency: int, of: str, together: Callable[[float, float], float]
    ) -> float:
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return median(together(getattr(a[concurrency], of), getattr(b[concurrency], of)) for a, b in pairs)

    def as_json(self) -> str:
        content = {
            "machine": self.machine,
            "contestants": {
                name: [{str(c): dataclasses.asdict(m) for c, m in r.items()} for r in rounds]
                for name, rounds in self.rounds.items()
            },
            "targets": [dataclasses.asdict(target) for target in targets(self)],
            "idle": self.idle,
        }
        return json.dumps(content, indent=2) + "\n"

    def as_markdown(self) -> str:
        parts = ["# The reference interaction\n", _machine(self), _figures(self)]
        if "holdfast" in self.rounds and len(self.rounds) > 1:
            parts += [_ratios(self), _targets(targets(self))]
        return "\n".join((*parts, _NOTES))


@dataclass(frozen=True)
class Target:
    """One promise, and what came out."""

    what: str
    wanted: str
    measured: str
    reached: bool
    estimated: bool = False


def targets(report: Report) -> list[Target]:
    """The promises that can be judged with the contestants of this run."""
    if "holdfast" not in report.rounds:
        return []
    found: list[Target] = []
    if "temporal_floor" in report.rounds:
        found += _against_temporal(report)
    if "stock_temporal" in report.rounds:
        times = report.ratio("holdfast", "stock_temporal", 16, "per_second")
        found.append(_at_least("throughput at 16, of Temporal as it comes", 4, times))
    if report.idle:
        found.append(_at_most("idle after the load: share of one core", 3, report.idle["cpu_percent"], "%"))
        memory = _at_most("idle after the load: resident memory", 700, report.idle["resident_mb"], "MB")
        # The others' connections to the shared Postgres count as ours: alone (--only holdfast) it is exact.
        found.append(dataclasses.replace(memory, estimated=len(report.rounds) > 1))
    return found


def _against_temporal(report: Report) -> list[Target]:
    share = report.ratio("holdfast", "temporal_floor", 16, "per_second")
    found = [
        _at_least("throughput at 16, of the Temporal floor", 0.85, share),
        _at_most("p50 at 1, of the Temporal floor", 1.3, report.ratio("holdfast", "temporal_floor", 1, "p50"), "×"),
        _at_most(
            "CPU per interaction on top of the Temporal floor",
            6,
            report.difference("holdfast", "temporal_floor", CPU_AT, "cpu_ms"),
            "ms",
        ),
    ]
    for peer, (times, of_floor) in PEERS.items():
        target = _at_least(f"throughput at 16, of {peer}", times, share / of_floor)
        found.append(dataclasses.replace(target, estimated=True))
    return found


def _at_least(what: str, wanted: float, measured: float) -> Target:
    return Target(what, f"≥ {wanted:g} ×", f"{measured:.2f} ×", measured >= wanted)


def _at_most(what: str, wanted: float, measured: float, unit: str) -> Target:
    return Target(what, f"≤ {wanted:g} {unit}", f"{measured:.2f} {unit}", measured <= wanted)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _machine(report: Report) -> str:
    return " · ".join(f"{what}: {value}" for what, value in report.machine.items()) + "\n"


def _figures(report: Report) -> str:
    """One line per contestant; latencies in milliseconds as p50 / p95 / p99."""
    head = ["", *(f"ms at {c} (p50 / p95 / p99)" for c in LATENCY_AT), *(f"per s at {c}" for c in THROUGHPUT_AT)]
    rows = []
    for name, title in report.titles.items():
        latencies = [" / ".join(f"{report.figure(name, c, p):.1f}" for p in ("p50", "p95", "p99")) for c in LATENCY_AT]
        rates = [f"{report.figure(name, c, 'per_second'):.0f}" for c in THROUGHPUT_AT]
        parts = " + ".join(f"{report.part(name, part):.1f}" for part in PARTS)
        costs = [
            f"{report.figure(name, CPU_AT, 'cpu_ms'):.1f} = {parts}",
            f"{report.figure(name, CPU_AT, 'client_ms'):.1f}",
        ]
        rows.append([title, *latencies, *rates, *costs])
    return _table([*head, f"CPU ms each = {' + '.join(PARTS)}", "caller's CPU ms"], rows)


def _ratios(report: Report) -> str:
    rows = []
    for name, title in report.titles.items():
        if name != "holdfast":
            rows.append(
                [
                    title,
                    *(f"{report.ratio('holdfast', name, c, 'p50'):.2f}" for c in LATENCY_AT),
                    *(f"{report.ratio('holdfast', name, c, 'per_second'):.2f}" for c in THROUGHPUT_AT),
                    f"{report.ratio('holdfast', name, CPU_AT, 'cpu_ms'):.2f}",
                    f"{report.difference('holdfast', name, CPU_AT, 'cpu_ms'):+.1f}",
                ]
            )
    head = [f"p50 at {c}" for c in LATENCY_AT] + [f"per s at {c}" for c in THROUGHPUT_AT]
    return "\n## Holdfast as a multiple of\n\n" + _table(["", *head, "CPU", "CPU ms more"], rows)


def _targets(found: Sequence[Target]) -> str:
    rows = []
    for target in found:
        verdict = ("reached" if target.reached else "**not reached**") + (" (estimate)" if target.estimated else "")
        rows.append([target.what, target.wanted, target.measured, verdict])
    return "\n## Targets\n\n" + _table(["what", "wanted", "measured", ""], rows)


_NOTES = """
Every contestant ran on one Postgres server (fsync on), a database each, one after the other within a round, the order
turned from round to round; warm-up left out; figures are medians over rounds, ratios medians of the rounds' own ratios.
Only ratios mean anything on another machine. Every answer was checked, and so was that each interaction left exactly
one row of each kind. An estimate of a peer goes through its share of the Temporal floor in an earlier measurement, in
which that floor answered 78 per s at 16: where it answers less here, the estimate flatters us by as much. Memory is an
estimate when others took part, whose connections to Postgres it includes.
"""
