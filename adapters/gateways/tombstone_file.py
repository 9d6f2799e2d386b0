"""Tombstones in a folder: one file each, so that many processes may write at once."""

import os
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from adapters.durable_files import fsync_folder
from domain.erasure import Tombstone
from domain.errors import DependencyDown


class TombstoneFiles:
    """A folder that is not part of the database's backups, or is newer than any of them when they are restored."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, stone: Tombstone) -> None:
        path = self._folder / f"{quote(stone.organisation, safe='')}-{quote(stone.id, safe='')}.json"
        half = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with half.open("wb") as file:
                file.write(stone.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
            fsync_folder(self._folder)
        except OSError as error:
            raise _down("kept", error) from None

    def all(self) -> tuple[Tombstone, ...]:
        try:
            found = [Tombstone.model_validate_json(path.read_bytes()) for path in self._folder.glob("*.json")]
        except (OSError, ValidationError) as error:
            raise _down("read", error) from None
        return tuple(sorted(found, key=lambda stone: stone.at))


def _down(what: str, error: Exception) -> DependencyDown:
    return DependencyDown(f"tombstones cannot be {what}", dependency="tombstones", reason=type(error).__name__)
