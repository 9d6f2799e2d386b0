"""Erasures: who asked that a customer be forgotten, and since when that is so. Whom it was about is not here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from domain.erasure import Tombstone
from domain.errors import NotFound
from domain.values import CustomerId
from schema.base import OrganisationRow, UtcTime
from schema.legal_holds import LegalHoldRepository
from schema.session import Record, Session


class ErasureRow(OrganisationRow, table=True):
    __tablename__ = "erasures"
    __table_args__ = (
        UniqueConstraint("organisation", "request_id"),
        Index("erasures_unfinished", "requested_at", postgresql_where=text("finished_at IS NULL")),
        CheckConstraint("erased_at IS NULL OR customer_id IS NULL", name="erased"),
        CheckConstraint("finished_at IS NULL OR erased_at IS NOT NULL", name="finished"),
    )

    id: str = Field(primary_key=True)
    request_id: str
    subject: str
    customer_id: str | None
    requested_by: str
    requested_at: datetime = Field(sa_type=UtcTime)
    erased_at: datetime | None = Field(sa_type=UtcTime)
    finished_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Written:
    id: CustomerId
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Erasure:
    id: str
    subject: str
    """A keyed hash of whom it was about: tells whether they are there again, and nothing to who lacks the key."""
    requested_by: str
    requested_at: datetime
    erased_at: datetime | None
    """Since when nothing of them can be read."""
    finished_at: datetime | None
    """Since when nothing that was under way at that moment can have written any of it again."""

    def tombstone(self, organisation: str) -> Tombstone:
        return Tombstone(
            id=self.id, organisation=organisation, subject=self.subject, by=self.requested_by, at=self.requested_at
        )


_COLUMNS = "id, subject, requested_by, requested_at, erased_at, finished_at"
_REQUEST = text(
    f"""
    INSERT INTO erasures (organisation, id, request_id, subject, customer_id, requested_by, requested_at)
    VALUES (:organisation, :id, :request_id, :subject, :customer_id, :by, :at)
    ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
    """
)
_OF_REQUEST = text(f"SELECT {_COLUMNS} FROM erasures WHERE organisation = :organisation AND request_id = :request_id")
_GET = text(f"SELECT {_COLUMNS} FROM erasures WHERE organisation = :organisation AND id = :id")
_WHO = text("SELECT customer_id FROM erasures WHERE organisation = :organisation AND id = :id")
_ERASE = text("SELECT erase_customer(:id, :at) AS done")
_FINISH = text(
    "UPDATE erasures SET finished_at = coalesce(finished_at, :at) WHERE organisation = :organisation AND id = :id"
)
_STOP_WAITING = text(
    """
    UPDATE interactions SET status = 'failed', finished_at = :at
    WHERE organisation = :organisation AND customer_id = 'erased_' || right(:id, 32)
        AND status = 'waiting_for_customer'
    """
)
_ERASED = text("SELECT id FROM erasures WHERE organisation = :organisation AND erased_at IS NOT NULL")
_CUSTOMERS = text(
    """
    SELECT id, updated_at FROM customers WHERE organisation = :organisation AND updated_at <= :before AND id > :after
    ORDER BY id LIMIT :most
    """
)


class ErasureRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, request: str) -> Erasure | None:
        """What was asked for before, by the keyed hash of its request id."""
        row = await self._session.first(_OF_REQUEST, request_id=request)
        return _erasure(row) if row else None

    async def request(self, stone: Tombstone, customer_id: CustomerId, request: str) -> Erasure:
        """Put it on record; a repeat returns the first one."""
        await self._session.run(
            _REQUEST, id=stone.id, request_id=request, subject=stone.subject, customer_id=customer_id, by=stone.by,
            at=stone.at,
        )  # fmt: skip
        found = await self.find(request)
        assert found is not None
        return found

    async def get(self, erasure_id: str) -> Erasure:
        """The erasure, or `NotFound`."""
        row = await self._session.first(_GET, id=erasure_id)
        if row is None:
            raise NotFound("no such erasure")
        return _erasure(row)

    async def erase(self, erasure_id: str, at: datetime) -> None:
        """Overwrite everything personal of the customer, whatever of it is there now. Again, it overwrites what was
        written meanwhile. Or `NotFound`; or `LegalHold`, and nothing is done."""
        holds = LegalHoldRepository(self._session)
        await holds.shared()
        who = await self.customer(erasure_id)
        if who is not None:
            await holds.need_none(who, at)
            await holds.forget(who)
        row = await self._session.first(_ERASE, id=erasure_id, at=at)
        if row is None or not row.done:
            raise NotFound("no such erasure")
        await self._session.run(_STOP_WAITING, id=erasure_id, at=at)

    async def customer(self, erasure_id: str) -> CustomerId | None:
        """Whom it is about; None once that is done."""
        row = await self._session.first(_WHO, id=erasure_id)
        return CustomerId(row.customer_id) if row and row.customer_id else None

    async def finish(self, erasure_id: str, at: datetime) -> None:
        await self._session.run(_FINISH, id=erasure_id, at=at)

    async def erased(self) -> set[str]:
        """The ids of all that were carried out."""
        return {row.id for row in await self._session.all(_ERASED)}

    async def put_back(self, stone: Tombstone, customer_id: CustomerId) -> None:
        """On record as it was before the database was set back, about this customer."""
        await self._session.run(
            _REQUEST,
            id=stone.id,
            request_id=stone.id,
            subject=stone.subject,
            customer_id=customer_id,
            by=stone.by,
            at=stone.at,
        )

    async def customers(self, *, before: datetime, after: str = "", most: int = 1000) -> Sequence[Written]:
        """Customers nobody wrote since `before`, in order: those an older erasure may have been about."""
        rows = await self._session.all(_CUSTOMERS, before=before, after=after, most=most)
        return [Written(CustomerId(row.id), row.updated_at) for row in rows]


def _erasure(row: Record) -> Erasure:
    return Erasure(row.id, row.subject, row.requested_by, row.requested_at, row.erased_at, row.finished_at)
