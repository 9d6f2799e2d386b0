"""Confidence holds back; it never opens anything."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.confidence import Band, Bands, certainty
from domain.tools.tool import Risk

NONSENSE = [math.nan, math.inf, -math.inf, -1, -0.01, 1.01, 2, "1.0", "high", True, None, [1.0], {}, 10**400]


@pytest.mark.parametrize("value", NONSENSE, ids=lambda v: str(v)[:10])
def test_what_is_not_a_number_from_zero_to_one_is_no_confidence(value: object) -> None:
    assert certainty(value) == 0.0
    assert Bands().band(value, Risk.LOW) is Band.ASK


@pytest.mark.parametrize(
    ("risk", "amount", "needed"),
    [(Risk.LOW, 0, 0.5), (Risk.MEDIUM, 0, 0.6), (Risk.HIGH, 0, 0.7), (Risk.HIGH, 10_000, 0.7), (Risk.LOW, 10_001, 0.8)],
)
def test_more_risk_and_more_money_need_more_confidence(risk: Risk, amount: int, needed: float) -> None:
    assert Bands().band(needed, risk, amount) is Band.ACT
    assert Bands().band(math.nextafter(needed, 0), risk, amount) is Band.ASK


def test_a_risk_that_is_not_listed_always_asks() -> None:
    assert Bands(act_from={Risk.LOW: 0.0}).band(1.0, Risk.HIGH) is Band.ASK


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(list(Risk)), st.integers(0, 10**12), st.integers(0, 10**12))
def test_more_confidence_or_less_money_never_turns_act_into_ask(
    one: float, other: float, risk: Risk, amount: int, another: int
) -> None:
    if Bands().band(min(one, other), risk, max(amount, another)) is Band.ACT:
        assert Bands().band(max(one, other), risk, min(amount, another)) is Band.ACT


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_a_band_outside_zero_to_one_is_a_mistake(bad: float) -> None:
    with pytest.raises(ValidationError):
        Bands(act_from={Risk.LOW: bad})
