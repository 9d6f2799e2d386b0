"""`python -m bench`: the reference interaction through the product, the floors and stock Temporal, in one run."""

import asyncio
import contextlib
import itertools
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import psycopg
import typer
import uvloop
from rich.console import Console
from rich.markdown import Markdown

from adapters.embedded.postgres import Postgres
from bench.contestant import LOOPBACK, ROOT, BenchFailed, Contestant, Place
from bench.cpu import cpu_ms, resident_bytes
from bench.holdfast import Holdfast, HoldfastTogether
from bench.load import Caller, Phase, WrongAnswer
from bench.postgres_floor import PostgresFloor
from bench.report import CONCURRENCIES, Measured, Report, Round, targets
from bench.stock_temporal import StockTemporal
from bench.temporal_floor import TemporalFloor

ALL: dict[str, type[Contestant]] = {
    contestant.name: contestant
    for contestant in (PostgresFloor, TemporalFloor, StockTemporal, Holdfast, HoldfastTogether)
}
DEFAULT = (PostgresFloor.name, TemporalFloor.name, StockTemporal.name, Holdfast.name)
WARM_UP = (1, 16, 64)
LEAD_IN_S = 0.4
IDLE_FOR_S = 10.0


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    names: tuple[str, ...]
    rounds: int
    seconds: float
    warm_up_seconds: float


@dataclass
class Runner:
    """One contestant in one run."""

    contestant: Contestant
    postgres_pid: int
    rounds: list[Round] = field(default_factory=list)
    answered: int = 0

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._caller = Caller(
            self.contestant.port, self.contestant.request, self.contestant.accepts, self._numbers, LOOPBACK
        )

    @property
    def pids(self) -> list[int]:
        return [*self.contestant.pids, self.postgres_pid]

    async def first(self) -> None:
        """One interaction, asked for twice: the second time is a repeat and must leave nothing behind."""
        body = await self._caller.once(0)
        if isinstance(self.contestant, Holdfast):
            self.contestant.inspect(body)
        await self._caller.once(0)
        self.answered += 1
        await self.contestant.prove(self.answered)

    async def warm_up(self, seconds: float) -> None:
        for concurrency in WARM_UP:
            self.answered += (await self._caller.load(concurrency, seconds)).answered

    async def load(self, concurrency: int, seconds: float) -> Phase:
        """One stretch of load, and nothing else measured."""
        return await self._caller.load(concurrency, seconds)

    async def measure(self, concurrency: int, seconds: float) -> Measured:
        """One stretch of load after a short lead-in; then every row is counted."""
        self.answered += (await self._caller.load(concurrency, LEAD_IN_S)).answered
        served, own = cpu_ms(self.pids), time.process_time()
        phase = await self._caller.load(concurrency, seconds)
        served, own = cpu_ms(self.pids) - served, 1000 * (time.process_time() - own)
        self.answered += phase.answered
        await self.contestant.prove(self.answered)
        return Measured.of(phase, served, own)

    async def idle(self) -> dict[str, float]:
        """What it costs to wait. Postgres waits for all contestants at once, which is not to their favour."""
        begun, served = time.monotonic(), cpu_ms(self.pids)
        await asyncio.sleep(IDLE_FOR_S)
        share = (cpu_ms(self.pids) - served).total() / 1000 / (time.monotonic() - begun)
        return {"cpu_percent": 100 * share, "resident_mb": resident_bytes(self.pids) / 1e6}


@contextlib.asynccontextmanager
async def started(plan: Plan, folder: Path, console: Console) -> AsyncIterator[list[Runner]]:
    """Postgres and every contestant, up; down again afterwards, whatever happened."""
    postgres = Postgres(folder / "postgres")
    runners: list[Runner] = []
    try:
        url = postgres.start()
        pid = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        for name in plan.names:
            begun = time.monotonic()
            place = Place(folder / name, _create_database(url, f"bench_{name}"))
            place.folder.mkdir()
            runners.append(Runner(ALL[name](place), pid))
            await runners[-1].contestant.start()
            await runners[-1].first()
            await runners[-1].warm_up(plan.warm_up_seconds)
            console.print(f"{ALL[name].title} is up and warm ({time.monotonic() - begun:.1f} s)", highlight=False)
        yield runners
    finally:
        for runner in reversed(runners):
            await runner.contestant.stop()
        postgres.stop()


def _create_database(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return urlsplit(url)._replace(path=f"/{name}").geturl()


async def measure(plan: Plan, folder: Path, console: Console) -> Report:
    """All rounds, interleaved; the one who begins changes from round to round."""
    load_before = os.getloadavg()[0]
    current = asyncio.current_task()
    assert current is not None
    for number in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C: nothing we started may outlive us
        asyncio.get_running_loop().add_signal_handler(number, current.cancel)
    async with started(plan, folder, console) as runners:
        for index in range(plan.rounds):
            turn = index % len(runners)
            for runner in runners:
                runner.rounds.append({})
            # The contestants stand side by side at each concurrency, so that what else the machine does hits all alike.
            for concurrency, runner in itertools.product(CONCURRENCIES, runners[turn:] + runners[:turn]):
                runner.rounds[-1][concurrency] = await runner.measure(concurrency, plan.seconds)
            for runner in runners:
                console.print(_progress(index, runner), highlight=False, soft_wrap=True)
        idle = {}
        for runner in runners:
            if isinstance(runner.contestant, Holdfast):
                idle = await runner.idle()
    machine = {
        "cores": os.cpu_count(),
        "load before": f"{load_before:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "rounds": f"{plan.rounds} of {plan.seconds:g} s per concurrency",
    }
    return Report(machine, {n: ALL[n].title for n in plan.names}, {r.contestant.name: r.rounds for r in runners}, idle)


def _progress(index: int, runner: Runner) -> str:
    done = runner.rounds[-1]
    rates = ", ".join(f"{m.per_second:.0f}/s at {c}" for c, m in done.items())
    who = f"round {index + 1} {runner.contestant.title}"
    return f"{who}: p50 {done[1].p50:.1f} ms at 1; {rates}; {done[16].cpu_ms:.1f} CPU ms"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One short round: does it run, roughly where are we.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of each stretch of load.")] = 4.0,
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(ALL)}; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="Where the report goes; a .json stands beside it.")] = Path(
        "build/bench.md"
    ),
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 if a target is missed, estimates excepted.")
    ] = False,
) -> None:
    """Exits 1 if something could not be run or answered wrongly; missed targets count only with --strict."""
    if unknown := set(only or ()) - set(ALL):
        raise typer.BadParameter(f"no such contestant: {', '.join(sorted(unknown))}")
    names = tuple(name for name in ALL if name in (only or DEFAULT))
    plan = Plan(names, 1, 1.5, 1.0) if quick else Plan(names, rounds, seconds, 2.0)
    console = Console(stderr=True)
    # On the disk of the checkout: a memory file system would make fsync free.
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "build"))
    try:
        report = uvloop.run(measure(plan, folder, console))
    except (asyncio.CancelledError, KeyboardInterrupt):
        shutil.rmtree(folder)
        raise typer.Exit(130) from None
    except (BenchFailed, WrongAnswer, ExceptionGroup, OSError) as error:
        console.print(f"[red]failed[/] {_reason(error)}\nlogs are kept in build/{folder.name}", highlight=False)
        raise typer.Exit(1) from None
    shutil.rmtree(folder)
    _write(report, out, console)
    missed = [target for target in targets(report) if not target.reached and not target.estimated]
    sys.exit(1 if strict and missed else 0)


def _reason(error: BaseException) -> str:
    """The first thing that went wrong: callers fail together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _write(report: Report, out: Path, console: Console) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(report.as_markdown(), encoding="utf-8")
    out.with_suffix(".json").write_text(report.as_json(), encoding="utf-8")
    Console(width=max(console.width, 140)).print(Markdown(report.as_markdown()))


if __name__ == "__main__":
    typer.run(main)
