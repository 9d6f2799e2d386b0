"""What processes cost, from `/proc`."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


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


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of the trees so far, children that ended included."""
    stats = _stats()
    return sum(int(ticks) for pid in _trees(roots, stats) for ticks in stats[pid][11:15]) / _TICK


def resident_bytes(roots: Iterable[int]) -> int:
    """Resident memory of the trees. Pages that processes share are counted for each of them."""
    stats = _stats()
    return sum(int(stats[pid][21]) for pid in _trees(roots, stats)) * _PAGE
