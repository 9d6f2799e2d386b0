"""Legal holds: whose data nothing may end, neither time nor a wish to be forgotten, until somebody releases it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from domain.retention import HoldNotFound, LegalHold
from domain.values import CustomerId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session


class LegalHoldRow(OrganisationRow, table=True):
    __tablename__ = "legal_holds"
    __table_args__ = (
        CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="check"),
        Index("legal_holds_newest", "organisation", "placed_at", "id"),
        Index("legal_holds_unreleased", "organisation", "customer_id", postgresql_where=text("released_at IS NULL")),
    )

    id: str = Field(primary_key=True)
    customer_id: str | None
    reason: str
    placed_by: str
    placed_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(sa_type=UtcTime)
    released_by: str | None
    released_at: datetime | None = Field(sa_type=UtcTime)
    release_note: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    id: str
    customer_id: CustomerId | None
    """None: everybody of the organisation."""
    reason: str
    placed_by: str
    placed_at: datetime
    expires_at: datetime | None
    """Over then by itself. None: somebody has to release it."""
    released_by: str | None = None
    released_at: datetime | None = None
    release_note: str | None = None

    def holds(self, now: datetime) -> bool:
        return self.released_at is None and (self.expires_at is None or self.expires_at > now)


_COLUMNS = ", ".join(Hold.__dataclass_fields__)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('ends:' || :organisation, 0))")
_LOCK_SHARED = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('ends:' || :organisation, 0))")
_PLACE = text(
    """
    INSERT INTO legal_holds (organisation, id, customer_id, reason, placed_by, placed_at, expires_at)
    VALUES (:organisation, :id, :customer_id, :reason, :by, :at, :expires_at)
    """
)
_GET = text(f"SELECT {_COLUMNS} FROM legal_holds WHERE organisation = :organisation AND id = :id")
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM legal_holds WHERE organisation = :organisation AND (placed_at, id) < (:at, :id)
    ORDER BY placed_at DESC, id DESC LIMIT :limit
    """
)
_RELEASE = text(
    """
    UPDATE legal_holds SET released_by = :by, released_at = :at, release_note = :note
    WHERE organisation = :organisation AND id = :id AND released_at IS NULL
    """
)
_FORGET = text(
    """
    UPDATE legal_holds SET customer_id = 'erased', reason = 'erased',
        release_note = CASE WHEN release_note IS NULL THEN NULL ELSE 'erased' END
    WHERE organisation = :organisation AND customer_id = :customer_id
    """
)
NOW = "l.released_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > CAST(:at AS timestamptz))"
_HOLDING = text(
    f"""
    SELECT l.id FROM legal_holds l
    WHERE l.organisation = :organisation AND {NOW} AND (l.customer_id IS NULL OR l.customer_id = :customer_id)
    ORDER BY l.placed_at, l.id LIMIT 1
    """
)


def held(customer: str) -> str:
    """Of a row whose customer is `customer`: something holds it at `:at`. What is nobody's, only everybody's hold."""
    return (
        f"EXISTS (SELECT FROM legal_holds l WHERE l.organisation = :organisation AND {NOW}"
        f" AND (l.customer_id IS NULL OR l.customer_id = {customer}))"
    )


class LegalHoldRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def place(
        self, customer_id: CustomerId | None, reason: str, *, by: str, at: datetime, expires_at: datetime | None
    ) -> Hold:
        """When this transaction is over nothing that it holds ends any more: whoever was ending something has ended.
        Look for the customer after this; whoever was being erased is gone then."""
        await self._session.first(_LOCK)
        hold_id = new_id("hld")
        await self._session.run(
            _PLACE, id=hold_id, customer_id=customer_id, reason=reason, by=by, at=at, expires_at=expires_at
        )
        return await self.get(hold_id)

    async def get(self, hold_id: str) -> Hold:
        """The hold, or `HoldNotFound`."""
        row = await self._session.first(_GET, id=hold_id)
        if row is None:
            raise HoldNotFound("no such hold")
        return _hold(row)

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Hold]:
        """Every one, newest first, those that are over too."""
        at, hold_id = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(_LIST, at=at, id=hold_id, limit=checked_limit(limit))
        return page(rows, limit, _hold, lambda row: Position(row.placed_at, row.id))

    async def release(self, hold_id: str, note: str, *, by: str, at: datetime) -> bool:
        """False if it was released before."""
        return await self._session.run(_RELEASE, id=hold_id, note=note, by=by, at=at) == 1

    async def need_none(self, customer_id: CustomerId, at: datetime) -> None:
        """Raises `LegalHold` if this customer is held. What is done in this transaction after it is not overtaken by a
        hold that is placed meanwhile."""
        await self.shared()
        row = await self._session.first(_HOLDING, customer_id=customer_id, at=at)
        if row is not None:
            raise LegalHold("a legal hold keeps this customer's data", hold=row.id)

    async def shared(self) -> None:
        """Until the transaction is over nobody places a hold, and nothing ends by time."""
        await self._session.first(_LOCK_SHARED)

    async def alone(self) -> None:
        """As `shared`, and nobody is erased meanwhile."""
        await self._session.first(_LOCK)

    async def forget(self, customer_id: CustomerId) -> None:
        """Whom holds that are over were about."""
        await self._session.run(_FORGET, customer_id=customer_id)


def _hold(row: Record) -> Hold:
    return Hold(**row._asdict())
