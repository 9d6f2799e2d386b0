"""Checkpoints in append-only files, one per organisation: one JSON object per line."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from pydantic import ValidationError

from domain.checkpoint import NOTHING_BEFORE, Checkpoint
from domain.errors import DependencyDown
from domain.values import OrganisationId

BLOCK = 8192
LONGEST_LINE = 64 * 1024


class CheckpointFiles:
    """A folder that should lie on another machine's disk, or on one that cannot be rewritten. All processes that seal
    or verify must see the same one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, checkpoint: Checkpoint) -> None:
        """On disk when this returns. One that is not newer than the last is already kept: nothing happens. One that
        does not follow the last is not kept (`DependencyDown`): somebody was quicker, so ask again."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._path(checkpoint.organisation).open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                last = _last(file)
                if last and last.batch >= checkpoint.batch:
                    return
                if checkpoint.previous != (last.digest() if last else NOTHING_BEFORE):
                    raise DependencyDown("another checkpoint was kept meanwhile", dependency="checkpoints")
                # A torn line before it must not swallow this one.
                begin = b"" if _ends_whole(file) else b"\n"
                file.write(begin + checkpoint.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            _fsync(self._folder)
        except OSError as error:
            raise DependencyDown(
                "checkpoints cannot be kept", dependency="checkpoints", reason=type(error).__name__
            ) from None

    def latest(self, organisation: OrganisationId) -> Checkpoint | None:
        try:
            with self._path(organisation).open("rb") as file:
                return _last(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DependencyDown(
                "checkpoints cannot be read", dependency="checkpoints", reason=type(error).__name__
            ) from None

    def all(self, organisation: OrganisationId) -> Iterator[Checkpoint | None]:
        """What a power cut left of a line was never kept, and is passed over: if it had been kept, the next would not
        follow. Any other line that cannot be read is None."""
        try:
            with self._path(organisation).open("rb") as file:
                while line := file.readline(LONGEST_LINE):
                    checkpoint = _parsed(line)
                    if checkpoint is not None or line.rstrip(b"\n").endswith(b"}"):
                        yield checkpoint
        except FileNotFoundError:
            return

    def _path(self, organisation: OrganisationId) -> Path:
        # A name of dots would climb.
        return self._folder / f"checkpoints-{quote(organisation, safe='')}.jsonl"


def _parsed(line: bytes) -> Checkpoint | None:
    try:
        return Checkpoint.model_validate_json(line)
    except ValidationError:
        return None


def _ends_whole(file: BinaryIO) -> bool:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return True
    file.seek(end - 1)
    return file.read(1) == b"\n"


def _last(file: BinaryIO) -> Checkpoint | None:
    """The last whole line, looked for from the end."""
    position, tail = file.seek(0, os.SEEK_END), b""
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        file.seek(position)
        tail = file.read(step) + tail
        # The first piece may be the end of a line that begins earlier.
        lines = tail.split(b"\n") if position == 0 else tail.split(b"\n")[1:]
        for line in reversed(lines):
            if checkpoint := _parsed(line):
                return checkpoint
        if len(tail) > 64 * BLOCK:
            raise OSError("no checkpoint can be read")
    return None


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
