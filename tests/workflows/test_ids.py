"""Ids are shown in clear in Temporal: what could be personal is never part of one."""

import pytest

from workflows.ids import opaque

KEY = b"k" * 40


@pytest.mark.parametrize(
    "part",
    ["cust_123", "req-001", "inv_2001", "req_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "order_01ARZ3NDEKTSV4RRFFQ69G5FAV",
     "0192f0c1-a2b3-7c4d-8e9f-a0b1c2d3e4f5"],
)  # fmt: skip
def test_what_a_machine_made_is_shown(part: str) -> None:
    assert opaque(part, KEY) == part


@pytest.mark.parametrize(
    "part",
    ["mary", "MaryJones", "mary-jones", "mary_1985", "anna@example.com", "+33612345678", "a-06-12-34-56-78",
     "cust_0612345678", "cust_06-12-34-56-78", "Anna Example", "cust_mary", "", "x" * 65, "cust_123\n", "İnv_1"],
)  # fmt: skip
def test_what_could_be_a_person_is_hashed_and_stays_the_same(part: str) -> None:
    shown = opaque(part, KEY)
    assert shown.startswith("~")
    assert len(shown) == 33
    assert shown == opaque(part, KEY) != opaque(part + "x", KEY)
    assert shown != opaque(part, b"another key" * 4)
