"""O-4: a system that is down is not called several times as often as when it is well."""

import heapq
import random
import statistics
from collections.abc import Callable
from datetime import timedelta

import pytest

from activities.retrying import FACTOR, SOON, Retries
from workflows.options import OUTSIDE

MINUTE = 60.0
MOST_ATTEMPTS = OUTSIDE["retry_policy"].maximum_attempts

Wait = Callable[[str, int], timedelta]


def calls_in_a_minute(offered: int, called: Callable[[str, int], None], wait: Wait) -> int:
    """Calls that arrive at a tool that is down for a minute, while so many are offered at a steady rate."""
    due = [(n * MINUTE / offered, n, 1) for n in range(offered)]
    heapq.heapify(due)
    made = 0
    while due and due[0][0] < MINUTE:
        at, n, attempt = heapq.heappop(due)
        made += 1
        called("tool", attempt)
        if attempt < MOST_ATTEMPTS:
            heapq.heappush(due, (at + wait("tool", attempt).total_seconds(), n, attempt + 1))
    return made


@pytest.mark.parametrize("offered", [120, 600, 6_000])
def test_O4_a_minute_of_503_costs_at_most_twice_the_offered_calls(offered: int) -> None:
    retries = Retries(random.Random(4).random)
    made = calls_in_a_minute(offered, retries.called, retries.wait)
    assert offered < made <= 2 * offered


def test_negative_control_without_shares_the_same_minute_costs_four_times_the_calls() -> None:
    dice = random.Random(4).random
    made = calls_in_a_minute(600, lambda *_: None, lambda _, n: SOON * FACTOR ** (n - 1) * (0.5 + dice()))
    assert made > 3 * 600


def test_O4_what_failed_together_returns_apart() -> None:
    for attempt in (1, 2, 3):
        retries = Retries(random.Random(4).random)
        waits = [retries.wait("tool", attempt).total_seconds() for _ in range(10)]
        late = Retries(random.Random(5).random)
        many = [late.wait("tool", attempt).total_seconds() for _ in range(400)][20:]
        for sample in (waits, many):
            assert statistics.pstdev(sample) / statistics.mean(sample) >= 0.2


def test_a_call_that_fails_now_and_then_is_repeated_soon() -> None:
    """One in two of them, for ever: there is always a share for it."""
    retries = Retries(random.Random(4).random)
    for _ in range(1_000):
        retries.called("tool", 1)
        retries.called("tool", 1)
        assert retries.wait("tool", 1) <= SOON * 1.5


def test_one_tool_that_is_down_takes_nothing_from_another() -> None:
    retries = Retries(random.Random(4).random)
    for _ in range(100):
        retries.wait("down", 1)
    assert retries.wait("well", 1) <= SOON * 1.5
