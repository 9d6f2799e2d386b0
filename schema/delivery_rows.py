"""The tables of deliveries and how one reads; `schema.deliveries` has the queries."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.consent import MessageClass
from domain.delivery import DeliveryStatus
from domain.values import CustomerId, DeliveryId, EffectId, InteractionId, Json
from schema.base import OrganisationRow, UtcTime
from schema.customer_keys import keys_of
from schema.sealed import opened
from schema.session import Record, Session


class DeliveryRow(OrganisationRow, table=True):
    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("organisation", "interaction_id", "purpose", "channel"),
        UniqueConstraint("organisation", "endpoint_id", "source_id"),
        ForeignKeyConstraint(["organisation", "interaction_id"], ["interactions.organisation", "interactions.id"]),
        ForeignKeyConstraint(["organisation", "effect_id"], ["effects.organisation", "effects.id"]),
        ForeignKeyConstraint(
            ["organisation", "endpoint_id"], ["webhook_endpoints.organisation", "webhook_endpoints.id"]
        ),
        Index("deliveries_by_effect", "organisation", "effect_id", postgresql_where=text("effect_id IS NOT NULL")),
        Index("deliveries_newest", "organisation", "created_at", "id"),
        Index(
            "deliveries_by_status", "organisation", "status", "created_at", "id",
            postgresql_where=text("status <> 'delivered'"),
        ),
        Index("deliveries_by_customer", "organisation", "customer_id", "created_at", "id"),
        Index(
            "deliveries_by_message_id", "organisation", "message_id", postgresql_where=text("message_id IS NOT NULL")
        ),
        Index("deliveries_unemptied", "organisation", "created_at", postgresql_where=text("emptied_at IS NULL")),
        Index("deliveries_untold", "created_at", postgresql_where=text("told_at IS NULL")),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    interaction_id: str | None
    customer_id: str | None
    purpose: str
    channel: str
    effect_id: str | None
    body: str
    status: str
    created_at: datetime = Field(sa_type=UtcTime)
    delivered_at: datetime | None = Field(sa_type=UtcTime)
    message_class: str
    endpoint_id: str | None
    source_id: str | None
    attempts: int
    attempts_before: int
    round: int
    version: int
    next_attempt_at: datetime | None = Field(sa_type=UtcTime)
    reason: str | None
    owner: str | None
    message_id: str | None
    told_at: datetime | None = Field(sa_type=UtcTime)
    tell_at: datetime | None = Field(sa_type=UtcTime)
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None = Field(sa_type=UtcTime)
    decision_digest: str | None
    emptied_at: datetime | None = Field(sa_type=UtcTime)


class DeliveryEventRow(OrganisationRow, table=True):
    __tablename__ = "delivery_events"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "delivery_id"], ["deliveries.organisation", "deliveries.id"]),
        Index("delivery_events_by_delivery", "organisation", "delivery_id", "at"),
        Index("delivery_events_by_time", "organisation", "at"),
    )

    id: str = Field(primary_key=True)
    delivery_id: str
    status: str
    code: str | None
    at: datetime = Field(sa_type=UtcTime)
    attempt: int | None
    response_status: int | None
    took_ms: int | None
    actor: str | None
    details: Json | None = Field(sa_type=JSONB)


class DeliveryVersionRow(OrganisationRow, table=True):
    """What a person corrected before sending it again. Version 1 is the delivery's own body."""

    __tablename__ = "delivery_versions"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "delivery_id"], ["deliveries.organisation", "deliveries.id"]),
    )

    delivery_id: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    body: str
    recipient: str | None
    actor: str
    at: datetime = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One message per interaction, purpose and channel, or per endpoint and source: adding it again changes nothing."""

    interaction_id: InteractionId | None
    customer_id: CustomerId | None
    purpose: str
    """`answer`, `final_reply`, an event's type: what this message is."""
    channel: str
    body: str
    at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    effect_id: EffectId | None = None
    message_class: MessageClass = MessageClass.TRANSACTIONAL
    endpoint_id: str | None = None
    source_id: str | None = None
    """The event or notification it tells of: the `webhook-id` of every attempt."""
    sent_by_workflow: bool = False
    """A `DeliveryWorkflow` sends it; if nobody starts one, the API does within seconds."""


@dataclass(frozen=True, slots=True)
class Delivery:
    id: DeliveryId
    interaction_id: InteractionId | None
    customer_id: CustomerId | None
    purpose: str
    channel: str
    effect_id: EffectId | None
    body: str
    """As first written. `DeliveryRepository.message` has what is sent now."""
    status: DeliveryStatus
    created_at: datetime
    delivered_at: datetime | None
    message_class: MessageClass
    endpoint_id: str | None
    source_id: str | None
    attempts: int
    attempts_before: int
    """Those of earlier rounds: a redrive begins the schedule anew."""
    round: int
    """How often a person sent it again."""
    version: int
    next_attempt_at: datetime | None
    reason: str | None
    """Of a dead letter: a code."""
    owner: str | None
    """Who looks after it while it is a dead letter."""
    message_id: str | None
    told_at: datetime | None
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    decision_digest: str | None


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """`attempting`, `lost`, `retry`, `held`, `busy`, `late`, `bounced`, `redriven`, or a status."""

    status: str
    code: str | None
    at: datetime
    attempt: int | None
    response_status: int | None
    took_ms: int | None
    actor: str | None
    details: Json | None


COLUMNS = ", ".join(Delivery.__dataclass_fields__)
EVENT_COLUMNS = ", ".join(DeliveryEvent.__dataclass_fields__)


SEALED = {"body": "deliveries.body"}


def keys_in(table: str) -> str:
    """SQL: the column `keys` of a statement that shows `COLUMNS` of this table."""
    return f"{keys_of(f'{table}.organisation', f'{table}.body')} AS keys"


async def read_deliveries(session: Session, rows: Iterable[Record]) -> tuple[Delivery, ...]:
    """What the rows say, with what is sealed in clear."""
    return tuple(map(read_delivery, await opened(session, rows, SEALED)))


async def read_one(session: Session, row: Record | None) -> Delivery | None:
    """The same for a row that may not be there."""
    return None if row is None else (await read_deliveries(session, [row]))[0]


def read_delivery(row: Record) -> Delivery:
    """Of a row that was opened."""
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    values |= {"status": DeliveryStatus(row.status), "message_class": MessageClass(row.message_class)}
    return Delivery(**values)


def read_event(row: Record) -> DeliveryEvent:
    return DeliveryEvent(**{name: getattr(row, name) for name in DeliveryEvent.__dataclass_fields__})
