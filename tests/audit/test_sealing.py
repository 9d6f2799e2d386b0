"""Sealing: every event once, in one order, whoever writes and seals at the same time; and word of it outside."""

import asyncio
import random
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from adapters.ed25519 import Ed25519Keys, new_seed
from adapters.failpoints import NoFailpoints
from adapters.gateways.checkpoint_file import CheckpointFiles
from api.auditing import OVERDUE
from domain.audit import Flaw
from schema.audit import AuditEvent, AuditRepository
from tests.audit.chain import Chain
from tests.schema.given import ACME, NOW


class Died(Exception):
    pass


class Dies:
    """A failpoint where a process dies, as far as one process can show it."""

    def hit(self, name: str) -> None:
        if name == "F14":
            raise Died


async def until_it_fails(chain: Chain) -> None:
    while True:
        await chain.seal()


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines()


def rewrite(file: Path, *lines: str) -> None:
    file.write_text("".join(f"{line}\n" for line in lines))


def tear(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


async def test_A2_writers_and_sealers_at_once_leave_no_gap_no_fork_and_raise_no_false_alarm(chain: Chain) -> None:
    dice, writing = random.Random(7), True

    async def write(who: int) -> None:
        for n in range(12):
            async with chain.db.transaction(ACME) as session:
                await AuditRepository(session).append(AuditEvent(NOW, f"w{who}", "a.b", f"int_{n}"))
                # Others begin and commit meanwhile: an early number becomes visible late.
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
                    await chain.db.ping()
                await AuditRepository(session).append(AuditEvent(NOW, f"w{who}", "a.c", f"int_{n}"))

    async def seal() -> None:
        while writing:
            await chain.seal()
            verdict = await chain.verify()
            assert verdict.findings == ()

    sealing = [asyncio.create_task(seal()) for _ in range(2)]
    await asyncio.gather(*(write(who) for who in range(6)))
    writing = False
    await asyncio.gather(*sealing)
    await chain.seal_all()
    verdict = await chain.verify()
    assert (verdict.ok, verdict.count, verdict.checked_to) == (True, 144, 144)
    (sealed,) = chain.owner.execute("SELECT count(DISTINCT event_id) FROM audit_seals").fetchall()
    assert sealed == (144,)


async def test_A2_what_is_not_committed_yet_holds_up_what_came_after_it_and_is_sealed_in_its_turn(chain: Chain) -> None:
    async with chain.db.transaction(ACME) as slow:
        await AuditRepository(slow).append(AuditEvent(NOW, "slow", "a.b", "int_1"))
        await chain.write(3)
        await chain.seal()
        during = await chain.verify()
    await chain.seal_all()
    after = await chain.verify()
    assert (during.ok, during.count, during.pending) == (True, 0, 3)
    assert (after.ok, after.count, after.pending) == (True, 4, 0)


async def test_sealing_again_changes_nothing(chain: Chain) -> None:
    await chain.write(25)
    await chain.seal_all()
    before = await chain.verify()
    result = await chain.seal()
    assert (result.events, result.checkpoints) == (0, 0)
    assert (await chain.verify()).head == before.head


async def test_F14_a_death_between_batch_and_checkpoint_is_made_up_for(chain: Chain) -> None:
    await chain.write(5)
    chain.failpoints = Dies()
    with pytest.raises(ApplicationError):
        await until_it_fails(chain)
    between = await chain.verify()
    assert (between.ok, between.count, between.outside_proof) == (True, 5, False)
    chain.now += OVERDUE * 2
    late = await chain.verify()
    assert [f.problem for f in late.findings] == [Flaw.CHECKPOINT_MISSING]
    chain.failpoints = NoFailpoints()
    await chain.seal()
    healed = await chain.verify()
    assert (healed.ok, healed.confirmed_to) == (True, 5)


async def test_without_a_key_everything_is_sealed_and_nothing_vouches_for_it(chain: Chain) -> None:
    chain.signs = False
    await chain.write(5)
    await chain.seal_all()
    verdict = await chain.verify(proof=False)
    assert (verdict.ok, verdict.count, verdict.outside_proof, verdict.confirmed_to) == (True, 5, False, 0)
    assert not chain.folder.exists()


async def test_after_a_restore_into_a_server_that_counts_anew_everything_is_sealed_all_the_same(chain: Chain) -> None:
    await chain.write(5)
    await chain.seal_all()
    # As if the old server had counted much further than this one has.
    chain.owner.execute("UPDATE audit_batches SET horizon = 1000000000000")
    await chain.write(7)
    await chain.seal_all()
    while (await chain.verify()).count < 12:
        await chain.seal()
    verdict = await chain.verify()
    assert (verdict.ok, verdict.count) == (True, 12)


class TestCheckpoints:
    @pytest.fixture
    async def kept(self, chain: Chain) -> Path:
        for _ in range(3):
            await chain.write(5)
            await chain.seal_all()
        (file,) = chain.folder.iterdir()
        return file

    async def problems(self, chain: Chain) -> list[Flaw]:
        return [f.problem for f in (await chain.verify()).findings]

    async def test_a_line_torn_by_a_power_cut_is_passed_over_and_the_next_one_follows(
        self, chain: Chain, kept: Path
    ) -> None:
        tear(kept)
        assert await self.problems(chain) == []
        await chain.write(5)
        await chain.seal_all()
        verdict = await chain.verify()
        assert (verdict.ok, verdict.confirmed_to) == (True, 20)

    async def test_a_changed_checkpoint_is_not_believed(self, chain: Chain, kept: Path) -> None:
        first, *others = lines_of(kept)
        rewrite(kept, first.replace('"sequence":5', '"sequence":4'), *others)
        assert Flaw.SIGNATURE_BAD in await self.problems(chain)

    async def test_one_taken_out_is_missed_by_the_next(self, chain: Chain, kept: Path) -> None:
        first, _, *others = lines_of(kept)
        rewrite(kept, first, *others)
        assert await self.problems(chain) == [Flaw.FORK]

    async def test_somebody_elses_signature_is_not_believed(self, chain: Chain, kept: Path) -> None:
        chain.keys = Ed25519Keys(new_seed())
        assert Flaw.SIGNATURE_BAD in await self.problems(chain)

    async def test_a_key_that_signed_before_is_still_believed(self, chain: Chain, kept: Path) -> None:
        seeds = [new_seed(), new_seed()]
        chain.keys, chain.folder = Ed25519Keys(seeds[0]), chain.folder / "other"
        await chain.write(5)
        await chain.seal_all()
        chain.keys = Ed25519Keys(f"{seeds[1]},{seeds[0]}")
        await chain.write(5)
        await chain.seal_all()
        verdict = await chain.verify()
        assert (verdict.ok, verdict.checkpoints >= 2) == (True, True)

    async def test_what_is_kept_comes_back_and_is_kept_once(self, chain: Chain, kept: Path) -> None:
        files = CheckpointFiles(chain.folder)
        last = files.latest(ACME)
        assert last is not None
        files.append(last)
        assert [c for c in files.all(ACME)][-1] == last
        assert len(list(files.all(ACME))) == len(lines_of(kept))
