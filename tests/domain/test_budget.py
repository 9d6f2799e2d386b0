"""What is told of a limit is what holds: never more than is left, never later than it is there."""

import re

from hypothesis import given
from hypothesis import strategies as st

from domain.budget import Budget

MOST, WINDOW = st.integers(1, 1_000_000), st.integers(1, 3600)


@given(MOST, WINDOW, st.integers(0, 1_000_000))
def test_what_is_left_is_what_may_still_be_asked(most: int, window_s: int, asked: int) -> None:
    asked = min(asked, most)
    budget = Budget("key", most, window_s, asked * window_s / most)
    found = re.fullmatch(r'"key";r=(\d+);t=(\d+)', budget.standing)
    assert found is not None
    assert int(found[1]) == most - asked
    assert asked * window_s / most <= int(found[2]) < asked * window_s / most + 1
    assert budget.policy == f'"key";q={most};w={window_s}'


@given(MOST, WINDOW, st.floats(0, 3600))
def test_who_waits_as_long_as_told_is_let_in(most: int, window_s: int, ahead_s: float) -> None:
    budget = Budget("key", most, window_s, min(ahead_s, window_s))
    assert budget.retry_after_s >= 1
    assert max(budget.ahead_s - budget.retry_after_s, 0) + window_s / most <= window_s + 1e-6


def test_a_budget_that_is_whole_again_is_not_more_than_whole() -> None:
    assert Budget("organisation", 5, 10.0, -3.0).standing == '"organisation";r=5;t=0'
