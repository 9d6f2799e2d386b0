"""Addresses of customers, and whether a customer proved to read one. Of an address only a keyed hash is kept."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from domain.errors import Conflict, CustomerNotFound
from domain.step_up import ChannelNotFound
from domain.values import CustomerId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class CustomerChannelRow(OrganisationRow, table=True):
    __tablename__ = "customer_channels"
    __table_args__ = (
        UniqueConstraint("organisation", "customer_id", "kind", "address_hash", name="customer_channels_address_key"),
        ForeignKeyConstraint(
            ["organisation", "customer_id"], ["customers.organisation", "customers.id"], ondelete="CASCADE"
        ),
        Index(
            "customer_channels_verified",
            "organisation",
            "kind",
            "address_hash",
            unique=True,
            postgresql_where=text("verified_at IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    kind: str
    address_hash: str
    created_by: str
    created_at: datetime = Field(sa_type=UtcTime)
    verified_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Channel:
    id: str
    customer_id: CustomerId
    kind: str
    address_hash: str
    created_by: str
    created_at: datetime
    verified_at: datetime | None


_COLUMNS = ", ".join(Channel.__dataclass_fields__)
_MINE = "organisation = :organisation AND customer_id = :customer_id"
_ADD = text(
    """
    INSERT INTO customer_channels (organisation, id, customer_id, kind, address_hash, created_by, created_at)
    SELECT organisation, :id, id, :kind, :address_hash, :by, :at FROM customers
    WHERE organisation = :organisation AND id = :customer_id
    ON CONFLICT (organisation, customer_id, kind, address_hash) DO NOTHING
    """
)
_SAME = text(
    f"SELECT {_COLUMNS} FROM customer_channels WHERE {_MINE} AND kind = :kind AND address_hash = :address_hash"
)
_KNOWN = text("SELECT 1 FROM customers WHERE organisation = :organisation AND id = :customer_id")
_LIST = text(f"SELECT {_COLUMNS} FROM customer_channels WHERE {_MINE} ORDER BY created_at, id")
_GET = text(f"SELECT {_COLUMNS} FROM customer_channels WHERE {_MINE} AND id = :id")
_REMOVE = text(f"DELETE FROM customer_channels WHERE {_MINE} AND id = :id")
# One verifies at a time, so that the loser of a race reads the winner's row and not a broken index.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:organisation || :address_hash, 20))")
_TAKEN = text(
    """
    SELECT 1 FROM customer_channels WHERE organisation = :organisation AND kind = :kind
        AND address_hash = :address_hash AND verified_at IS NOT NULL AND id <> :id
    """
)
_VERIFY = text(
    """
    UPDATE customer_channels SET verified_at = :at
    WHERE organisation = :organisation AND id = :id AND verified_at IS NULL
    """
)


class ChannelRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, customer_id: CustomerId, kind: str, address_hash: str, by: str, at: datetime) -> Channel:
        """The channel, not verified; as it stands if it was added before. Raises `CustomerNotFound`."""
        same = {"customer_id": customer_id, "kind": kind, "address_hash": address_hash}
        await self._session.run(_ADD, id=new_id("chn"), by=by, at=at, **same)
        row = await self._session.first(_SAME, **same)
        if row is None:
            raise CustomerNotFound("no such customer")
        return _channel(row)

    async def list(self, customer_id: CustomerId) -> tuple[Channel, ...]:
        """Oldest first. Raises `CustomerNotFound`."""
        rows = await self._session.all(_LIST, customer_id=customer_id)
        if not rows and await self._session.first(_KNOWN, customer_id=customer_id) is None:
            raise CustomerNotFound("no such customer")
        return tuple(_channel(row) for row in rows)

    async def get(self, customer_id: CustomerId, channel_id: str) -> Channel:
        """Raises `ChannelNotFound`, also for a customer who does not exist."""
        row = await self._session.first(_GET, customer_id=customer_id, id=channel_id)
        if row is None:
            raise ChannelNotFound("this customer has no such channel")
        return _channel(row)

    async def verify(self, channel: Channel, at: datetime) -> None:
        """The customer proved to read it. Again: nothing more. Raises `Conflict` if it is another customer's."""
        whose = {"kind": channel.kind, "address_hash": channel.address_hash}
        await self._session.first(_LOCK, address_hash=channel.address_hash)
        if await self._session.first(_TAKEN, id=channel.id, **whose):
            raise Conflict("this address is verified for another customer; remove it there first")
        await self._session.run(_VERIFY, id=channel.id, at=at)

    async def remove(self, customer_id: CustomerId, channel_id: str) -> None:
        """It counts for nothing from now on, and codes that were sent to it are over. Raises `ChannelNotFound`."""
        if not await self._session.run(_REMOVE, customer_id=customer_id, id=channel_id):
            raise ChannelNotFound("this customer has no such channel")


def _channel(row: Record) -> Channel:
    return Channel(**row._asdict())
