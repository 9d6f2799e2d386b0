"""How fast a chain is sealed and verified: `python -m bench.audit [events]`."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from adapters.ed25519 import Ed25519Keys, new_seed
from schema.session import Database
from tests.audit.chain import Chain
from tests.postgres import embedded_postgres


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


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
