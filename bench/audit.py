"""How fast a chain is sealed and verified: `python -m bench.audit [events]`.

With `--crowd` it is written by fifty at once while those who seal it are killed with -9, and whoever checks it all the
while must find nothing.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from adapters.ed25519 import Ed25519Keys, new_seed
from schema.session import Database
from tests.audit.chain import Chain
from tests.audit.crowd import Crowd
from tests.postgres import embedded_postgres

WRITERS = 50


async def main(events: int) -> None:
    with embedded_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.create()
        db = Database(url)
        with postgres.owner(url) as owner:
            chain = Chain(db, owner, Path(folder) / "audit", Ed25519Keys(new_seed()), chunk=500)
            await chain.write(events, at_once=500)
            begun = time.perf_counter()
            await chain.seal_all()
            print(f"sealed {events} events: {events / (time.perf_counter() - begun):,.0f} rows/s, verified as well")
            verdict = await chain.verify()
            print(f"verified {verdict.count} events, ok={verdict.ok}: {verdict.rows_per_second:,} rows/s")
        await db.close()


async def crowd(events: int) -> bool:
    with embedded_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.create()
        told = await Crowd(url, Path(folder) / "audit", new_seed()).build(events=events, writers=WRITERS)
    verdict = told.verdict
    print(f"{verdict.count} events by {WRITERS} writers in {told.written_s:.0f} s, {told.taken_back} taken back;")
    print(f"{told.kills} sealers killed with -9, {verdict.checkpoints} checkpoints;")
    print(f"{told.verifications} verifications meanwhile: {told.alarms.total()} false alarms {dict(told.alarms) or ''}")
    print(
        f"at the end ok={verdict.ok}, {verdict.rows_per_second:,} rows/s verified; {verdict.findings or 'no findings'}"
    )
    return verdict.ok and not told.alarms and verdict.count == events


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:] if word.isdigit()]
    if "--crowd" in sys.argv:
        sys.exit(0 if asyncio.run(crowd(given[0] if given else 100_000)) else 1)
    asyncio.run(main(given[0] if given else 50_000))
