"""What the benchmark asks of whoever takes part: start, one request, stop, and which processes did the work."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psycopg

from bench.load import PATIENCE_S, Connection

LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 90.0
STOP_WITHIN_S = 40.0
CUSTOMERS = 1000
"""Enough that no customer meets a limit on actions per minute at any rate two cores can reach."""
MESSAGES = (
    "The app crashes every time I open the reports page",
    "I get an error 500 when I try to log in since this morning",
    "Login is broken: the page shows error 500 and will not load",
    "The export button does nothing, it just keeps loading",
)
"""Technical issues in plain words: everybody opens a ticket for them and answers in the chat."""
TABLES = ("interactions", "tickets", "deliveries")
"""Every contestant keeps one row per interaction in each of them, so one proof fits all."""


class BenchFailed(Exception):
    """Something did not run as the benchmark needs it; figures would mean nothing."""


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Place:
    """Where a contestant keeps its state: a folder and a database of its own."""

    folder: Path
    database_url: str


@dataclass
class Contestant(ABC):
    """One way to do the reference interaction behind `POST /chat`. Subclasses say which processes that takes."""

    name: ClassVar[str]
    title: ClassVar[str]

    place: Place
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @abstractmethod
    async def start(self) -> None:
        """Returns when `POST /chat` can be called."""

    @property
    def pids(self) -> list[int]:
        """The roots of the process trees that do the work, Postgres excepted: all contestants share that server."""
        return [process.pid for process in self.processes.values()]

    def request(self, number: int) -> bytes:
        """The whole HTTP request of interaction `number`. The same number is the same request, wherever it is sent."""
        body = {
            "customerId": f"bench_{number % CUSTOMERS}",
            "requestId": f"r_{number}",
            "message": MESSAGES[number % len(MESSAGES)],
        }
        return http("POST", "/chat", body, {"Prefer": f"wait={PATIENCE_S:.0f}"})

    def accepts(self, status: int, body: bytes) -> bool:
        """Whether this answers the interaction as it should be."""
        return status == 200 and b'"status":"completed"' in body

    async def prove(self, answered: int) -> None:
        """Raises `BenchFailed` unless each of the `answered` interactions left exactly one row in each table."""
        async with await psycopg.AsyncConnection.connect(self.place.database_url) as connection:
            for name in TABLES:
                row = await (await connection.execute(f"SELECT count(*) FROM {name}".encode())).fetchone()
                if row is None or row[0] != answered:
                    raise BenchFailed(f"{self.name}: {answered} interactions answered, {row and row[0]} rows in {name}")

    def launch(self, role: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
        """Starts a process of this contestant; what it says goes to `<role>.log`."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "TEMPORAL_", "DATABASE_"))}
        with (self.place.folder / f"{role}.log").open("wb") as log:
            self.processes[role] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**clean, **variables},
                start_new_session=True,
            )

    def launch_api(self, factory: str, variables: Mapping[str, str]) -> None:
        """uvicorn as the product starts it: one process, no access log."""
        where = ("--host", LOOPBACK, "--port", str(self.port), "--no-access-log")
        self.launch("api", (sys.executable, "-m", "uvicorn", "--factory", factory, *where), variables)

    async def ready(self, path: str) -> None:
        """Waits until `GET path` answers 200 and nobody died meanwhile."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            for role, process in self.processes.items():
                if process.poll() is not None:
                    raise BenchFailed(f"{self.name}: {role} ended with code {process.returncode}:\n{self._last(role)}")
            try:
                connection = await Connection.open(LOOPBACK, self.port)
                status, _ = await connection.send(http("GET", path))
                connection.close()
                if status == 200:
                    return
            except (OSError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(0.1)
        raise BenchFailed(
            f"{self.name}: not ready after {READY_WITHIN_S:.0f} s:\n{self._last(next(iter(self.processes)))}"
        )

    async def stop(self) -> None:
        """Ends what was started, last first; insists after a while."""
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _last(self, role: str) -> str:
        text = (self.place.folder / f"{role}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])


def http(method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """One HTTP/1.1 request, ready to be written."""
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    lines = {"Host": "localhost", "Content-Length": str(len(content)), **(headers or {})}
    if content:
        lines["Content-Type"] = "application/json"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content
