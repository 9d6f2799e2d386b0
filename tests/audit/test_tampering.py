"""Whatever somebody changes who owns the database, the check finds it, and where."""

import pytest

from domain.audit import Flaw
from tests.audit.chain import OPERATORS, Chain, spoil

LENGTH = 101


@pytest.fixture
async def sealed(chain: Chain) -> Chain:
    await chain.write(LENGTH)
    await chain.seal_all()
    chain.keep()
    return chain


@pytest.mark.parametrize("operator", OPERATORS)
async def test_A1_a_change_is_found_at_every_place_and_the_first_bad_place_is_named(
    sealed: Chain, operator: str
) -> None:
    missed = []
    for place in range(1, LENGTH):
        spoil(sealed, operator, place)
        verdict = await sealed.verify()
        # What was slipped in stands before the first event of its transaction.
        first = place if operator != "slipped_in" else (place - 1) // 5 * 5 + 1
        if verdict.ok or verdict.findings[0].sequence != first:
            missed.append((place, verdict.findings[:1]))
        sealed.restore()
    assert missed == []
    assert (await sealed.verify()).ok


async def test_a_chain_nobody_touched_is_sound(sealed: Chain) -> None:
    """Negative control."""
    verdict = await sealed.verify()
    assert (verdict.ok, verdict.count, verdict.checked_to, verdict.pending) == (True, LENGTH, LENGTH, 0)
    assert (verdict.outside_proof, verdict.confirmed_to) == (True, LENGTH)
    sealed.restore()
    assert (await sealed.verify()).head == verdict.head


@pytest.mark.parametrize("lost", [1, 7, 40, LENGTH])
async def test_A1_a_lost_end_is_found_by_the_checkpoint_outside(sealed: Chain, lost: int) -> None:
    cut = {"n": LENGTH - lost}
    sealed.owner.execute(
        "DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_seals WHERE sequence > %(n)s)", cut
    )
    sealed.owner.execute("DELETE FROM audit_seals WHERE sequence > %(n)s", cut)
    sealed.owner.execute("DELETE FROM audit_batches WHERE last_sequence > %(n)s", cut)
    (found, *_) = [f for f in (await sealed.verify()).findings if f.problem is Flaw.TAIL_MISSING]
    assert found.sequence == LENGTH - lost + 1


async def test_without_a_checkpoint_a_lost_batch_would_look_sound_and_the_answer_says_so(sealed: Chain) -> None:
    """Negative control: it is the checkpoint that finds it."""
    sealed.owner.execute("DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_seals WHERE sequence > 100)")
    sealed.owner.execute("DELETE FROM audit_seals WHERE sequence > 100")
    sealed.owner.execute("DELETE FROM audit_batches WHERE last_sequence > 100")
    verdict = await sealed.verify(proof=False)
    assert (verdict.ok, verdict.outside_proof) == (True, False)


@pytest.mark.parametrize("place", [1, 50, LENGTH])
async def test_A1_a_chain_written_anew_as_a_whole_is_found_by_the_checkpoint_outside(sealed: Chain, place: int) -> None:
    spoil(sealed, "action", place)
    sealed.rehash()
    inside = await sealed.verify(proof=False)
    assert inside.ok, "whoever rewrites everything makes no mistake inside"
    assert [f.problem for f in (await sealed.verify()).findings] == [Flaw.HEAD_DIFFERS]


async def test_a_part_of_the_chain_is_checked_by_itself(sealed: Chain) -> None:
    spoil(sealed, "action", 30)
    assert (await sealed.verify(31)).ok
    assert (await sealed.verify(1, 29)).ok
    assert [f.sequence for f in (await sealed.verify(20, 40)).findings] == [30]
