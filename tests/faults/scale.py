"""How it holds with many at once: `make faults ARGS='--scale due --n 500'`. It prints figures, and what is broken.

- `due` (S-1): so many due times within a minute, everything well.
- `away` (S-2): so many fall due while no worker is there; `alone`: while Temporal is not there either.
- `f11` (S-3): workers kill themselves, again and again, between a due time and the breach.
- `poison` (R-8): see there.
- `parked` (H-7): so many wait for a person; listing and deciding stay fast, and all survive a crash of everything.
- `forget` (D-4): a tenth of so many are erased, with closed and open work; the others do not notice.

Due times are a quarter of an hour off at least. Here each handoff's beginning is moved into the past, as the owner of
the database may, so that its first due time comes soon; then its workflow is told to look, as after any change.
"""

import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
from psycopg.rows import dict_row

from tests.faults.check import Row
from tests.faults.components import Stack, stack
from tests.faults.forget import forget
from tests.faults.load import SAYS, Load, Request
from tests.faults.rig import GUARDED, fresh_folder

WORKERS = ("worker1", "worker2")
LOOKED_S = 180
BLOW_S = 60
"""How long a worker that was armed may take until it is back and comes to the failpoint."""
AFTER_S = 300
"""How long after the last due time everything must be on record."""


@dataclass
class Crowd:
    """Customers who all wait for a person."""

    stack: Stack
    http: httpx2.AsyncClient
    folder: Path
    broken: list[str] = field(default_factory=list)

    async def ask(self, n: int, start: int = 0) -> None:
        """Each asks for more than the rules give by themselves."""
        numbers = range(start, start + n)
        plan = [Request(i, "approve", 0, f"cust_s{i}", f"s{i}@example.com", 48_000) for i in numbers]
        load = Load(self.stack.api_url, self.folder, plan)
        await load.seed()
        gate = asyncio.Semaphore(16)

        async def one(r: Request) -> None:
            body = {"customerId": r.customer, "message": SAYS[r.kind], "requestId": "req_1"}
            async with gate:
                await load.until_answered(self.http, r, "POST", "/chat", body)

        await asyncio.gather(*(one(r) for r in plan))

    def rows(self, query: str, *values: Any) -> list[Row]:
        with psycopg.Connection[Row].connect(
            self.stack.postgres.url, row_factory=dict_row, autocommit=True
        ) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    async def fall_due(self, first: datetime, span: timedelta) -> None:
        """Evenly over the span. Returns when every workflow has looked, and knows."""
        open_ones = self.rows("SELECT organisation, id FROM handoffs WHERE decision IS NULL ORDER BY id")
        for i, one in enumerate(open_ones):
            at = first + span * i / len(open_ones)
            self.rows(
                "UPDATE handoffs SET opened_at = opened_at - (sla_due_at - %s), sla_due_at = %s WHERE id = %s",
                at, at, one["id"],
            )  # fmt: skip
        self.rows(
            "INSERT INTO handoff_wakes (organisation, id, handoff_id, at)"
            " SELECT organisation, 'wak_' || substr(id, 5), id, now() FROM handoffs WHERE decision IS NULL"
        )
        await self.until(lambda: not self.rows("SELECT id FROM handoff_wakes LIMIT 1"), LOOKED_S)
        if datetime.now(UTC) >= first:
            self.broken.append("the first were due before all had looked: give it more time")

    def breaches(self) -> list[Row]:
        return self.rows(
            """SELECT v.handoff_id, v.details ->> 'dueAt' AS due_at, v.details ->> 'detectedAt' AS detected_at
            FROM handoff_events v WHERE v.kind = 'breached' AND v.details ->> 'clock' = 'claim'"""
        )

    async def until_breached(self, n: int, within_s: float) -> None:
        await self.until(lambda: len({b["handoff_id"] for b in self.breaches()}) >= n, within_s)

    async def until(self, condition: Callable[[], Any], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not await asyncio.to_thread(condition):
            if time.monotonic() > deadline:
                self.broken.append("it never came to that")
                return
            await asyncio.sleep(0.25)

    def once_each(self, n: int, due: dict[str, datetime]) -> list[float]:
        """Every one is breached once, dated when it was due, not early, and told once; how late each was noticed."""
        found = self.breaches()
        times = Counter(b["handoff_id"] for b in found)
        told = self.rows("SELECT subject FROM webhook_events WHERE type = 'handoff.breached'")
        late = [(_time(b["detected_at"]) - _time(b["due_at"])).total_seconds() for b in found]
        wrong = {
            "not breached": len(due.keys() - times.keys()),
            "breached twice": sum(count > 1 for count in times.values()),
            "not dated when it was due": sum(_time(b["due_at"]) != due[b["handoff_id"]] for b in found),
            "early": sum(s < 0 for s in late),
            "not told once": sum(c != 1 for c in Counter(t["subject"] for t in told).values()) + abs(len(told) - n),
        }
        self.broken += [f"{count} {what}" for what, count in wrong.items() if count]
        return late

    def due_times(self) -> dict[str, datetime]:
        rows = self.rows("SELECT id, sla_due_at FROM handoffs WHERE decision IS NULL")
        return {r["id"]: r["sla_due_at"].astimezone(UTC) for r in rows}

    def heard_late(self, due: dict[str, datetime]) -> list[float]:
        """By the receiver's clock: how long after its due time the world heard of a breach, first."""
        events = self.rows("SELECT id, subject FROM webhook_events WHERE type = 'handoff.breached'")
        subjects = {e["id"]: e["subject"] for e in events}
        heard: dict[str, float] = {}
        for line in (self.folder / "journal.jsonl").read_text().splitlines():
            call = json.loads(line)
            if call["kind"] == "webhook" and call["key"] in subjects:
                heard.setdefault(subjects[call["key"]], call["at"])
        return [at - due[subject].timestamp() for subject, at in heard.items()]


async def due(crowd: Crowd, n: int) -> Row:
    """S-1"""
    await crowd.ask(n)
    first = datetime.now(UTC) + timedelta(seconds=30 + n / 8)
    await crowd.fall_due(first, timedelta(minutes=1))
    times = crowd.due_times()
    await crowd.until_breached(n, (max(times.values()) - datetime.now(UTC)).total_seconds() + AFTER_S)
    await crowd.until(lambda: len(crowd.heard_late(times)) >= n, AFTER_S)
    late, heard = crowd.once_each(n, times), crowd.heard_late(times)
    return {"noticed late (s)": _spread(late), "heard late (s)": _spread(heard)}


async def away(crowd: Crowd, n: int) -> Row:
    """S-2"""
    return await _away(crowd, n, WORKERS)


async def alone(crowd: Crowd, n: int) -> Row:
    """S-2, the second case."""
    return await _away(crowd, n, (*WORKERS, "temporal"))


async def _away(crowd: Crowd, n: int, who: Sequence[str]) -> Row:
    await crowd.ask(n)
    first = datetime.now(UTC) + timedelta(seconds=30 + n / 8)
    await crowd.fall_due(first, timedelta(seconds=10))
    times = crowd.due_times()
    for name in who:
        await crowd.stack.kill(name)
    before = len(crowd.breaches())
    await asyncio.sleep(max(0.0, (max(times.values()) - datetime.now(UTC)).total_seconds()) + 5)
    if before or crowd.breaches():
        crowd.broken.append("somebody was there when they fell due")
    back = time.time()
    for name in reversed(who):  # Temporal before those who need it
        await crowd.stack.start(name)
    await crowd.until_breached(n, AFTER_S)
    late = crowd.once_each(n, times)
    detected = [_time(b["detected_at"]).timestamp() - back for b in crowd.breaches()]
    return {"noticed late (s)": _spread(late), "after a worker was started (s)": _spread(detected)}


async def f11(crowd: Crowd, n: int) -> Row:
    """S-3: twice as many handoffs as blows, so that some of them meet nobody."""
    await crowd.ask(n * 2)
    first = datetime.now(UTC) + timedelta(seconds=30 + n / 4)
    await crowd.fall_due(first, timedelta(seconds=4 * n))
    times = crowd.due_times()
    blows = 0
    for name in (WORKERS * n)[: n * 2]:
        if blows == n or len({b["handoff_id"] for b in crowd.breaches()}) == n * 2:
            break
        blows += await _blow(crowd, name)
    await crowd.stack.ready()
    await crowd.until_breached(n * 2, max(0.0, (max(times.values()) - datetime.now(UTC)).total_seconds()) + AFTER_S)
    late = crowd.once_each(n * 2, times)
    if blows < n:
        crowd.broken.append(f"{blows} blows of {n}")
    return {"killed at F11": blows, "noticed late (s)": _spread(late)}


async def _blow(crowd: Crowd, name: str) -> bool:
    """Whether this worker came to the failpoint in time; by then it is dead."""
    file = crowd.stack.arm(name, "F11")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BLOW_S):
            while file.exists():  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.05)
            return True
    file.unlink(missing_ok=True)
    return False


async def parked(crowd: Crowd, n: int) -> Row:
    """H-7"""
    at_first = _memory(crowd.stack)
    await crowd.ask(100)
    with_few = await _listing_and_deciding(crowd)
    await crowd.ask(n - 100, start=100)
    with_many = await _listing_and_deciding(crowd)
    memory = _memory(crowd.stack)
    print("before the crash", with_few, with_many, at_first, memory, flush=True)
    for name in crowd.stack.components:
        await crowd.stack.kill(name)
    begun = time.monotonic()
    for names in (("postgres", "temporal"), ("api", *WORKERS)):
        await asyncio.gather(*(crowd.stack.start(name) for name in names))
    await crowd.stack.ready()
    took = round(time.monotonic() - begun, 1)
    after = await _listing_and_deciding(crowd)
    left = crowd.rows("SELECT count(*) AS n FROM handoffs WHERE decision IS NULL")[0]["n"]
    asked = crowd.rows("SELECT count(*) AS n FROM handoffs")[0]["n"]
    if left != asked - 3 * DECIDED:
        crowd.broken.append(f"{left} of {asked} wait")
    return {
        "with 100": with_few, f"with {n}": with_many, "all killed, ready after (s)": took, "then": after,
        "memory of workers at first (MB)": at_first, f"with {n} (MB)": memory,
    }  # fmt: skip


DECIDED = 40


async def _listing_and_deciding(crowd: Crowd) -> Row:
    """The newest of the queue, and those deep in it, decided one by one to the end: 95 in a hundred are faster."""
    listed = [await _timed(lambda: crowd.http.get("/handoffs", params={"limit": 50})) for _ in range(DECIDED)]
    waiting = crowd.rows("SELECT id, digest, customer_id FROM handoffs WHERE decision IS NULL ORDER BY random()")
    decided = [await _decide(crowd, one) for one in waiting[:DECIDED]]
    return {
        "list p95 (ms)": p95(listed),
        "decide p95 (ms)": p95([said for said, _ in decided]),
        "carried out within (s)": round(max(done for _, done in decided), 1),
    }


async def _decide(crowd: Crowd, one: Row) -> tuple[float, float]:
    """How long until it was acknowledged, and until the money was paid back."""
    path, begun = f"/handoffs/{one['id']}/approve", time.monotonic()
    said = await _timed(lambda: crowd.http.post(path, json={"digest": one["digest"]}))
    paid = "SELECT id FROM refunds WHERE customer_id = %s"
    await crowd.until(lambda: crowd.rows(paid, one["customer_id"]), 60)
    return said, time.monotonic() - begun


def _memory(running: Stack) -> list[int]:
    return [psutil.Process(running.components[name].pids()[0]).memory_info().rss // 2**20 for name in WORKERS]


async def _timed(ask: Callable[[], Awaitable[httpx2.Response]]) -> float:
    begun = time.monotonic()
    (await ask()).raise_for_status()
    return time.monotonic() - begun


def _time(words: str) -> datetime:
    return datetime.fromisoformat(words).astimezone(UTC)


def p95(seconds: Sequence[float]) -> float:
    return round(1_000 * statistics.quantiles(seconds, n=20)[-1], 1)


def _spread(seconds: Sequence[float]) -> Row:
    if len(seconds) < 2:
        return {"n": len(seconds)}
    cuts = statistics.quantiles(seconds, n=100)
    shown = {"min": min(seconds), "p50": cuts[49], "p99": cuts[98], "max": max(seconds)}
    return {"n": len(seconds), **{k: round(v, 2) for k, v in shown.items()}}


Scale = tuple[Callable[[Crowd, int], Awaitable[Row]], int]
"""What is tried, and with how many."""
SCALES: dict[str, Scale] = {
    "due": (due, 500),
    "away": (away, 200),
    "alone": (alone, 200),
    "f11": (f11, 20),
    "parked": (parked, 5_000),
    "forget": (forget, 500),
}


@contextlib.asynccontextmanager
async def crowd(name: str) -> AsyncIterator[Crowd]:
    folder = fresh_folder(name)
    with tempfile.TemporaryDirectory(prefix="holdfast-faults-") as state:
        os.chmod(state, 0o755)
        options = {"seed": 1, "rate": 0, "mail_rate": 0}
        async with (
            stack(folder, Path(state), world_options=options, worker=GUARDED) as running,
            httpx2.AsyncClient(base_url=running.api_url, timeout=30) as http,
        ):
            body = {"url": f"{running.world_url}/hook", "eventTypes": ["handoff.breached"]}
            (await http.post("/webhooks", json=body)).raise_for_status()
            yield Crowd(running, http, folder)


async def run(scale: Scale, name: str, n: int | None = None) -> tuple[Row, list[str]]:
    """The figures, and what is broken."""
    attempt, many = scale
    async with crowd(name) as people:
        found = await attempt(people, n or many)
        (people.folder / "report.json").write_text(json.dumps({"figures": found, "broken": people.broken}, indent=2))
        return found, people.broken
