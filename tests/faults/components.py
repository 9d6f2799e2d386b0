"""The stack of a fault run: every component a process that can be killed, stopped and started again on its own state.

A component that ends by itself is started again, as any supervisor would, and put on record: `died_alone`."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx2
import psutil

from adapters.crypto import new_keyset
from adapters.embedded.postgres import Postgres
from adapters.embedded.processes import CannotStart
from adapters.payload_codec import new_payload_key
from schema import migrate
from settings import child_environment
from tests.faults.tools import WORLD
from tests.temporal import DevServer, free_port

ROOT = Path(__file__).parent.parent.parent
START_AGAIN_S = 0.5
STARTS = 5


class Component(Protocol):
    async def start(self) -> None:
        """Returns when it runs; when it serves is another matter."""
        ...

    def pids(self) -> list[int]:
        """What a signal must reach."""
        ...


@dataclass
class Child:
    """One of our own processes."""

    name: str
    arguments: tuple[str, ...]
    variables: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self.arguments,
                cwd=ROOT,
                env=child_environment(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def pids(self) -> list[int]:
        return [self.process.pid] if self.process and self.process.returncode is None else []


@dataclass
class PostgresServer:
    """The postmaster and all its children, with fsync on."""

    server: Postgres
    folder: Path
    url: str = ""

    async def start(self) -> None:
        self.url = await asyncio.to_thread(self.server.start)

    def pids(self) -> list[int]:
        try:
            head = int((self.folder / "postmaster.pid").read_text().split("\n")[0])
            postmaster = psutil.Process(head)
            return [head, *(c.pid for c in postmaster.children(recursive=True))]
        except (OSError, ValueError, psutil.Error):
            return []


@dataclass
class TemporalServer:
    server: DevServer

    async def start(self) -> None:
        try:
            await self.server.start()
        except AssertionError as error:  # its port may be somebody's for a moment
            raise CannotStart(str(error)) from error

    def pids(self) -> list[int]:
        with contextlib.suppress(AssertionError, psutil.Error):
            if psutil.Process(self.server.pid).status() != psutil.STATUS_ZOMBIE:
                return [self.server.pid]
        return []


@dataclass
class Stack:
    """Everything that can be killed, by name, and the world, which cannot."""

    folder: Path
    variables: dict[str, str]
    components: dict[str, Component]
    world: Child
    postgres: PostgresServer
    api_url: str
    world_url: str
    down: set[str] = field(default_factory=set)
    """Components somebody killed on purpose and will start again."""
    died_alone: list[dict[str, Any]] = field(default_factory=list)
    did_not_start: list[dict[str, Any]] = field(default_factory=list)

    async def kill(self, name: str) -> None:
        """kill -9, and returns when it is gone."""
        self.down.add(name)
        # Stopped first: a postmaster that still forks would leave a child behind.
        send(self.components[name].pids(), signal.SIGSTOP)
        pids = self.components[name].pids()
        send(pids, signal.SIGKILL)
        await gone(pids)

    async def start(self, name: str) -> None:
        """As a supervisor does it: what does not start is tried again, and that is on record."""
        for left in range(STARTS, 0, -1):
            try:
                await self.components[name].start()
                break
            except CannotStart:
                self.did_not_start.append({"at": time.time(), "component": name})
                if left == 1:
                    raise
                await asyncio.sleep(START_AGAIN_S)
        self.down.discard(name)

    def pause(self, name: str) -> list[int]:
        pids = self.components[name].pids()
        send(pids, signal.SIGSTOP)
        return pids

    async def supervise(self) -> None:
        """Starts again what ended although nobody ended it."""
        while True:
            for name, component in self.components.items():
                if name not in self.down and not component.pids():
                    self.down.add(name)
                    self.died_alone.append({"at": time.time(), "component": name})
                    await asyncio.sleep(START_AGAIN_S)
                    await self.start(name)
            await asyncio.sleep(0.2)

    def arm(self, name: str, failpoint: str) -> Path:
        """The process kills itself there, once; then the file is gone."""
        file = self.folder / f"{name}.failpoint"
        file.write_text(failpoint)
        return file

    async def ready(self, within_s: float = 90) -> None:
        """Returns when everything is there, by the product's own word."""
        async with asyncio.timeout(within_s), httpx2.AsyncClient(base_url=self.api_url, timeout=5) as http:
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    if (await http.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)


def send(pids: Iterable[int], how: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


async def gone(pids: Iterable[int]) -> None:
    for pid in pids:
        async with asyncio.timeout(20):
            while psutil.pid_exists(pid):
                with contextlib.suppress(psutil.Error):
                    if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                        break
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def stack(
    run: Path,
    state: Path,
    *,
    world_options: dict[str, Any],
    worker: str,
    more: dict[str, str] | None = None,
    temporal_state: Path | None = None,
) -> AsyncIterator[Stack]:
    """Everything up and ready. `run` keeps what is evidence, `state` what the components need, Temporal's perhaps
    elsewhere. `more` are variables."""
    ports = {name: free_port() for name in ("api", "temporal", "http_port", "smtp_port")}
    (run / "world.json").write_text(json.dumps({**world_options, **ports}))
    world = Child("world", ("-m", "tests.faults.world", str(run)), {}, run / "world.log")
    postgres = PostgresServer(Postgres(state / "postgres"), state / "postgres")
    temporal = TemporalServer(DevServer(temporal_state or state, ports["temporal"]))
    await asyncio.gather(world.start(), postgres.start(), temporal.start())
    variables = {**_variables(postgres.url, ports), **(more or {})}

    def own(name: str, module: str) -> Child:
        failpoint = {"HOLDFAST_FAILPOINT": str(run / f"{name}.failpoint")}
        return Child(name, ("-m", module), {**variables, **failpoint}, run / f"{name}.log")

    components: dict[str, Component] = {
        "postgres": postgres,
        "temporal": temporal,
        "api": own("api", "api.main"),
        "worker1": own("worker1", worker),
        "worker2": own("worker2", worker),
    }
    api_url = f"http://127.0.0.1:{ports['api']}"
    made = Stack(run, variables, components, world, postgres, api_url, variables[WORLD])
    watching: asyncio.Task[None] | None = None
    try:
        await asyncio.to_thread(migrate.upgrade, postgres.url)
        for name in ("api", "worker1", "worker2"):
            await components[name].start()
        await made.ready(within_s=300)  # the first start learns the intents, on a machine that others use too
        watching = asyncio.create_task(made.supervise())
        yield made
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        for component in (*reversed(components.values()), world):
            pids = component.pids()
            send(pids, signal.SIGCONT)
            send(pids, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await gone(pids)
        with contextlib.suppress(OSError):
            shutil.copyfile(state / "postgres" / "log", run / "postgres.log")


def _variables(database_url: str, ports: dict[str, int]) -> dict[str, str]:
    data = ROOT / "build" / "faults" / "data"
    data.mkdir(parents=True, exist_ok=True)
    return {
        "HOLDFAST_ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": f"127.0.0.1:{ports['temporal']}",
        "HOLDFAST_TASK_QUEUE": "faults",
        "HOLDFAST_ID_KEY": "k" * 40,
        "HOLDFAST_ENCRYPTION_KEYSET": new_keyset(),
        "HOLDFAST_PAYLOAD_KEYS": new_payload_key(),
        "HOLDFAST_OUTBOUND_ALLOW": "127.0.0.1",
        "HOLDFAST_LOCAL": "true",
        "HOLDFAST_API_PORT": str(ports["api"]),
        "HOLDFAST_DATA_DIR": str(data),
        "HOLDFAST_SMTP_HOST": "127.0.0.1",
        "HOLDFAST_SMTP_PORT": str(ports["smtp_port"]),
        "HOLDFAST_SMTP_SENDER": "support@example.com",
        "HOLDFAST_GRACEFUL_STOP": "PT1S",
        "HOLDFAST_LOG_LEVEL": "warning",
        "HOLDFAST_FAILPOINTS_ENABLED": "true",
        WORLD: f"http://127.0.0.1:{ports['http_port']}",
    }
