"""How counted facts become a dashboard: sums, rates, percentiles."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from domain.dashboard import (
    AGES,
    CONFIDENCE_STEPS,
    TIME_BOUNDS_S,
    Backlog,
    Bar,
    Counted,
    Dashboard,
    Durations,
    Interactions,
    Point,
    Policy,
    Waiting,
    Window,
)
from domain.decision import Outcome
from domain.values import Mode

_LIVE = Mode.LIVE.value
_TIMES = {
    "answer": ("answered", _LIVE),
    "resolution": ("finished", _LIVE),
    "claim": ("claimed", None),
    "response": ("responded", None),
    "decision": ("decided", None),
    "delivery": ("deliveries", "delivered"),
}
"""Each duration's metric, and the word it is limited to."""
_SERIES: dict[str, Callable[[Counted], bool]] = {
    "received": lambda c: c.metric == "received" and _LIVE in c.words,
    "escalated": lambda c: c.metric == "answered" and Outcome.ASK_HUMAN in c.words and _LIVE in c.words,
    "replays": lambda c: c.metric == "replays",
    "handoffs": lambda c: c.metric == "handoffs",
    "breaches": lambda c: c.metric == "breached",
    "effectsUnknown": lambda c: c.metric == "effects" and "unknown" in c.words,
    "deliveries": lambda c: c.metric == "deliveries" and "delivered" in c.words,
    "deadLetters": lambda c: c.metric == "deliveries" and "dead_letter" in c.words,
}


def report(
    window: Window, counted: Sequence[Counted], waiting: Sequence[Waiting], counted_until: datetime | None
) -> Dashboard:
    """The dashboard of what was counted in a window, and of what waits now."""
    tally = Tally(c for c in counted if c.at is None)
    return Dashboard(
        begin=window.begin,
        end=window.end,
        counted_until=counted_until,
        step_seconds=int(window.step.total_seconds()),
        interactions=_interactions(tally),
        times={name: tally.durations(metric, word) for name, (metric, word) in _TIMES.items()},
        confidence=tally.confidence(),
        unverified=tally.by("unverified", 0),
        policies=tally.policies(),
        handoffs=tally.by("handoffs", 0),
        reasons=tally.by("handoffs", 1),
        decided=tally.by_two("decided"),
        breaches=tally.by("breached", 1),
        effects=tally.by_two("effects"),
        deliveries=tally.by_two("deliveries"),
        backlog=_backlog(waiting),
        series=_series(window, [c for c in counted if c.at is not None]),
    )


class Tally:
    """Counted facts, to be added up in several ways."""

    def __init__(self, counted: Iterable[Counted]) -> None:
        self._of: defaultdict[str, list[Counted]] = defaultdict(list)
        for each in counted:
            self._of[each.metric].append(each)

    def total(self, metric: str, *words: str) -> int:
        """All of it that carries these words."""
        return sum(c.count for c in self._of[metric] if set(words) <= set(c.words))

    def by(self, metric: str, place: int, *words: str) -> dict[str, int]:
        """By the word at a place, most frequent first."""
        sums: Counter[str] = Counter()
        for c in self._of[metric]:
            if set(words) <= set(c.words):
                sums[c.words[place]] += c.count
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def by_two(self, metric: str) -> dict[str, dict[str, int]]:
        """By the first word and the second."""
        return {first: self.by(metric, 1, first) for first in sorted({c.words[0] for c in self._of[metric]})}

    def durations(self, metric: str, word: str | None) -> Durations:
        """Of what was measured: handing something over together with its answer takes no time, and has no bucket."""
        kept = [c for c in self._of[metric] if word is None or word in c.words]
        buckets: Counter[int] = Counter()
        for c in kept:
            buckets[c.bucket] += c.count
        count = buckets.total()
        if not count:
            return Durations()
        p50, p90, p99 = (_percentile(buckets, share) for share in (0.5, 0.9, 0.99))
        return Durations(count=count, mean=sum(c.sum for c in kept) / count, p50=p50, p90=p90, p99=p99)

    def confidence(self) -> tuple[Bar, ...]:
        """Live answers by how sure the agent was."""
        counts: Counter[int] = Counter()
        for c in self._of["confidence"]:
            if _LIVE in c.words:
                counts[c.bucket] += c.count
        steps = range(1, CONFIDENCE_STEPS + 1)
        return tuple(Bar(below=step / CONFIDENCE_STEPS, count=counts[step]) for step in steps)

    def policies(self) -> tuple[Policy, ...]:
        found = sorted(self._of["policies"], key=lambda c: (-c.count, c.words))
        return tuple(Policy(outcome=c.words[0], rule=c.words[1], code=c.words[2], count=c.count) for c in found)


def _interactions(tally: Tally) -> Interactions:
    answered, replays = tally.total("answered", _LIVE), tally.total("replays")
    escalated, given = tally.total("answered", _LIVE, Outcome.ASK_HUMAN), tally.total("answered") + replays
    return Interactions(
        received=tally.total("received", _LIVE),
        answered=answered,
        outcomes=tally.by("answered", 1, _LIVE),
        intents=tally.by("answered", 2, _LIVE),
        finished=tally.by("finished", 1, _LIVE),
        shadow=tally.total("received", Mode.SHADOW),
        replays=replays,
        escalation_rate=escalated / answered if answered else None,
        replay_rate=replays / given if given else None,
    )


def _percentile(buckets: Counter[int], share: float) -> float:
    """Linear within the bucket it falls into; the last one has no upper bound and says its lower one."""
    wanted, passed = share * buckets.total(), 0
    edges = (0.0, *map(float, TIME_BOUNDS_S))
    for bucket in range(len(TIME_BOUNDS_S)):
        if passed + buckets[bucket] >= wanted and buckets[bucket]:
            inside = (wanted - passed) / buckets[bucket]
            return edges[bucket] + (edges[bucket + 1] - edges[bucket]) * inside
        passed += buckets[bucket]
    return edges[-1]


def _backlog(waiting: Sequence[Waiting]) -> tuple[Backlog, ...]:
    grouped: defaultdict[tuple[str, str], list[Waiting]] = defaultdict(list)
    for each in waiting:
        grouped[each.what, each.state].append(each)
    return tuple(
        Backlog(
            what=what,
            state=state,
            count=sum(w.count for w in group),
            oldest_at=min(w.since for w in group),
            ages={words: sum(w.count for w in group if w.age == n) for n, (words, _) in enumerate(AGES)},
        )
        for (what, state), group in sorted(grouped.items())
    )


def _series(window: Window, counted: Sequence[Counted]) -> dict[str, tuple[Point, ...]]:
    """One point per step, also where nothing happened."""
    steps = -(-(window.end - window.begin) // window.step)
    at = [window.begin + n * window.step for n in range(steps)]
    series = {}
    for name, belongs in _SERIES.items():
        sums: Counter[datetime] = Counter()
        for c in counted:
            if c.at is not None and belongs(c):
                sums[c.at] += c.count
        series[name] = tuple(Point(at=moment, count=sums[moment]) for moment in at)
    return series
