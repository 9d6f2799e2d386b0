"""Seals what older releases stored in clear, and wraps customers' keys anew after the keyset was rotated. For the owner
of the tables, as the role that overwrites what the application may not; some rows at a time, while everything runs."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import TextClause, text

from domain.sealing import ERASED
from domain.values import OrganisationId
from schema.customer_keys import AFTER, REWRAP
from schema.sealed import sealed
from schema.seals import MARK
from schema.session import Database, Record, Session

RESEALER = "holdfast_eraser"
AT_ONCE = 200


class Words(NamedTuple):
    """The sealed columns of one table."""

    table: str
    columns: tuple[str, ...]
    row: str = "id"
    """What the words are bound to."""
    customer: str = "x.customer_id"
    key: str = "x.id"
    """Which row it is, for going through them in order."""
    join: str = ""


WORDS = (
    Words("customers", ("name", "email", "phone"), customer="x.id"),
    Words("interactions", ("message",)),
    Words("messages", ("body",)),
    Words("deliveries", ("body",), customer="CASE WHEN x.endpoint_id IS NULL THEN x.customer_id END"),
    Words(
        "delivery_versions", ("body", "recipient"), row="delivery_id", customer="d.customer_id",
        key="x.delivery_id || '/' || x.version",
        join="JOIN deliveries d ON d.organisation = x.organisation AND d.id = x.delivery_id AND d.endpoint_id IS NULL",
    ),
)  # fmt: skip
SEALED_COLUMNS = frozenset(f"{words.table}.{column}" for words in WORDS for column in words.columns)
"""`table.column` of every column that stands under customers' keys."""

_ORGANISATIONS = text("SELECT organisation FROM organisations_with_customers(:after, :most)")


@dataclass(frozen=True, slots=True)
class Done:
    organisation: OrganisationId
    what: str
    """A table whose words were sealed, or `customer_keys`."""
    rows: int


async def seal_what_is_in_clear(db: Database) -> AsyncIterator[Done]:
    """Goes through every organisation's rows once. Broken off, it is simply begun again. Raises `SealBroken`."""
    async for organisation in _organisations(db):
        for words in WORDS:
            after, rows = "", 0
            while True:
                async with db.transaction(organisation) as session:
                    last, changed = await _seal_some(session, words, after)
                rows += changed
                if last is None:
                    break
                after = last
            if rows:
                yield Done(organisation, words.table, rows)


async def rewrap(db: Database) -> AsyncIterator[Done]:
    """Wraps every customer's key under the keyset's newest key; the words stay as they are. Raises `SealBroken`."""
    async for organisation in _organisations(db):
        after, rows = "", 0
        while True:
            async with db.transaction(organisation) as session:
                found = await session.all(AFTER, after=after, most=AT_ONCE)
                for row in found:
                    assert session.seals is not None
                    key = session.seals.unwrapped(organisation, row.customer_id, row.id, row.wrapped)
                    await session.run(REWRAP, id=row.id, new=session.seals.rewrapped(key))
            rows += len(found)
            if len(found) < AT_ONCE:
                break
            after = found[-1].id
        if rows:
            yield Done(organisation, "customer_keys", rows)


async def _organisations(db: Database) -> AsyncIterator[OrganisationId]:
    after = ""
    while True:
        rows = await _next(db, after)
        for row in rows:
            yield OrganisationId(row.organisation)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1].organisation


async def _next(db: Database, after: str) -> Sequence[Record]:
    return await db.one_by_one(None, lambda session: session.all(_ORGANISATIONS, after=after, most=AT_ONCE))


async def _seal_some(session: Session, words: Words, after: str) -> tuple[str | None, int]:
    """The last row looked at, None at the end; and how many were sealed."""
    rows = await session.all(_in_clear(words), after=after, most=AT_ONCE, mark=MARK, erased=ERASED)
    changed = 0
    for row in rows:
        said = {f"{words.table}.{name}": getattr(row, name) for name in words.columns if getattr(row, f"clear_{name}")}
        now = dict(zip(said, await sealed(session, row.whose, row.bound_to, said), strict=True))
        values = {name: now.get(f"{words.table}.{name}", getattr(row, name)) for name in words.columns}
        if now != said:
            changed += await session.run(_store(words), key=row.key, **values)
    return (rows[-1].key if len(rows) == AT_ONCE else None), changed


def _in_clear(words: Words) -> TextClause:
    clear = {name: f"(x.{name} <> '' AND x.{name} <> :erased AND NOT starts_with(x.{name}, :mark))"
             for name in words.columns}  # fmt: skip
    shown = ", ".join(f"x.{name}, coalesce({is_clear}, false) AS clear_{name}" for name, is_clear in clear.items())
    return text(
        f"""
        SELECT {words.key} AS key, x.{words.row} AS bound_to, {words.customer} AS whose, {shown}
        FROM {words.table} x {words.join}
        WHERE x.organisation = :organisation AND {words.key} > :after AND ({" OR ".join(clear.values())})
            AND {words.customer} IS NOT NULL
        ORDER BY {words.key} LIMIT :most FOR UPDATE OF x
        """
    )


def _store(words: Words) -> TextClause:
    changes = ", ".join(f"{name} = :{name}" for name in words.columns)
    return text(f"UPDATE {words.table} x SET {changes} WHERE x.organisation = :organisation AND {words.key} = :key")
