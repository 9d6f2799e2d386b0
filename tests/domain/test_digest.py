"""Equal values have equal digests; different values never look alike; what is not JSON has none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Outcome
from domain.digest import action_digest, canonical_json, digest
from domain.values import CustomerId, Json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def shuffled(value: object) -> object:
    """The same value with every object's keys inserted the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_the_order_of_keys_does_not_matter(value: object) -> None:
    assert digest(shuffled(value)) == digest(value)


@given(values)
def test_canonical_json_is_json_and_reads_back_as_the_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(values, values)
def test_values_that_differ_have_different_digests(one: object, other: object) -> None:
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert digest(one) != digest(other)


def test_the_bytes_are_fixed_for_all_time() -> None:
    assert canonical_json({"b": [1, True, None], "a": "é", "c": 0.1}) == '{"a":"é","b":[1,true,null],"c":0.1}'.encode()
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_an_enum_counts_as_its_text() -> None:
    assert canonical_json({"outcome": Outcome.REFUSE}) == b'{"outcome":"refuse"}'


def cycle() -> Json:
    value: Json = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), {1: "a"}, {None: 1}, {"a": {1, 2}}, b"bytes", object(), cycle(), "\ud800", [1j]],
    ids=["nan", "inf", "number key", "null key", "set", "bytes", "object", "cycle", "half a pair", "complex"],
)
def test_what_is_not_json_has_no_digest(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        digest(value)


def test_an_action_digest_changes_with_everything_it_binds() -> None:
    def made(tool: str = "issue_refund", amount: int = 4900, customer: str = "cust_1", version: int = 1) -> str:
        return action_digest(tool, {"amount": amount}, customer_id=CustomerId(customer), policy_version=version)

    variants = [made(), made(tool="send_email"), made(amount=4901), made(customer="cust_2"), made(version=2)]
    assert len(set(variants)) == len(variants)
    assert made() == made()
