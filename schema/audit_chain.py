"""The chain as it is stored, read from end to end in constant memory."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from sqlalchemy import text

from domain.audit import Batch, Link
from schema.audit_seals import EVENT_COLUMNS, UNSEALED, Place, record
from schema.ledger_seals import SHOWN_AT
from schema.session import Record, Session

AT_ONCE = 500

_TO_THE_END = text("SELECT set_config('cursor_tuple_fraction', '1', true)")
"""Postgres plans cursors for their first rows; here all of them are read."""
_LINKS = text(
    f"""
    SELECT s.sequence, s.hash, s.event_id, s.ledger, {EVENT_COLUMNS},
        b.number, b.first_sequence, b.head_hash, {SHOWN_AT.format("b.sealed_at")} AS sealed_at
    FROM audit_seals s
    LEFT JOIN audit_events e ON e.organisation = s.organisation AND e.id = s.event_id
    LEFT JOIN audit_batches b ON b.organisation = s.organisation AND b.last_sequence = s.sequence
    WHERE s.organisation = :organisation AND s.sequence > :after AND s.sequence <= :to
    ORDER BY s.sequence
    """
)
_BATCHES = text(
    """
    SELECT number, last_sequence FROM audit_batches b WHERE organisation = :organisation AND last_sequence > :after
        AND last_sequence <= :to AND NOT EXISTS (
            SELECT FROM audit_seals s WHERE s.organisation = b.organisation AND s.sequence = b.last_sequence)
    ORDER BY number LIMIT 20
    """
)
_HASH = text("SELECT hash FROM audit_seals WHERE organisation = :organisation AND sequence = :sequence")
_PASSED_BY = text(
    f"""
    SELECT e.id, coalesce((
        SELECT coalesce((
            SELECT min(s.sequence) FROM audit_seals s
            JOIN audit_events n ON n.organisation = s.organisation AND n.id = s.event_id
            WHERE s.organisation = b.organisation AND s.sequence BETWEEN b.first_sequence AND b.last_sequence
                AND (n.xact, n.id COLLATE "C") > (e.xact, e.id COLLATE "C")), b.last_sequence)
        FROM audit_batches b WHERE b.organisation = e.organisation
            AND (b.horizon, b.horizon_id COLLATE "C") >= (e.xact, e.id COLLATE "C") ORDER BY b.number LIMIT 1
    ), (SELECT max(b.last_sequence) + 1 FROM audit_batches b WHERE b.organisation = e.organisation)) AS sequence
    FROM audit_events e
    WHERE e.organisation = :organisation AND {UNSEALED}
        AND ((e.xact, e.id COLLATE "C") <= (:xact, :id)
            OR e.xact >= (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint)
        AND (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint >= :xact
    ORDER BY e.xact, e.id COLLATE "C" LIMIT 20
    """
)
_PENDING = text(
    f"""
    SELECT count(*) AS events FROM audit_events e
    WHERE e.organisation = :organisation AND (e.xact, e.id COLLATE "C") > (:xact, :id) AND {UNSEALED}
    """
)


@dataclass(frozen=True, slots=True)
class PassedBy:
    """An event that stands among sealed ones and has no place."""

    event_id: str
    sequence: int
    """Of the sealed one it stands before, or the first that is free."""


class AuditChain:
    """Give it a frozen transaction: everything it says is about one moment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def links(self, after: int, to: int) -> AsyncGenerator[list[Link], None]:
        """Places behind `after`, up to `to`, in order."""
        await self._session.run(_TO_THE_END)
        async with aclosing(self._session.stream(_LINKS, at_once=AT_ONCE, after=after, to=to)) as stream:
            async for rows in stream:
                yield [_link(row) for row in rows]

    async def hash_at(self, sequence: int) -> bytes | None:
        """What the chain had come to here; None: there is no such place."""
        row = await self._session.first(_HASH, sequence=sequence)
        return bytes(row.hash) if row else None

    async def ends_lost(self, after: int, to: int) -> list[tuple[int, int]]:
        """Number and last place of batches whose last place is not there any more."""
        rows = await self._session.all(_BATCHES, after=after, to=to)
        return [(row.number, row.last_sequence) for row in rows]

    async def passed_by(self, place: Place) -> list[PassedBy]:
        """Unsealed events although everything up to `place` was sealed, the first of them; and those that claim a
        transaction nobody began yet, which would wait for ever. None are named where transaction numbers began anew,
        on another server: the next seal run looks at everything."""
        rows = await self._session.all(_PASSED_BY, xact=place.xact, id=place.id)
        return [PassedBy(row.id, row.sequence or 1) for row in rows]

    async def pending(self, place: Place) -> int:
        """How many events wait for their place."""
        row = await self._session.first(_PENDING, xact=place.xact, id=place.id)
        return int(row.events) if row else 0


def _link(row: Record) -> Link:
    event = record(row)._replace(ledger=row.ledger) if row.id is not None else None
    batch = None
    if row.number is not None:
        batch = Batch(row.number, row.first_sequence, bytes(row.head_hash), row.sealed_at)
    return Link(row.sequence, bytes(row.hash), row.event_id, event, batch)
