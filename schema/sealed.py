"""Reads and writes customers' words: opened with the keys in `customer_keys`, sealed under one of the customer's.

A value that stands in clear is read as it stands: it was written before there were keys, or while none were wanted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from domain.errors import RequestInvalid
from domain.sealing import ERASED, SealBroken
from schema.customer_keys import FIND, MAKE, NEWEST
from schema.seals import CustomerKey, key_id_of
from schema.session import Record, Session

NOTHING = frozenset({"customers.email", "customers.phone", "delivery_versions.recipient"})
"""Where no word may stand for one that is gone: nobody sends a mail to it."""


class Place(NamedTuple):
    """Where a value stands. What was sealed for one place opens in no other."""

    column: str
    """`table.column`."""
    row: str
    """The row's id."""


async def opened(session: Session, rows: Iterable[Record], columns: Mapping[str, str], row_id: str = "id") -> list[Any]:
    """The rows with the words of `columns` (a row's attribute → `table.column`) in clear; `ERASED`, or no address,
    where the key was destroyed. Rows with the column `keys` (`customer_keys.keys_of`) cost no further statement, others
    one together. Raises `SealBroken`."""
    rows = list(rows)
    await meet(session, [getattr(row, name) for row in rows for name in columns], rows)
    return [_opened(session, row, columns, row_id) for row in rows]


async def opened_one(session: Session, row: Record, columns: Mapping[str, str], row_id: str = "id") -> Record:
    """The same for one row."""
    return (await opened(session, [row], columns, row_id))[0]


async def meet(session: Session, values: Iterable[object], rows: Sequence[Record] = ()) -> None:
    """Has the keys of all these values at hand, so that `words_of` opens them: those that came with the rows, the
    others in one statement. Raises `SealBroken`."""
    unknown = {key for value in values if (key := key_id_of(value))} - session.keys.keys()
    if not unknown:
        return
    if session.seals is None:
        raise SealBroken("customers' words are sealed, and no encryption keyset is set here")
    with_keys = bool(rows) and "keys" in rows[0]._fields
    found = [key for row in rows for key in row.keys or ()] if with_keys else await session.all(FIND, ids=list(unknown))
    session.keys.update(dict.fromkeys(unknown))
    for key_id, customer_id, wrapped in found:
        _met(session, session.seals.unwrapped(session.organisation, customer_id, key_id, wrapped))


def words_of(session: Session, place: Place, value: str) -> str | None:
    """A stored value in clear, once its key was met. Raises `SealBroken`."""
    key_id = key_id_of(value)
    if key_id is None:
        return value
    key = session.keys[key_id]
    if key is None:
        return None if place.column in NOTHING else ERASED
    assert session.seals is not None
    return session.seals.open(key, *place, value)


async def key_to_write(session: Session, customer_id: str) -> CustomerKey | None:
    """A key of the customer's that is there, made if there is none: one met in this transaction, or for a statement.
    None: nothing is sealed here, or there is no such customer, so that nothing of theirs can be stored either."""
    seals = session.seals
    if seals is None or not seals.writes:
        return None
    for met in session.keys.values():
        if met is not None and met.customer_id == customer_id:
            return met
    row = await session.first(NEWEST, customer_id=customer_id)
    if row is not None:
        return _met(session, seals.unwrapped(session.organisation, customer_id, row.id, row.wrapped))
    new = seals.new(session.organisation, customer_id)
    if await session.first(MAKE, customer_id=customer_id, key_id=new.id, wrapped=new.wrapped) is None:
        return None
    return _met(session, new)


async def sealed(session: Session, customer_id: str | None, row: str, words: Mapping[str, str | None]) -> list[Any]:
    """What to store of these words (by `table.column`), in their order, in this row of the customer's."""
    key = await key_to_write(session, customer_id) if customer_id is not None and any(words.values()) else None
    return [sealed_with(session, key, Place(column, row), said) for column, said in words.items()]


def sealed_with(session: Session, key: CustomerKey | None, place: Place, words: str | None) -> str | None:
    """The same under a key at hand; in clear without one. Nothing said stays nothing. Raises `RequestInvalid` for what
    Postgres would not hold in clear either: what can be stored does not depend on a keyset."""
    if key is None or not words:
        return words
    if "\0" in words:
        raise RequestInvalid("a value cannot be stored", sqlstate="22021") from None
    assert session.seals is not None
    return session.seals.seal(key, *place, words)


def _met(session: Session, key: CustomerKey) -> CustomerKey:
    session.keys[key.id] = key
    assert session.seals is not None
    session.seals.keep(key)
    return key


def _opened(session: Session, row: Record, columns: Mapping[str, str], row_id: str) -> Record:
    changed = {
        name: words_of(session, Place(column, getattr(row, row_id)), value)
        for name, column in columns.items()
        if key_id_of(value := getattr(row, name))
    }
    return row._replace(**changed) if changed else row
