"""Child processes of the one-machine stack: written down, found again after a crash, and stopped.

A process id alone proves nothing, because ids are reused: a recorded process is ours only if it was also born at the
recorded moment.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from domain.errors import HoldfastError

STOP_WITHIN_S = 10.0


class CannotStart(HoldfastError):
    """The stack cannot start or go on; the message says what to do about it."""

    code = "cannot_start"


def write_private(path: Path, text: str) -> None:
    """Writes `path` at once or not at all, for its owner's eyes only."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


class Children:
    """The child processes of one launcher, by role; every change is written to `folder` at once."""

    def __init__(self, folder: Path, directory: Path) -> None:
        self.urls: dict[str, str] = {}
        self.deaths: asyncio.Queue[str] = asyncio.Queue()
        """Roles of children that ended without being asked to."""
        self._folder = folder
        self._directory = directory
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watches: set[asyncio.Task[None]] = set()

    async def launch(self, role: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts a child in a session of its own, so that Ctrl-C reaches only the launcher. It logs to `<role>.log`."""
        with self.log(role).open("wb") as log:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._directory,
                env=environment,
            )
        self._running[role] = child
        self._watches.add(asyncio.create_task(self._watch(role, child)))
        self.record()

    def alive(self, role: str) -> bool:
        return role in self._running and self._running[role].returncode is None

    async def end(self, role: str, within_s: float = STOP_WITHIN_S) -> None:
        """Asks the child to stop, and insists after a while."""
        child = self._running.pop(role, None)
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            async with asyncio.timeout(within_s):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    def record(self) -> None:
        """Writes down what a later launcher must find if this one is killed."""
        children = {role: _identity(child.pid) for role, child in self._running.items()}
        state = {"launcher": _identity(os.getpid()), "children": children, "urls": self.urls}
        write_private(self._folder / "stack.json", json.dumps(state, indent=2))

    def log(self, role: str) -> Path:
        return self._folder / f"{role}.log"

    def last_words(self, role: str, lines: int = 8) -> str:
        """The end of the child's log."""
        return "\n".join(self.log(role).read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    async def _watch(self, role: str, child: asyncio.subprocess.Process) -> None:
        await child.wait()
        if self._running.get(role) is child:
            self.deaths.put_nowait(role)


def _identity(pid: int) -> dict[str, float]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return {"pid": pid, "created": psutil.Process(pid).create_time()}
    return {"pid": pid, "created": 0.0}


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """One launcher per state folder. The operating system lets go of the lock when its holder dies, however it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = recorded(folder).get("launcher", {}).get("pid", "unknown")
            raise CannotStart(f"a stack already runs on {folder} (pid {pid}); stop it, or choose --data-dir") from None
        yield


def recorded(folder: Path) -> dict[str, Any]:
    """What the last launcher wrote down, or nothing."""
    try:
        state = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def running(folder: Path) -> int | None:
    """The process id of the live launcher of `folder`."""
    try:
        with exclusive(folder):
            return None
    except CannotStart:
        return int(recorded(folder).get("launcher", {}).get("pid", 0)) or None


def orphans(folder: Path) -> list[psutil.Process]:
    """Live children of an earlier launcher. A recorded process counts only if it is still the one that was started
    (process ids are reused); a Temporal server also if it has our database file open by name."""
    found: dict[int, psutil.Process] = {}
    for identity in recorded(folder).get("children", {}).values():
        with contextlib.suppress(psutil.Error, KeyError, TypeError, ValueError):
            process = psutil.Process(int(identity["pid"]))
            if process.create_time() == identity["created"] and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    database = str(folder / "temporal.db")
    for process in psutil.process_iter(["cmdline"]):
        if database in (process.info["cmdline"] or ()) and "start-dev" in process.info["cmdline"]:
            found[process.pid] = process
    return list(found.values())


def stop_orphans(folder: Path) -> int:
    """Stops them, gently first; how many there were. Call it only under `exclusive`."""
    left = orphans(folder)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(left, timeout=STOP_WITHIN_S)[1]:
        process.kill()
    psutil.wait_procs(left, timeout=STOP_WITHIN_S)
    return len(left)


def need_port(host: str, port: int, what: str, option: str) -> None:
    """Raises `CannotStart` naming the port, who has it and the option that changes it: never attach to a stranger."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((host, port))
            return
    raise port_taken(port, what, option)


def port_taken(port: int, what: str, option: str) -> CannotStart:
    """Which port, who has it, and the option that changes it."""
    return CannotStart(f"port {port} ({what}) is taken{_holder(port)}; choose another: make up ARGS='{option} <port>'")


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                owner = connection.pid and psutil.Process(connection.pid).name()
                return f" by {owner} (pid {connection.pid})" if owner else ""
    return ""
