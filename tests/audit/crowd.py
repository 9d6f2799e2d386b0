"""Many writers at once, sealers that are killed again and again, and somebody who checks all the while."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.audit import AuditActivities
from adapters.ed25519 import Ed25519Keys
from adapters.failpoints import NoFailpoints
from adapters.gateways.checkpoint_file import CheckpointFiles
from api.auditing import Verdict, verify
from api.deps import Proof
from domain.audit import SealInput
from schema.audit import AuditEvent, AuditRepository
from schema.session import Database
from tests.schema.given import ACME

SEALERS = 2
ROOT = Path(__file__).parents[2]


class _Regrets(Exception):
    """A writer that takes back what it wrote."""


@dataclass
class Told:
    """What came of it."""

    verdict: Verdict
    """Of the whole chain, at the end."""
    written_s: float = 0
    verifications: int = 0
    """Made while it was written."""
    alarms: Counter[str] = field(default_factory=Counter)
    """What they found, although nothing was wrong."""
    kills: int = 0
    taken_back: int = 0


@dataclass
class Crowd:
    url: str
    folder: Path
    seed: str
    """The key checkpoints are signed with."""
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    _writing: bool = True
    _taken_back: int = 0

    async def build(self, *, events: int, writers: int, kills: int = 5) -> Told:
        """A chain of so many events, while at least so many sealers were killed with -9."""
        db = Database(self.url, pool_size=writers + 4)
        told, begun = Counter[str](), time.perf_counter()
        checking = asyncio.create_task(self._check(db, told))
        killing = asyncio.create_task(self._kill(kills))
        shares = [events // writers + (n < events % writers) for n in range(writers)]
        await asyncio.gather(*(self._write(db, f"w{n}", share) for n, share in enumerate(shares)))
        written_s, self._writing = time.perf_counter() - begun, False
        killed, verifications = await killing, await checking
        verdict = await self._seal_all(db)
        await db.close()
        return Told(verdict, written_s, verifications, told, killed, self._taken_back)

    async def _write(self, db: Database, who: str, share: int) -> None:
        while share:
            count = min(share, self.dice.randint(1, 10))
            regrets = self.dice.random() < 0.05
            with suppress(_Regrets):
                async with db.transaction(ACME) as session:
                    events = [
                        AuditEvent(datetime.now(UTC), who, "a.b", f"int_{share - n}", {"n": n}) for n in range(count)
                    ]
                    await AuditRepository(session).append(*events[:1])
                    # Others begin and commit meanwhile: an early number becomes visible late.
                    await asyncio.sleep(0)
                    await AuditRepository(session).append(*events[1:])
                    if regrets:
                        self._taken_back += count
                        raise _Regrets
                share -= count

    async def _check(self, db: Database, alarms: Counter[str]) -> int:
        count = 0
        while self._writing:
            alarms.update(finding.problem.value for finding in (await self._verdict(db)).findings)
            count += 1
        return count

    async def _verdict(self, db: Database) -> Verdict:
        proof = Proof(CheckpointFiles(self.folder), Ed25519Keys(self.seed))
        return await verify(db, ACME, proof, datetime.now(UTC))

    async def _kill(self, least: int) -> int:
        count = 0
        async with self._sealers() as sealers:
            while self._writing or count < least:
                await asyncio.sleep(self.dice.uniform(0.5, 2.5))
                place = self.dice.randrange(SEALERS)
                sealers[place].send_signal(signal.SIGKILL)
                await sealers[place].wait()
                sealers[place] = await self._sealer()
                count += 1
        return count

    @asynccontextmanager
    async def _sealers(self) -> AsyncIterator[list[asyncio.subprocess.Process]]:
        sealers = [await self._sealer() for _ in range(SEALERS)]
        try:
            yield sealers
        finally:
            for sealer in sealers:
                sealer.kill()
                await sealer.wait()

    async def _sealer(self) -> asyncio.subprocess.Process:
        words = (self.url, str(self.folder), self.seed)
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.audit.crowd", env={**os.environ, "CROWD": "\n".join(words)}, cwd=ROOT
        )

    async def _seal_all(self, db: Database) -> Verdict:
        """Another database of the same server may hold the horizon up for a moment."""
        verdict = await self._verdict(db)
        while verdict.pending or verdict.confirmed_to < verdict.count:
            await _sealed(db, self.folder, self.seed)
            verdict = await self._verdict(db)
        return verdict


async def _sealed(db: Database, folder: Path, seed: str) -> None:
    activities = AuditActivities(
        db,
        now=lambda: datetime.now(UTC),
        failpoints=NoFailpoints(),
        signer=Ed25519Keys(seed),
        checkpoints=CheckpointFiles(folder),
    )
    with suppress(ApplicationError):  # the other sealer was quicker
        await ActivityEnvironment().run(activities.seal, SealInput(everywhere=True))


async def _keep_sealing(url: str, folder: Path, seed: str) -> None:
    """For as long as whoever started it lives: nobody else would stop it."""
    db, parent = Database(url, pool_size=2), os.getppid()
    while os.getppid() == parent:
        await _sealed(db, folder, seed)


if __name__ == "__main__":
    one, two, three = os.environ["CROWD"].split("\n")
    asyncio.run(_keep_sealing(one, Path(two), three))
