"""Every failpoint with every kind of wish: the process that gets there kills itself, once, and the checker looks.

F11 is not here: it needs a due time to pass, which is a quarter of an hour at least. F14 to F16 do not exist."""

import asyncio
import contextlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.faults.components import Stack, stack
from tests.faults.load import SAYS, Load, Request
from tests.faults.rig import GUARDED, check, fresh_folder, until_quiet

WITHIN_S = 20
DROP = "drop"
"""No failpoint: the caller hangs up before it hears the answer."""
WORKERS = ("worker1", "worker2")
EVERY = ("refund", "approve", "ticket", "complaint", "parcel")
ATOMIC = ("refund", "approve", "ticket")
WHO: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "F1": (("api",), EVERY),
    "F2": (("api",), EVERY),
    "F3": (("api",), EVERY),
    "F4": (WORKERS, EVERY),
    "F5": (WORKERS, ATOMIC),
    "F6": (WORKERS, EVERY),
    "F7": (WORKERS, EVERY),
    "F8": (WORKERS, EVERY),
    "F9": (("api",), ("approve", "reject")),
    "F10": (("api",), ("approve", "reject")),
    "F12": (WORKERS, ATOMIC),
    "F13": (WORKERS, ATOMIC),
    DROP: ((), EVERY),
}
"""Whose failpoint it is, and which wishes come by it."""


@dataclass(frozen=True)
class Cell:
    failpoint: str
    kind: str


CELLS = tuple(Cell(failpoint, kind) for failpoint, (_, kinds) in WHO.items() for kind in kinds)
A_FEW = (
    Cell("F2", "refund"),
    Cell("F3", "parcel"),
    Cell("F4", "parcel"),
    Cell("F6", "parcel"),
    Cell("F6", "complaint"),
    Cell("F7", "approve"),
    Cell("F9", "reject"),
    Cell("F10", "approve"),
    Cell("F12", "refund"),
    Cell("F13", "ticket"),
    Cell(DROP, "complaint"),
)
"""What the smaller tests leave out, in a minute."""


@dataclass(frozen=True)
class Outcome:
    """Which cells were reached, and what was broken in the end."""

    reached: list[Cell]
    missed: list[Cell]
    violations: list[dict[str, Any]]
    folder: Path


async def run(cells: tuple[Cell, ...]) -> Outcome:
    """One cell after the other, each with a customer of its own."""
    folder = fresh_folder("matrix")
    plan = [_request(n, cell) for n, cell in enumerate(cells)]
    reached: list[Cell] = []
    options = {"seed": 1, "rate": 0, "mail_rate": 0}
    with tempfile.TemporaryDirectory(prefix="holdfast-faults-") as state:
        os.chmod(state, 0o755)
        async with stack(folder, Path(state), world_options=options, worker=GUARDED) as running:
            (folder / "database.url").write_text(running.postgres.url)
            load = Load(running.api_url, folder, plan)
            await load.seed()
            async with httpx2.AsyncClient(base_url=running.api_url, timeout=12) as http:
                for cell, request in zip(cells, plan, strict=True):
                    if await _one(running, load, http, cell, request):
                        reached.append(cell)
            await running.ready()
            await until_quiet(running, 90)
            found = await check(folder)
    return Outcome(reached, [c for c in cells if c not in reached], found["violations"], folder)


def _request(n: int, cell: Cell) -> Request:
    customer = f"cust_{cell.failpoint}_{cell.kind}"
    amount = 48_000 if cell.kind in {"approve", "reject"} else 4_900
    return Request(n, cell.kind, 0, customer, f"{customer}@example.com", amount)


async def _one(running: Stack, load: Load, http: httpx2.AsyncClient, cell: Cell, request: Request) -> bool:
    """Whether the failpoint was reached."""
    begun = time.time()
    if cell.failpoint == DROP:
        await _hang_up(running.api_url, request)
    armed = [running.arm(name, cell.failpoint) for name in WHO[cell.failpoint][0]]
    try:
        async with asyncio.timeout(load.patience_s):
            await load.story(http, request)
            reached = cell.failpoint == DROP or await _gone(armed)
    finally:
        for file in armed:
            file.unlink(missing_ok=True)
    with (running.folder / "cells.jsonl").open("a") as log:
        entry = {"failpoint": cell.failpoint, "kind": cell.kind, "reached": reached, "s": round(time.time() - begun, 1)}
        log.write(json.dumps(entry) + "\n")
    return reached


async def _gone(armed: list[Path]) -> bool:
    """The first process that gets there takes its own file away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            while all(file.exists() for file in armed):  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.05)
            return True
    return False


async def _hang_up(url: str, request: Request) -> None:
    """Says what it wants and does not stay for the answer."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"customerId": request.customer, "message": SAYS[request.kind], "requestId": "req_1"}).encode()
    head = f"POST /chat HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    await asyncio.sleep(0.03)
    writer.close()
