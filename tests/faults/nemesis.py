"""Who is killed or stopped, when and for how long: decided by the seed before the run begins, and written down as it
happens in `nemesis.jsonl`."""

import asyncio
import json
import random
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tests.faults.components import Stack, send

COMPONENTS = ("api", "worker1", "worker2", "temporal", "postgres")


@dataclass(frozen=True, order=True)
class Blow:
    at: float
    """Seconds after the start."""
    component: str
    how: Literal["kill", "stop"]
    lasts: float
    """Seconds until it is started again, or goes on."""


@dataclass(frozen=True)
class Plan:
    """How many blows of each kind within `span_s` seconds."""

    span_s: float
    kills: dict[str, int]
    stops: int
    stop_s: tuple[float, float] = (1.0, 6.0)
    down_s: tuple[float, float] = (0.0, 1.5)

    def blows(self, seed: int) -> list[Blow]:
        """The schedule. Each kind is spread over the whole time, so that no two runs of it fall together only."""
        dice = random.Random(seed)
        drawn = [
            Blow(at, self._which(kind, dice), "kill", dice.uniform(*self.down_s))
            for kind, count in sorted(self.kills.items())
            for at in self._spread(count, dice)
        ]
        drawn += [Blow(at, dice.choice(COMPONENTS), "stop", dice.uniform(*self.stop_s)) for at in
                  self._spread(self.stops, dice)]  # fmt: skip
        return sorted(drawn)

    def _which(self, kind: str, dice: random.Random) -> str:
        return dice.choice(("worker1", "worker2")) if kind == "worker" else kind

    def _spread(self, count: int, dice: random.Random) -> list[float]:
        each = self.span_s / max(count, 1)
        return [(n + dice.random()) * each for n in range(count)]


def kind_of(component: str) -> str:
    return component.rstrip("12")


@dataclass
class Nemesis:
    stack: Stack
    plan: Plan
    seed: int
    dealt: Counter[str] = field(default_factory=Counter)
    """What was done, by `kill worker`, `stop postgres` and so on."""
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def run(self) -> None:
        """Deals every blow at its time, then waits until all is healed, which happens in the order chance gives."""
        self._locks = {name: asyncio.Lock() for name in COMPONENTS}
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for blow in self.plan.blows(self.seed):
                await asyncio.sleep(max(0.0, begun + blow.at - time.monotonic()))
                group.create_task(self._deal(blow))

    async def _deal(self, blow: Blow) -> None:
        async with self._locks[blow.component]:  # one that is down already comes up first
            if blow.how == "kill":
                self.write("kill", blow)
                await self.stack.kill(blow.component)
                self.dealt[f"kill {kind_of(blow.component)}"] += 1
                await asyncio.sleep(blow.lasts)
                await self.stack.start(blow.component)
                self.write("started", blow)
            else:
                self.write("stop", blow)
                pids = self.stack.pause(blow.component)
                self.dealt["stop"] += 1
                try:
                    await asyncio.sleep(blow.lasts)
                finally:
                    send(pids, signal.SIGCONT)
                self.write("continued", blow)

    def write(self, what: str, blow: Blow) -> None:
        entry: dict[str, Any] = {"wall": time.time(), "what": what, **asdict(blow)}
        with (self.stack.folder / "nemesis.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")
