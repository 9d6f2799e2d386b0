"""O-2: the leak run tells a leak from a wobble."""

import math

import pytest

from bench.leak import MOST_PER_MINUTE, Look, is_flat, slope_percent


def looks(resident: list[float]) -> list[Look]:
    return [Look(5.0 * n, int(size), 20, 5) for n, size in enumerate(resident)]


@pytest.mark.parametrize("percent", [0.0, 0.5, 2.0, 10.0])
def test_O2_the_slope_is_the_growth_per_minute(percent: float) -> None:
    grown = [2e8 * (1 + percent / 100 * (n - 30) * 5 / 60) + 1e6 * math.sin(n) for n in range(61)]
    assert slope_percent(looks(grown)) == pytest.approx(percent, abs=0.05)


def test_O2_a_leak_of_two_percent_would_be_noticed_and_a_wobble_is_none() -> None:
    leak = [2e8 * 1.02 ** (n * 5 / 60) for n in range(61)]
    wobble = [2e8 + 5e6 * (n % 2) for n in range(61)]
    assert slope_percent(looks(leak)) > MOST_PER_MINUTE > abs(slope_percent(looks(wobble)))


def test_O2_handles_that_stay_behind_would_be_noticed() -> None:
    assert is_flat([20, 25, 21, 24, 25, 23])
    assert not is_flat(list(range(20, 60)))
