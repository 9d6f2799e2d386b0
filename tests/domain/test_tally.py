"""From counts to rates, percentiles and points."""

import bisect
import random
from datetime import UTC, datetime, timedelta

import pytest

from domain.dashboard import DAY, HOUR, LONGEST, TIME_BOUNDS_S, Counted, Waiting, Window
from domain.tally import report

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)


def window(length: timedelta) -> Window:
    return Window(begin=BEGIN, end=BEGIN + length)


def times(*took: float) -> list[Counted]:
    return [Counted("answered", ("live", "proceed", "other"), bisect.bisect(TIME_BOUNDS_S, s), 1, s) for s in took]


def test_of_nothing_there_are_no_rates() -> None:
    nothing = report(window(DAY), [], [], None)
    assert (nothing.interactions.escalation_rate, nothing.interactions.replay_rate) == (None, None)
    assert (nothing.times["answer"].count, nothing.times["answer"].p99) == (0, None)
    assert nothing.backlog == ()
    assert [p.count for p in nothing.series["received"]] == [0] * 24


@pytest.mark.parametrize("seed", range(5))
def test_a_percentile_lies_in_the_bucket_of_the_true_one(seed: int) -> None:
    dice = random.Random(seed)
    took = sorted(dice.lognormvariate(1, 3) for _ in range(500))
    found = report(window(DAY), times(*took), [], None).times["answer"]
    assert found.mean == pytest.approx(sum(took) / 500)
    for share, value in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99)):
        assert value is not None
        true = took[int(share * 500) - 1]
        assert abs(bisect.bisect_left(TIME_BOUNDS_S, value) - bisect.bisect_left(TIME_BOUNDS_S, true)) <= 1


def test_beyond_the_last_bound_the_bound_is_said() -> None:
    week = 7 * 86_400
    assert report(window(DAY), times(3 * week), [], None).times["answer"].p50 == week


@pytest.mark.parametrize("length", [HOUR, DAY, 5 * DAY, 25 * DAY, LONGEST])
def test_a_series_has_a_hundred_points_at_most_and_covers_the_window(length: timedelta) -> None:
    asked = window(length)
    last = asked.begin + (length - HOUR) // asked.step * asked.step
    points = report(asked, [Counted("received", ("live",), 0, 3, 0, last)], [], None).series["received"]
    assert 1 <= len(points) <= 101
    assert (points[-1].at, points[-1].count) == (last, 3)
    assert points[0].at == asked.begin


def test_a_backlog_is_added_up_by_kind_and_age() -> None:
    old, new = BEGIN - DAY, BEGIN
    waiting = [Waiting("deliveries", "pending", 0, 2, new), Waiting("deliveries", "pending", 4, 1, old)]
    (line,) = report(window(DAY), [], waiting, None).backlog
    assert (line.count, line.oldest_at) == (3, old)
    assert list(line.ages.values()) == [2, 0, 0, 0, 1]


def test_shadow_runs_are_told_apart() -> None:
    counted = [
        Counted("received", ("live",), 0, 4, 0),
        Counted("received", ("shadow",), 0, 6, 0),
        Counted("answered", ("live", "ask_human", "other"), 0, 1, 1),
        Counted("answered", ("live", "proceed", "other"), 0, 3, 1),
        Counted("answered", ("shadow", "ask_human", "other"), 0, 6, 1),
        Counted("replays", ("live",), 0, 10, 0),
    ]
    found = report(window(DAY), counted, [], None).interactions
    assert (found.received, found.shadow, found.escalation_rate, found.replay_rate) == (4, 6, 0.25, 0.5)
