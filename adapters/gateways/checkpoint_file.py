"""Checkpoints in append-only files, one per organisation: one JSON object per line."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from pydantic import ValidationError

from adapters.durable_files import fsync_folder
from domain.checkpoint import NOTHING_BEFORE, Checkpoint
from domain.errors import DependencyDown
from domain.values import OrganisationId

BLOCK = 8192
LONGEST_LINE = 64 * 1024
_BEGINNING = b'{"organisation":'


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
            fsync_folder(self._folder)
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
            raise _unreadable(error) from None

    def all(self, organisation: OrganisationId) -> Iterator[Checkpoint | None]:
        """As of this call, whatever is kept afterwards. What a power cut left of a line was never kept, and is passed
        over: if it had been kept, the next would not follow. Anything else that is not as we write it is None."""
        try:
            file = self._path(organisation).open("rb")
        except FileNotFoundError:
            return iter(())
        except OSError as error:
            raise _unreadable(error) from None
        return _each(file, file.seek(0, os.SEEK_END))

    def _path(self, organisation: OrganisationId) -> Path:
        # A name of dots would climb.
        return self._folder / f"checkpoints-{quote(organisation, safe='')}.jsonl"


def _unreadable(error: OSError) -> DependencyDown:
    return DependencyDown("checkpoints cannot be read", dependency="checkpoints", reason=type(error).__name__)


def _each(file: BinaryIO, end: int) -> Iterator[Checkpoint | None]:
    with file:
        file.seek(0)
        try:
            while file.tell() < end:
                line = file.readline(LONGEST_LINE + 1)
                is_long = len(line) > LONGEST_LINE
                while is_long and line and not line.endswith(b"\n"):
                    line = file.readline(LONGEST_LINE)
                checkpoint = None if is_long else _parsed(line.removesuffix(b"\n"))
                if checkpoint or is_long or not _is_torn(line):
                    yield checkpoint
        except OSError as error:
            raise _unreadable(error) from None


def _parsed(line: bytes) -> Checkpoint | None:
    """A checkpoint, byte by byte as we write one. What also could be read as something else is none."""
    try:
        checkpoint = Checkpoint.model_validate_json(line)
    except ValidationError:
        return None
    return checkpoint if len(line) < LONGEST_LINE and checkpoint.model_dump_json().encode() == line else None


def _is_torn(line: bytes) -> bool:
    """What is left of one of our lines, its end missing; or of a block of the disk that was never written."""
    words = line.rstrip(b"\0\t\r\n ")
    return _BEGINNING.startswith(words[: len(_BEGINNING)]) and not words.endswith(b"}")


def _ends_whole(file: BinaryIO) -> bool:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return True
    file.seek(end - 1)
    return file.read(1) == b"\n"


def _last(file: BinaryIO) -> Checkpoint | None:
    """The last one that can be read, looked for from the end, however much lies behind it."""
    position, behind = file.seek(0, os.SEEK_END), b""
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        file.seek(position)
        # The first piece may be the end of a line that begins earlier; of one that is too long the end is forgotten.
        first, *lines = (file.read(step) + behind).split(b"\n")
        behind = first[:LONGEST_LINE]
        for line in reversed(lines if position else [first, *lines]):
            if checkpoint := _parsed(line):
                return checkpoint
    return None
