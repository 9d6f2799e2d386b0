"""What processes cost, from `/proc`."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_SIGNS = (
    (b"start-dev", "temporal"),
    (b"postgres:", "postgres"),
    (b"uvicorn", "api"),
    (b"api.main", "api"),
    (b"worker.py", "worker"),
    (b"bench.", "worker"),
    (b"bin/postgres", "postgres"),
    (b"stack.py", "launcher"),
)
Parts = Counter[str]
"""Milliseconds of processor time by part of a contestant."""


def _stats() -> dict[int, list[bytes]]:
    """The fields after the command's name of every process's `stat`, by process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                content = (entry / "stat").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(entry.name)] = content[content.rindex(b")") + 2 :].split()
    return found


def _trees(roots: Iterable[int], stats: dict[int, list[bytes]]) -> set[int]:
    """`roots` and everybody they started, however far down."""
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(int(fields[1]), []).append(pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in stats]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def cpu_ms(roots: Iterable[int]) -> Parts:
    """User and system time of the trees so far, children that ended included, by part."""
    stats = _stats()
    found: Parts = Counter()
    for pid in _trees(roots, stats):
        found[_part(pid)] += sum(int(ticks) for ticks in stats[pid][11:15]) * 1000 // _TICK
    return found


def resident_bytes(roots: Iterable[int]) -> int:
    """Resident memory of the trees; of pages that processes share, each counts its share."""
    found = 0
    for pid in _trees(roots, _stats()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found


def _part(pid: int) -> str:
    """Which part of a contestant a process is, from its command line."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return "other"
    return next((part for sign, part in _SIGNS if sign in command), "other")
