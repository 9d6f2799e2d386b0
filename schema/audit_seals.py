"""Sealing: events that are committed for good get their place in the organisation's chain, batch by batch.

Writers take no lock and no number: each event says which transaction wrote it. Below the oldest transaction that still
runs (the horizon) nothing can appear any more, so whatever stands there can be put in order once and for all.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, UniqueConstraint, text
from sqlmodel import Field

from domain.audit import AuditRecord, chained, genesis
from schema.base import OrganisationRow, UtcTime
from schema.ledger_seals import SHOWN_AT, said_of
from schema.session import Record, Session


class AuditSealRow(OrganisationRow, table=True):
    __tablename__ = "audit_seals"
    __table_args__ = (UniqueConstraint("organisation", "event_id"),)

    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    event_id: str
    hash: bytes
    ledger: str | None
    """What `schema.ledger_seals` says of the rows the event is about; None: sealed in the first format."""


class AuditBatchRow(OrganisationRow, table=True):
    __tablename__ = "audit_batches"
    __table_args__ = (UniqueConstraint("organisation", "last_sequence"),)

    number: int = Field(primary_key=True, sa_type=BigInteger)
    first_sequence: int = Field(sa_type=BigInteger)
    last_sequence: int = Field(sa_type=BigInteger)
    head_hash: bytes
    horizon: int = Field(sa_type=BigInteger)
    horizon_id: str
    sealed_at: datetime = Field(sa_type=UtcTime)


class Place(NamedTuple):
    """Everything up to here is sealed: these transactions, and of this one the events up to this id."""

    xact: int
    id: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The last batch of a chain."""

    number: int
    sequence: int
    hash: bytes
    place: Place
    sealed_at: str


@dataclass(frozen=True, slots=True)
class Sealed:
    count: int
    resume: Place | None
    """Where a sweep goes on; None for a run that is no sweep."""
    done: bool
    """Nothing more can be sealed now."""


EVENT_COLUMNS = (
    f"e.id, {SHOWN_AT.format('e.at')} AS at, e.actor, e.action, e.subject, e.details::text AS details, e.xact"
)
UNSEALED = "NOT EXISTS (SELECT FROM audit_seals s WHERE s.organisation = e.organisation AND s.event_id = e.id)"
# Not as a join: before the statistics know how long the chain is, a plan would read all of it for every batch. This
# looks up one event after the other, and stops.
_NOT_YET = "(SELECT s.sequence FROM audit_seals s WHERE s.organisation = e.organisation AND s.event_id = e.id) IS NULL"
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('audit:' || :organisation, 0))")
_HORIZON = text("SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint AS below")
_HEAD = text(
    f"""
    SELECT number, last_sequence, head_hash, horizon, horizon_id, {SHOWN_AT.format("sealed_at")} AS sealed_at
    FROM audit_batches WHERE organisation = :organisation ORDER BY number DESC LIMIT 1
    """
)
_TO_SEAL = text(
    f"""
    SELECT {EVENT_COLUMNS} FROM audit_events e
    WHERE e.organisation = :organisation AND e.xact >= :xact AND e.xact < :below
        AND (e.xact, e.id COLLATE "C") > (:xact, :id) AND {_NOT_YET}
    ORDER BY e.xact, e.id COLLATE "C" LIMIT :most
    """
)
_TO_SWEEP = text(
    f"""
    SELECT {EVENT_COLUMNS} FROM audit_events e
    WHERE e.organisation = :organisation AND e.xact >= :xact
        AND (e.xact < :below OR e.xact >= (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint)
        AND (e.xact, e.id COLLATE "C") > (:xact, :id) AND {_NOT_YET}
    ORDER BY e.xact, e.id COLLATE "C" LIMIT :most
    """
)
_PUT = text(
    """
    WITH seals AS (
        INSERT INTO audit_seals (organisation, sequence, event_id, hash, ledger)
        SELECT :organisation, CAST(:first AS bigint) + u.place - 1, u.event_id, u.hash, u.ledger
        FROM unnest(CAST(:ids AS varchar[]), CAST(:hashes AS bytea[]), CAST(:ledger AS text[]))
            WITH ORDINALITY AS u (event_id, hash, ledger, place)
    )
    INSERT INTO audit_batches (organisation, number, first_sequence, last_sequence, head_hash, horizon, horizon_id,
                               sealed_at)
    VALUES (:organisation, :number, :first, :last, :head, :horizon, :horizon_id, :at)
    """
)


class SealRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def head(self) -> Head | None:
        """The last batch, or None while nothing is sealed."""
        row = await self._session.first(_HEAD)
        if row is None:
            return None
        place = Place(row.horizon, row.horizon_id)
        return Head(row.number, row.last_sequence, row.head_hash, place, row.sealed_at)

    async def seal(self, at: datetime, *, most: int, sweep: Place | None = None) -> Sealed:
        """Give the next events, `most` at most, their place and hash, as one batch in the caller's transaction.

        Of several runs at once one seals and the others go on where it ended. A sweep looks at everything from `sweep`
        on, also at what the horizon passed by: after a restore into a server whose transaction numbers began anew. That
        case is noticed and swept without being asked.
        """
        await self._session.first(_LOCK)
        head = await self.head()
        horizon = await self._session.first(_HORIZON)
        assert horizon is not None
        below = int(horizon.below)
        if sweep is None and head and below < head.place.xact:
            sweep = Place(0)
        start = sweep or (head.place if head else Place(0))
        query = _TO_SEAL if sweep is None else _TO_SWEEP
        rows = await self._session.all(query, xact=start.xact, id=start.id, below=below, most=most)
        done = len(rows) < most
        reached = Place(below) if done else Place(rows[-1].xact, rows[-1].id)
        if rows:
            before = head.place if head else Place(0)
            events = await self._with_ledger([record(row) for row in rows])
            await self._put(head, events, before if sweep and not done else reached, at)
        return Sealed(len(rows), None if sweep is None else reached, done)

    async def _with_ledger(self, events: list[AuditRecord]) -> list[AuditRecord]:
        said = await said_of(self._session, events)
        return [event._replace(ledger=words) for event, words in zip(events, said, strict=True)]

    async def _put(self, head: Head | None, events: list[AuditRecord], place: Place, at: datetime) -> None:
        organisation = self._session.organisation
        first = head.sequence + 1 if head else 1
        previous, hashes = head.hash if head else genesis(organisation), list[bytes]()
        for sequence, event in enumerate(events, first):
            previous = chained(previous, organisation, sequence, event)
            hashes.append(previous)
        await self._session.run(
            _PUT,
            number=head.number + 1 if head else 1,
            first=first,
            last=first + len(events) - 1,
            head=previous,
            horizon=place.xact,
            horizon_id=place.id,
            ids=[event.id for event in events],
            hashes=hashes,
            ledger=[event.ledger for event in events],
            at=at,
        )


def record(row: Record) -> AuditRecord:
    """An event from a row that has `EVENT_COLUMNS`."""
    return AuditRecord(row.id, row.at, row.actor, row.action, row.subject, row.details, row.xact)
