"""Reads `requirements.lock`: every package with its version, its hashes, and who asked for it."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
ELSEWHERE = re.compile(r"sys_platform == '(?:win32|emscripten)'")
"""Systems Holdfast does not run on: what is for them only is never installed."""
_PINNED = re.compile(r"([a-z0-9][a-z0-9._-]*)==([^\s;]+)(?: ; (.*))?")


class LockInvalid(Exception):
    """A line pins no version, or has no hash: what would be installed is not known."""


@dataclass(frozen=True)
class Pinned:
    name: str
    version: str
    marker: str
    """Where it is for, as PEP 508 says it; empty: everywhere."""
    sha256: tuple[str, ...]
    asked_by: tuple[str, ...]
    """The packages that need it; `holdfast` for our own needs."""

    @property
    def is_installed(self) -> bool:
        """Whether any system of ours gets it."""
        return not ELSEWHERE.search(self.marker)

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(text: str) -> list[Pinned]:
    """In the order of the file. Raises `LockInvalid`, naming the line."""
    pinned = list[Pinned]()
    for block in re.split(r"\n(?=[^\s#])", "\n" + text.strip()):
        lines = [line for line in block.strip("\n").splitlines() if line and not line.startswith("#")]
        if lines:
            pinned.append(_read(lines))
    return pinned


def _read(lines: list[str]) -> Pinned:
    head = lines[0].rstrip("\\ ")
    found = _PINNED.fullmatch(head)
    hashes = tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", "\n".join(lines))))
    if found is None or not hashes:
        raise LockInvalid(f"not pinned with a version and a hash: {head}")
    via = re.findall(r"^    # (?:via)? *([a-z0-9][a-z0-9._-]*)", "\n".join(lines), flags=re.M)
    return Pinned(found[1], found[2], found[3] or "", hashes, tuple(sorted(via)))
