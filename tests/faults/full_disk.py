"""R-12: `make faults ARGS='--full-disk postgres'` (or `temporal`): its file system, 192 MB of memory, is filled to the
last byte while customers ask for their money, stays full for a while, and is freed. Needs the right to mount.

Postgres meets it twice: where a table must grow, and where its log must, which ends the server; a supervisor starts it
again until there is room. Nothing else is touched: what comes back comes back by itself.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from psycopg.rows import dict_row

from adapters.embedded.processes import CannotStart
from tests.faults.check import Row
from tests.faults.components import Stack, stack
from tests.faults.load import SAYS, Load, Request
from tests.faults.rig import GUARDED, fresh_folder

WHAT = ("postgres", "temporal")
SIZE = "192m"
N = 120
FULL_S = 20.0
WITHIN_S = 300
ACKNOWLEDGED, REFUSED = {200, 202}, 503


class CannotMount(Exception):
    """This machine does not let us: the run says nothing."""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, empty."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        raise CannotMount(done.stderr.decode().strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@dataclass
class Disk:
    """What is filled, and how full it is kept."""

    folder: Path

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def fill(self) -> None:
        """To the last byte."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1_048_576, 4_096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        self._filler.unlink()

    def is_full(self) -> bool:
        return os.statvfs(self.folder).f_bavail == 0


@dataclass
class Trial:
    stack: Stack
    load: Load
    http: httpx2.AsyncClient
    folder: Path
    disk: Disk
    broken: list[str] = field(default_factory=list)
    died: int = 0

    async def ask(self, some: list[Request]) -> None:
        """All at once, each until it is answered."""

        async def one(r: Request) -> None:
            body = {"customerId": r.customer, "message": SAYS[r.kind], "requestId": "req_1"}
            await self.load.until_answered(self.http, r, "POST", "/chat", body)

        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(one(r) for r in some))

    async def keep_full(self, until: float) -> None:
        """Whatever is freed meanwhile is filled again."""
        while time.monotonic() < until:
            await asyncio.to_thread(self.disk.fill)
            await asyncio.sleep(0.2)

    async def keep_alive(self, name: str) -> None:
        """A supervisor with patience: what cannot start is started again a second later."""
        self.stack.down.add(name)  # the rig's own would give up
        component = self.stack.components[name]
        while True:
            if not component.pids():
                self.died += 1
                with contextlib.suppress(CannotStart):
                    await component.start()
            await asyncio.sleep(1)

    async def use_up_the_log(self) -> None:
        """Postgres writes on in a segment it has; it is asked for a new one until there is none."""
        while self.stack.components["postgres"].pids() and self.died == 0:
            with contextlib.suppress(psycopg.Error):
                await asyncio.to_thread(self.rows, "SELECT pg_switch_wal(), pg_create_restore_point('r12')")
            await asyncio.sleep(0.1)

    def rows(self, query: str) -> list[Row]:
        with psycopg.Connection[Row].connect(
            self.stack.postgres.url, row_factory=dict_row, autocommit=True, connect_timeout=5
        ) as connection:
            return connection.execute(query.encode()).fetchall()

    def said(self) -> list[Row]:
        return [json.loads(line) for line in (self.folder / "acks.jsonl").read_text().splitlines()]


async def run(what: str) -> tuple[Row, list[str]]:
    """The figures, and what is broken. Raises `CannotMount`."""
    folder = fresh_folder(f"full-{what}")
    with tempfile.TemporaryDirectory(prefix="holdfast-faults-") as state:
        os.chmod(state, 0o755)
        with small_disk(Path(state) / what) as place:
            async with _trial(
                folder, Path(state), place, temporal_state=place if what == "temporal" else None
            ) as trial:
                return await _fill_and_free(trial, what), trial.broken


@contextlib.asynccontextmanager
async def _trial(folder: Path, state: Path, place: Path, temporal_state: Path | None) -> AsyncIterator[Trial]:
    options = {"seed": 1, "rate": 0, "mail_rate": 0}
    plan = [Request(n, "refund", 0, f"cust_d{n}", f"d{n}@example.com", 4_900) for n in range(N)]
    async with (
        stack(folder, state, world_options=options, worker=GUARDED, temporal_state=temporal_state) as running,
        httpx2.AsyncClient(base_url=running.api_url, timeout=30) as http,
    ):
        load = Load(running.api_url, folder, plan)
        await load.seed()
        yield Trial(running, load, http, folder, Disk(place))


async def _fill_and_free(trial: Trial, what: str) -> Row:
    plan, third = trial.load.plan, N // 3
    await trial.ask(list(plan[:third]))
    watching = asyncio.create_task(trial.keep_alive(what))
    try:
        await asyncio.to_thread(trial.disk.fill)
        was_full = trial.disk.is_full()
        filling = asyncio.create_task(trial.keep_full(time.monotonic() + FULL_S))
        asking = asyncio.create_task(trial.ask(list(plan[third : 2 * third])))
        if what == "postgres":
            await asyncio.sleep(FULL_S / 2)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(trial.use_up_the_log(), FULL_S / 2)
        await filling
        ready_while_full = await _readiness(trial)
        in_between = Counter(s["status"] for s in trial.said())
        trial.disk.free()
        freed = time.monotonic()
        await asking
        back = round(time.monotonic() - freed, 1)
        await trial.ask(list(plan[2 * third :]))
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await trial.stack.ready(within_s=WITHIN_S)
    await _until_done(trial)
    _check(trial, was_full)
    return {
        "customers": N, "full for (s)": FULL_S, "answers until it was freed": dict(in_between),
        "readiness while full": ready_while_full, "all answered after it was freed (s)": back,
        f"{what} ended and was started again": trial.died,
    }  # fmt: skip


async def _readiness(trial: Trial) -> Any:
    with contextlib.suppress(httpx2.HTTPError):
        answer = await trial.http.get("/readyz")
        return answer.status_code, answer.json()["missing"]
    return None


async def _until_done(trial: Trial) -> None:
    unfinished = "SELECT id FROM interactions WHERE finished_at IS NULL LIMIT 1"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            while await asyncio.to_thread(trial.rows, unfinished):  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.5)


def _check(trial: Trial, was_full: bool) -> None:
    said = trial.said()
    refunds = Counter(r["customer_id"] for r in trial.rows("SELECT customer_id FROM refunds"))
    known = {r["id"] for r in trial.rows("SELECT id FROM interactions")}
    refusals = [s for s in said if s["status"] == REFUSED]
    acknowledged = {s["body"]["interactionId"] for s in said if s["status"] in ACKNOWLEDGED}
    if not was_full or not refusals:
        trial.broken.append("void: the disk was not full, or nobody noticed")
    wrong = {
        "not paid back": sum(refunds[r.customer] == 0 for r in trial.load.plan),
        "paid back twice": sum(n > 1 for n in refunds.values()),
        "acknowledged and not there": len(acknowledged - known),
        "not finished": len(trial.rows("SELECT id FROM interactions WHERE finished_at IS NULL")),
        "answers that are neither an acknowledgement nor a 503": sum(
            s["status"] not in {*ACKNOWLEDGED, REFUSED} for s in said
        ),
        "refusals without Retry-After": sum(not s["retryAfter"] for s in refusals),
        "refusals that are no problem document": sum(
            not (isinstance(s["body"], dict) and s["body"].get("status") == REFUSED and s["body"].get("code"))
            for s in refusals
        ),
        "handoffs": len(trial.rows("SELECT id FROM handoffs")),
    }
    trial.broken += [f"{count} {which}" for which, count in wrong.items() if count]
