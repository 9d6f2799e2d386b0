"""One fault run, from an empty folder to a verdict."""

import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.faults.check import Row, open_work
from tests.faults.components import ROOT, Stack, stack
from tests.faults.load import Load, requests
from tests.faults.nemesis import Nemesis
from tests.faults.tiers import Tier

RUNS = ROOT / "build" / "faults"
GUARDED, UNGUARDED = "tests.faults.rig_worker", "tests.faults.unguarded_worker"


@dataclass(frozen=True)
class Verdict:
    """`void` says what did not happen often enough: such a run proves nothing, whatever was not found."""

    folder: Path
    violations: list[dict[str, Any]]
    void: list[str]
    report: dict[str, Any]

    @property
    def duplicates(self) -> list[dict[str, Any]]:
        """Effects that happened more than once."""
        return [
            v
            for v in self.violations
            if v["rule"] == "done twice"
            or (v["rule"] == "refunds" and len(v["refunds"]) > 1)
            or (v["rule"] == "tickets" and v["tickets"] > 1)
        ]

    @property
    def exit_code(self) -> int:
        return 1 if self.violations else 2 if self.void else 0


async def run(tier: Tier, seed: int, *, name: str = "", worker: str = GUARDED) -> Verdict:
    """Load and blows together, then quiet, then the checker as a process of its own."""
    folder = fresh_folder(name or str(seed))
    options = {"seed": seed, "rate": tier.fault_rate, "mail_rate": tier.mail_fault_rate}
    begun = time.time()
    with tempfile.TemporaryDirectory(prefix="holdfast-faults-") as state:
        os.chmod(state, 0o755)  # Postgres runs as a user of its own when we are root
        async with stack(folder, Path(state), world_options=options, worker=worker) as running:
            (folder / "database.url").write_text(running.postgres.url)
            blows = [blow.at for blow in tier.plan.blows(seed)]
            load = Load(running.api_url, folder, requests(tier.n, tier.plan.span_s, seed, blows))
            await load.seed()
            if tier.webhooks:
                await load.listen(f"{running.world_url}/hook")
            nemesis = Nemesis(running, tier.plan, seed)
            took = {"set up": round(time.time() - begun, 1)}
            started = time.time()
            await asyncio.gather(load.run(), nemesis.run())
            took["load"] = round(time.time() - started, 1)
            started = time.time()
            await running.ready()
            await until_quiet(running, tier.quiet_s)
            await load.let_be_every_other()
            took["until quiet"] = round(time.time() - started, 1)
            found = await check(folder)
    dealt = {**nemesis.dealt, "faults": sum(found["figures"]["faults"].values()),
             "kinds of fault": len(found["figures"]["faults"])}  # fmt: skip
    void = [f"{what}: {dealt.get(what, 0)} of {least}" for what, least in tier.least.items()
            if dealt.get(what, 0) < least]  # fmt: skip
    report = {
        "seed": seed, "took_s": took, "dealt": dealt, "void": void,
        "died alone": running.died_alone, "did not start": running.did_not_start,
        "unanswered": load.unanswered, **found,
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report, indent=2))
    return Verdict(folder, found["violations"], void, report)


def fresh_folder(name: str) -> Path:
    folder = RUNS / f"{time.strftime('%m%d-%H%M%S')}-{name}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


async def until_quiet(running: Stack, within_s: float) -> None:
    """Until nothing is under way any more, or the time is up: then the checker finds what is stuck."""
    deadline = time.monotonic() + within_s

    def look() -> dict[str, list[str]]:
        with psycopg.Connection[Row].connect(running.postgres.url, row_factory=dict_row) as connection:
            return open_work(connection)

    while await asyncio.to_thread(look) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.25)


async def check(folder: Path) -> dict[str, Any]:
    """What the checker says, which is a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.check", str(folder), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    found: dict[str, Any] = json.loads(said)
    return found
