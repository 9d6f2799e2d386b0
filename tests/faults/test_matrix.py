"""R-2: what random blows may miss. `make faults ARGS=--matrix` goes through every cell."""

import pytest

from tests.faults import matrix

pytestmark = pytest.mark.crash


async def test_R2_a_crash_at_a_failpoint_ends_in_one_effect_or_an_open_question() -> None:
    outcome = await matrix.run(matrix.A_FEW)
    assert outcome.violations == []
    assert outcome.missed == [], "a cell nobody reached proves nothing"
