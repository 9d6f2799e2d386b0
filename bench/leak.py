"""What a long steady load leaves behind. `python -m bench.leak --minutes 5`"""

import asyncio
import itertools
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import psycopg
import typer
import uvloop
from rich.console import Console

from bench.__main__ import Plan, Runner, started
from bench.contestant import LOOPBACK, ROOT
from bench.holdfast import Holdfast
from bench.load import Connection

LOOK_EVERY_S = 5.0
MOST_PER_MINUTE = 1.0
"""Percent of its own size by which a process may grow in a minute, after the warm-up."""
OURS = {"api": "api.main", "worker": "worker.py"}


@dataclass(frozen=True)
class Look:
    """One process at one moment."""

    at: float
    resident: int
    files: int
    connections: int
    """To Postgres, of all of our processes together."""


def slope_percent(looks: list[Look]) -> float:
    """Growth of resident memory per minute, in percent of its mean: the line through all looks, by least squares."""
    mean_at = sum(look.at for look in looks) / len(looks)
    mean = sum(look.resident for look in looks) / len(looks)
    spread = sum((look.at - mean_at) ** 2 for look in looks)
    per_second = sum((look.at - mean_at) * (look.resident - mean) for look in looks) / spread
    return 100 * 60 * per_second / mean


def is_flat(counts: list[int]) -> bool:
    """Whether the second half never needed more than the first, give or take two."""
    half = len(counts) // 2
    return max(counts[half:]) <= max(counts[:half]) + 2


def ours(runner: Runner) -> dict[str, psutil.Process]:
    """API and worker among what was started."""
    found: dict[str, psutil.Process] = {}
    for root in runner.contestant.pids:
        for process in psutil.Process(root).children(recursive=True):
            command = " ".join(process.cmdline())
            found |= {name: process for name, sign in OURS.items() if sign in command}
    return found


async def steady(runner: Runner, rate: float, seconds: float) -> int:
    """One request after the other at a steady rate; how many were answered."""
    numbers, answered = itertools.count(20_000_000), 0
    began = time.perf_counter()
    for n in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
        # A connection each: sockets that stay behind must show.
        connection = await Connection.open(LOOPBACK, runner.contestant.port)
        status, body = await connection.send(runner.contestant.request(next(numbers)))
        connection.close()
        answered += runner.contestant.accepts(status, body)
    return answered


async def watch(runner: Runner, looks: dict[str, list[Look]]) -> None:
    """Looks until cancelled."""
    processes = ours(runner)
    with psycopg.connect(runner.contestant.place.database_url, autocommit=True) as owner:
        while True:
            row = owner.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()
            for name, process in processes.items():
                memory = process.memory_info().rss
                look = Look(time.perf_counter(), memory, process.num_fds(), row[0] if row else 0)
                looks.setdefault(name, []).append(look)
            await asyncio.sleep(LOOK_EVERY_S)


async def run(minutes: float, rate: float, warm_up_s: float, folder: Path, console: Console) -> bool:
    looks: dict[str, list[Look]] = {}
    async with started(Plan((Holdfast.name,), 1, 1.0, 1.0), folder, console) as (runner,):
        await steady(runner, rate, warm_up_s)
        watching = asyncio.create_task(watch(runner, looks))
        answered = await steady(runner, rate, 60 * minutes)
        watching.cancel()
    is_fine = bool(looks)
    for name, seen in looks.items():
        slope = slope_percent(seen)
        files, connections = [look.files for look in seen], [look.connections for look in seen]
        console.print(
            f"{name}: {seen[0].resident / 1e6:.0f} → {seen[-1].resident / 1e6:.0f} MB, {slope:+.2f} %/min;"
            f" files {files[0]} → {files[-1]} (at most {max(files)});"
            f" connections of all {connections[0]} → {connections[-1]} (at most {max(connections)})"
        )
        is_fine &= slope <= MOST_PER_MINUTE and is_flat(files) and is_flat(connections)
    console.print(f"{answered} interactions in {minutes:g} minutes")
    return is_fine


def main(
    minutes: Annotated[float, typer.Option(min=0.5)] = 5.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Interactions per second.")] = 5.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds of the same load before anything counts.")] = 60.0,
) -> None:
    """Exits 1 if memory grows by more than 1 % a minute, or files or connections do not stay."""
    console = Console(stderr=True)
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="leak-", dir=ROOT / "build"))
    try:
        is_fine = uvloop.run(run(minutes, rate, warm_up, folder, console))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if is_fine else 1)


if __name__ == "__main__":
    typer.run(main)
