"""The product as real processes, to be killed: `python -m api.main` and `python worker.py`."""

import asyncio
import contextlib
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from adapters.embedded.mail import mail_sink
from settings import child_environment
from tests.house import ID_KEY, KEYSET, House, own_namespace
from tests.sealed import PAYLOAD_KEY
from tests.temporal import DevServer, ended_with_us, free_port

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 120
COMMANDS = {"api": ("-m", "api.main"), "worker": ("worker.py",)}


@dataclass
class Processes:
    """An API and a worker. Each has a file that arms its failpoint."""

    folder: Path
    variables: dict[str, str]
    port: int
    root: Path = ROOT
    """Whose code runs: this checkout's, or that of another release."""
    _running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _watches: dict[str, contextlib.ExitStack] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self._running[name] = await asyncio.create_subprocess_exec(
            sys.executable,
            *COMMANDS[name],
            cwd=self.root,
            env=child_environment({**self.variables, "HOLDFAST_FAILPOINT": str(self.arming(name))}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self._watches[name] = contextlib.ExitStack()
        self._watches[name].enter_context(ended_with_us(str(self._running[name].pid), "KILL"))

    def arming(self, name: str) -> Path:
        return self.folder / f"{name}.failpoint"

    def arm(self, name: str, failpoint: str) -> None:
        """The process will kill -9 itself there, once."""
        self.arming(name).write_text(failpoint)

    async def died(self, name: str) -> None:
        """Returns when the process has killed itself; anything else is an error."""
        async with asyncio.timeout(READY_WITHIN_S):
            status = await self._running[name].wait()
        await self.stop(name)  # what is over is watched no longer
        assert status == -signal.SIGKILL, f"{name} ended with {status}: {self.log(name)[-2000:]}"

    async def restart(self, name: str) -> None:
        await self.stop(name)
        await self.start(name)

    async def stop(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        process = self._running.get(name)
        if process is not None and process.returncode is None:
            process.send_signal(how)
            await process.wait()
        if watch := self._watches.pop(name, None):
            watch.close()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    async def ready(self, http: httpx2.AsyncClient) -> None:
        """Returns when API, Postgres, Temporal and worker are there; fails when one that should run has ended."""
        seen = "no answer"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_WITHIN_S):
                while True:
                    with contextlib.suppress(httpx2.TransportError):
                        answer = await http.get("/readyz")
                        if answer.status_code == 200:
                            return
                        seen = answer.text
                    for name, process in self._running.items():
                        assert process.returncode is None, f"{name} ended by itself: {self.log(name)[-2000:]}"
                    await asyncio.sleep(0.05)
        raise AssertionError(f"never ready: {seen}")


def data_folder(folder: Path, learnt: Path) -> Path:
    """A data folder of its own, in which the intent model need not be trained any more."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(learnt)
    return folder


async def until_answered(http: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> httpx2.Response:
    """What a good client does: the same request again until there is an answer."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                answer = await http.post(path, json=body)
                if answer.status_code not in {202, 503}:
                    return answer
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def processes(
    database_url: str, temporal: DevServer, folder: Path, models: Path, root: Path = ROOT, **more: str
) -> AsyncIterator[tuple[Processes, House]]:
    """Both processes running and ready, and a house to ask and look through. `more`: further variables."""
    client = await own_namespace(temporal.address)
    port, smtp = free_port(), free_port()
    variables = {
        "HOLDFAST_ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_NAMESPACE": client.namespace,
        "HOLDFAST_TASK_QUEUE": f"q-{secrets.token_hex(4)}",
        "HOLDFAST_ID_KEY": ID_KEY,
        "HOLDFAST_ENCRYPTION_KEYSET": KEYSET,
        "HOLDFAST_PAYLOAD_KEYS": PAYLOAD_KEY,
        "HOLDFAST_OUTBOUND_ALLOW": "127.0.0.1",
        "HOLDFAST_LOCAL": "true",
        "HOLDFAST_API_PORT": str(port),
        "HOLDFAST_DATA_DIR": str(models),
        "HOLDFAST_SMTP_HOST": "127.0.0.1",
        "HOLDFAST_SMTP_PORT": str(smtp),
        "HOLDFAST_SMTP_SENDER": "support@example.com",
        "HOLDFAST_GRACEFUL_STOP": "PT1S",
        "HOLDFAST_FAILPOINTS_ENABLED": "true",
        **more,
    }
    from schema.session import Database
    from settings import Settings, customer_seals

    settings = Settings.load(override={"environment": "development", "database_url": database_url, "id_key": ID_KEY,
                                       "encryption_keyset": KEYSET,
                                       "data_dir": folder, "graceful_stop": timedelta(seconds=1)})  # fmt: skip
    db = Database(database_url, seals=customer_seals(settings))
    running = Processes(folder, variables, port, root)
    async with (
        mail_sink(folder / "mail", smtp),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
    ):
        try:
            await asyncio.gather(running.start("api"), running.start("worker"))
            await running.ready(http)
            yield running, House(http=http, db=db, temporal=client, settings=settings)
        finally:
            await asyncio.gather(running.stop("api"), running.stop("worker"))
            await db.close()
