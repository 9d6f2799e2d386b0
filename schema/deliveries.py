"""Deliveries: every message that goes out, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, Index, TextClause, UniqueConstraint, text
from sqlmodel import Field

from domain.errors import NotFound
from domain.values import CustomerId, DeliveryId, EffectId, InteractionId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session


class DeliveryRow(OrganisationRow, table=True):
    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("organisation", "interaction_id", "purpose", "channel"),
        ForeignKeyConstraint(["organisation", "interaction_id"], ["interactions.organisation", "interactions.id"]),
        ForeignKeyConstraint(["organisation", "effect_id"], ["effects.organisation", "effects.id"]),
        Index("deliveries_by_effect", "organisation", "effect_id", postgresql_where=text("effect_id IS NOT NULL")),
        Index("deliveries_newest", "organisation", "created_at", "id"),
        Index(
            "deliveries_by_status", "organisation", "status", "created_at", "id",
            postgresql_where=text("status <> 'delivered'"),
        ),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    interaction_id: str
    customer_id: str
    purpose: str
    channel: str
    effect_id: str | None
    body: str
    status: str
    created_at: datetime = Field(sa_type=UtcTime)
    delivered_at: datetime | None = Field(sa_type=UtcTime)


class DeliveryEventRow(OrganisationRow, table=True):
    __tablename__ = "delivery_events"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "delivery_id"], ["deliveries.organisation", "deliveries.id"]),
        Index("delivery_events_by_delivery", "organisation", "delivery_id", "at"),
    )

    id: str = Field(primary_key=True)
    delivery_id: str
    status: str
    code: str | None
    at: datetime = Field(sa_type=UtcTime)


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD_LETTER = "dead_letter"
    """Given up for now; a person may redrive or discard it."""
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One message per interaction, purpose and channel: adding it again changes nothing."""

    interaction_id: InteractionId
    customer_id: CustomerId
    purpose: str
    """`answer`, `final_reply`, …: what this message is to the interaction."""
    channel: str
    body: str
    at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    effect_id: EffectId | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    id: DeliveryId
    interaction_id: InteractionId
    customer_id: CustomerId
    purpose: str
    channel: str
    effect_id: EffectId | None
    body: str
    status: DeliveryStatus
    created_at: datetime
    delivered_at: datetime | None


_COLUMNS = "id, interaction_id, customer_id, purpose, channel, effect_id, body, status, created_at, delivered_at"
_ADD = text(
    f"""
    INSERT INTO deliveries (organisation, {_COLUMNS})
    VALUES (:organisation, :id, :interaction_id, :customer_id, :purpose, :channel, :effect_id, :body, :status, :at,
            CASE WHEN CAST(:status AS varchar) = 'delivered' THEN CAST(:at AS timestamptz) END)
    ON CONFLICT (organisation, interaction_id, purpose, channel) DO NOTHING
    """
)
_FIRST = text(
    """
    SELECT id FROM deliveries WHERE organisation = :organisation AND interaction_id = :interaction_id
        AND purpose = :purpose AND channel = :channel
    """
)
_MARK = text(
    """
    WITH marked AS (
        UPDATE deliveries SET
            status = :status,
            delivered_at = CASE WHEN CAST(:status AS varchar) = 'delivered' THEN CAST(:at AS timestamptz) END
        WHERE organisation = :organisation AND id = :id AND status <> :status
            AND status NOT IN ('delivered', 'discarded')
        RETURNING organisation, id
    )
    INSERT INTO delivery_events (organisation, id, delivery_id, status, code, at)
    SELECT organisation, :event_id, id, :status, :code, :at FROM marked
    """
)
_OF_EFFECT = text("SELECT id FROM deliveries WHERE organisation = :organisation AND effect_id = :effect_id")
_GET = text(f"SELECT {_COLUMNS} FROM deliveries WHERE organisation = :organisation AND id = :id")


def _list(where: str) -> TextClause:
    return text(
        f"""
        SELECT {_COLUMNS} FROM deliveries
        WHERE organisation = :organisation AND (created_at, id) < (:before_at, :before_id) {where}
        ORDER BY created_at DESC, id DESC LIMIT :limit
        """
    )


# The status stands in the statement, not beside it: only so can Postgres prove that the partial index applies.
_LISTS: dict[DeliveryStatus, TextClause] = {status: _list(f"AND status = '{status}'") for status in DeliveryStatus}
_LIST = _list("")


class DeliveryRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, new: NewDelivery) -> DeliveryId:
        """Put a message on record; a repeat returns the first one's id and changes nothing."""
        delivery_id = DeliveryId(new_id("dlv"))
        key = {"interaction_id": new.interaction_id, "purpose": new.purpose, "channel": new.channel}
        if await self._session.run(
            _ADD,
            id=delivery_id,
            customer_id=new.customer_id,
            effect_id=new.effect_id,
            body=new.body,
            status=new.status,
            at=new.at,
            **key,
        ):
            return delivery_id
        row = await self._session.first(_FIRST, **key)
        assert row is not None
        return DeliveryId(row.id)

    async def mark(
        self, delivery_id: DeliveryId, status: DeliveryStatus, at: datetime, code: str | None = None
    ) -> bool:
        """Change its status and append the event. False if it stood there already, or had ended for good."""
        return (
            await self._session.run(_MARK, id=delivery_id, event_id=new_id("dev"), status=status, code=code, at=at) == 1
        )

    async def mark_effect(
        self, effect_id: EffectId, status: DeliveryStatus, at: datetime, code: str | None = None
    ) -> bool:
        """The same, for the delivery this effect carries out. False also if there is none."""
        row = await self._session.first(_OF_EFFECT, effect_id=effect_id)
        return row is not None and await self.mark(DeliveryId(row.id), status, at, code)

    async def get(self, delivery_id: DeliveryId) -> Delivery:
        row = await self._session.first(_GET, id=delivery_id)
        if row is None:
            raise NotFound("no such delivery")
        return _delivery(row)

    async def list(
        self, status: DeliveryStatus | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Delivery]:
        """Newest first."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(
            _LISTS[status] if status else _LIST, before_at=before.at, before_id=before.id, limit=checked_limit(limit)
        )
        return page(rows, limit, _delivery, lambda row: Position(row.created_at, row.id))


def _delivery(row: Record) -> Delivery:
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**{**values, "status": DeliveryStatus(values["status"])})
