"""What operators are told: in the product, and in the chat rooms that subscribed. Ids and codes, nothing personal."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.consent import MessageClass
from domain.delivery import CHAT_WEBHOOK
from domain.errors import NotFound
from domain.values import DeliveryId, Json
from domain.webhook import EndpointKind, NewNotification, chat_body
from schema.base import OrganisationRow, UtcTime, json_values, new_id
from schema.deliveries import DeliveryRepository, NewDelivery
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session
from schema.webhooks import Endpoint, WebhookRepository


class NotificationRow(OrganisationRow, table=True):
    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("organisation", "subject", "kind", "key"),
        Index("notifications_newest", "organisation", "at", "id"),
    )

    id: str = Field(primary_key=True)
    kind: str
    subject: str
    key: str
    details: Json = Field(sa_type=JSONB)
    at: datetime = Field(sa_type=UtcTime)


class NotificationReadRow(OrganisationRow, table=True):
    __tablename__ = "notification_reads"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "notification_id"], ["notifications.organisation", "notifications.id"]),
    )

    notification_id: str = Field(primary_key=True)
    reader: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Notification:
    id: str
    kind: str
    subject: str
    details: Json
    at: datetime
    read_at: datetime | None
    """When the one who asks had read it."""


_NOTIFY = text(
    """
    INSERT INTO notifications (organisation, id, kind, subject, key, details, at)
    VALUES (:organisation, :id, :kind, :subject, :key, :details, :at)
    ON CONFLICT (organisation, subject, kind, key) DO NOTHING
    """
).bindparams(*json_values("details"))
_FIRST = text(
    """
    SELECT d.id FROM notifications n
    JOIN webhook_endpoints e ON e.organisation = n.organisation AND e.kind = 'chat'
    JOIN deliveries d ON d.organisation = e.organisation AND d.endpoint_id = e.id AND d.source_id = n.id
    WHERE n.organisation = :organisation AND n.subject = :subject AND n.kind = :kind AND n.key = :key ORDER BY d.id
    """
)
_SHOWN = """
    SELECT n.id, n.kind, n.subject, n.details, n.at, r.at AS read_at FROM notifications n
    LEFT JOIN notification_reads r
        ON r.organisation = n.organisation AND r.notification_id = n.id AND r.reader = :reader
    WHERE n.organisation = :organisation
"""
_GET = text(f"{_SHOWN} AND n.id = :id")
_LIST = text(
    f"""{_SHOWN} AND (n.at, n.id) < (:before_at, :before_id) AND (NOT :unread OR r.at IS NULL)
    ORDER BY n.at DESC, n.id DESC LIMIT :limit"""
)
_READ = text(
    """
    INSERT INTO notification_reads (organisation, notification_id, reader, at)
    SELECT organisation, id, :reader, :at FROM notifications WHERE organisation = :organisation AND id = :id
    ON CONFLICT DO NOTHING
    """
)


class NotificationRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def notify(self, new: NewNotification) -> tuple[DeliveryId, ...]:
        """Tell operators, in the caller's transaction. Returns the deliveries to chat rooms, for the caller to start
        their workflows. Told again, kind, subject and key alike, it is the first one."""
        notification_id = new_id("ntf")
        named = {"kind": new.kind, "subject": new.subject, "key": new.key}
        if not await self._session.run(_NOTIFY, id=notification_id, details=dict(new.details), at=new.at, **named):
            return tuple(DeliveryId(row.id) for row in await self._session.all(_FIRST, **named))
        rooms = await WebhookRepository(self._session).subscribed(EndpointKind.CHAT, new.kind)
        return tuple([await self._say(new, notification_id, room) for room in rooms])

    async def say_to(self, new: NewNotification, room: Endpoint) -> DeliveryId:
        """Only to one chat room, and not in the product: a ping."""
        return await self._say(new, new_id("ntf"), room)

    async def list(
        self, reader: str, *, unread: bool = False, limit: int = 50, cursor: str | None = None
    ) -> Page[Notification]:
        """Newest first, with what this reader has read."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(
            _LIST, reader=reader, unread=unread, before_at=before.at, before_id=before.id, limit=checked_limit(limit)
        )
        return page(rows, limit, _notification, lambda row: Position(row.at, row.id))

    async def mark_read(self, notification_id: str, reader: str, at: datetime) -> Notification:
        """This reader has seen it; again changes nothing. `NotFound`."""
        await self._session.run(_READ, id=notification_id, reader=reader, at=at)
        row = await self._session.first(_GET, id=notification_id, reader=reader)
        if row is None:
            raise NotFound("no such notification")
        return _notification(row)

    async def _say(self, new: NewNotification, notification_id: str, room: Endpoint) -> DeliveryId:
        delivery = NewDelivery(
            interaction_id=None,
            customer_id=None,
            purpose=new.kind,
            channel=CHAT_WEBHOOK,
            body=chat_body(new),
            at=new.at,
            message_class=MessageClass.OPERATIONAL,
            endpoint_id=room.id,
            source_id=notification_id,
            sent_by_workflow=True,
        )
        return await DeliveryRepository(self._session).add(delivery)


def _notification(row: Record) -> Notification:
    return Notification(row.id, row.kind, row.subject, row.details, row.at, row.read_at)
