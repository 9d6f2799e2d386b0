"""The fault rig, small: the whole product killed and stopped for a quarter of a minute under load. `make faults` runs
the large ones."""

import pytest

from tests.faults import rig
from tests.faults.tiers import TIERS

pytestmark = pytest.mark.crash


async def test_R1_nothing_happens_twice_or_is_lost_while_every_component_is_killed() -> None:
    verdict = await rig.run(TIERS["smoke"], seed=11)
    assert verdict.violations == []
    assert verdict.void == [], "the run proves nothing"


async def test_R1n_negative_control_without_the_ledger_the_same_run_does_things_twice() -> None:
    verdict = await rig.run(TIERS["smoke"], seed=11, worker=rig.UNGUARDED)
    assert len(verdict.duplicates) >= 1, "the rig would not notice"
