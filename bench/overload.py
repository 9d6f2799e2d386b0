"""What comes through when three times too much is asked. `python -m bench.overload`"""

import asyncio
import itertools
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench.__main__ import Plan, Runner, started
from bench.contestant import LOOPBACK, ROOT
from bench.holdfast import Holdfast
from bench.load import Connection

AT_PEAK = (16, 64)
"""Callers of the closed loop that finds the peak."""
WITHIN_S = 60.0
REUSED_WITHIN_S = 2.0
"""The server closes what is idle for five seconds."""


@dataclass
class Stretch:
    """One stretch of an open loop: requests leave at their time, whether or not others were answered."""

    seconds: float
    done: list[float] = field(default_factory=list)
    """Latencies of those that were answered."""
    shed: int = 0
    other: int = 0

    @property
    def goodput(self) -> float:
        return len(self.done) / self.seconds

    def p95(self) -> float:
        return statistics.quantiles(self.done, n=20)[-1] if len(self.done) > 1 else float("nan")


async def offer(runner: Runner, numbers: "itertools.count[int]", rate: float, seconds: float) -> Stretch:
    """`rate` requests per second for so long; then waits for those under way, which count where they were sent."""
    stretch, idle = Stretch(seconds), list[tuple[Connection, float]]()
    request = runner.contestant.request

    async def one(number: int) -> None:
        began = time.perf_counter()
        while idle and began - idle[-1][1] > REUSED_WITHIN_S:
            idle.pop()[0].close()
        connection = idle.pop()[0] if idle else await Connection.open(LOOPBACK, runner.contestant.port)
        status, body = await connection.send(request(number))
        idle.append((connection, time.perf_counter()))
        if runner.contestant.accepts(status, body):
            stretch.done.append(time.perf_counter() - began)
        elif status == 503 and b'"overloaded"' in body:
            stretch.shed += 1
        else:
            stretch.other += 1

    began = time.perf_counter()
    async with asyncio.timeout(seconds + WITHIN_S), asyncio.TaskGroup() as group:
        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
            group.create_task(one(next(numbers)))
    stretch.seconds = time.perf_counter() - began
    for connection, _ in idle:
        connection.close()
    return stretch


async def run(seconds: float, factor: float, folder: Path, console: Console) -> bool:
    async with started(Plan((Holdfast.name,), 1, seconds, 2.0), folder, console) as (runner,):
        peaks = [(await runner.load(callers, seconds / 2)) for callers in AT_PEAK]
        best = max(peaks, key=lambda phase: phase.per_second)
        peak = best.per_second
        console.print(f"peak {peak:.0f}/s, p95 {1000 * best.percentile(0.95):.0f} ms")
        numbers = itertools.count(10_000_000)
        for name, share in (("overload", factor), ("afterwards", 0.5)):
            stretch = await offer(runner, numbers, share * peak, seconds)
            console.print(
                f"{name}: offered {share * peak:.0f}/s for {seconds:.0f} s: {stretch.goodput:.0f}/s answered"
                f" ({100 * stretch.goodput / peak:.0f} % of peak), p95 {1000 * stretch.p95():.0f} ms,"
                f" {stretch.shed} shed, {stretch.other} otherwise"
            )
            if stretch.other or (name == "overload" and stretch.goodput < 0.8 * peak):
                return False
    return True


def main(
    seconds: Annotated[float, typer.Option(min=2)] = 20.0,
    factor: Annotated[float, typer.Option(min=1, help="Times the peak that is offered.")] = 3.0,
) -> None:
    """Exits 1 if less than 80 % of the peak comes through, or an answer is neither right nor `overloaded`."""
    console = Console(stderr=True)
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="overload-", dir=ROOT / "build"))
    try:
        is_fine = uvloop.run(run(seconds, factor, folder, console))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if is_fine else 1)


if __name__ == "__main__":
    typer.run(main)
