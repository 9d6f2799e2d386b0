"""What every table shares: time-ordered ids, column types, and the organisation first in every primary key."""

import os
import threading
import time
from typing import Any, ClassVar

from sqlalchemy import BindParameter, DateTime, MetaData, Table, bindparam
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


class UtcTime(DateTime):
    """`timestamptz`. What comes back is aware and in UTC: every connection sets its time zone."""

    def __init__(self) -> None:
        super().__init__(timezone=True)


class Row(SQLModel):
    """A table. Rows never leave `schema`: repositories return domain objects and frozen dataclasses."""

    metadata: ClassVar[MetaData] = METADATA  # pyright: ignore[reportIncompatibleVariableOverride]  # SQLModel's way
    __tablename__: ClassVar[Any]  # pyright: ignore[reportIncompatibleVariableOverride]  # SQLModel types it as a method


class OrganisationRow(Row):
    """A table of tenants' data. Row-level security shows only rows of the organisation bound to the transaction."""

    organisation: str = Field(primary_key=True)


def table(row: type[Row]) -> Table:
    """The Core table of a row class."""
    found: Any = row.__dict__["__table__"]
    assert isinstance(found, Table)
    return found


def json_values(*names: str) -> list[BindParameter[Any]]:
    """Bind these names of a statement as `jsonb`; `None` is NULL, not the JSON word null."""
    return [bindparam(name, type_=JSONB(none_as_null=True)) for name in names]


class _Clock:
    """48 bits of milliseconds and 12 bits of their fraction (RFC 9562, 6.2, method 3), never the same twice here."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def tick(self) -> int:
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        now = milliseconds << 12 | (rest << 12) // 1_000_000
        with self._lock:
            self._last = max(now, self._last + 1)
            return self._last


_clock = _Clock()


def new_id(prefix: str) -> str:
    """`<prefix>_` and the 32 hex digits of a UUIDv7. Ids made by one process sort in the order they were made."""
    stamp = _clock.tick()
    noise = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    return f"{prefix}_{stamp >> 12:012x}{0x7000 | stamp & 0xFFF:04x}{1 << 63 | noise:016x}"
