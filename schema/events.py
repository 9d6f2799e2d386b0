"""What happened, for other systems to hear: recorded in the transaction in which it happened, one delivery for each
endpoint that wants to know."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field

from domain.consent import MessageClass
from domain.delivery import WEBHOOK
from domain.values import DeliveryId
from domain.webhook import DomainEvent, EndpointKind, EventType, event_body
from schema.base import OrganisationRow, UtcTime, new_id
from schema.deliveries import DeliveryRepository, NewDelivery
from schema.session import Session
from schema.webhooks import Endpoint, WebhookRepository


class WebhookEventRow(OrganisationRow, table=True):
    __tablename__ = "webhook_events"
    __table_args__ = (
        UniqueConstraint("organisation", "subject", "type", "key"),
        UniqueConstraint("organisation", "subject", "sequence"),
        Index("webhook_events_newest", "organisation", "at", "id"),
    )

    id: str = Field(primary_key=True)
    type: str
    subject: str
    key: str
    sequence: int
    body: str
    at: datetime = Field(sa_type=UtcTime)


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:organisation || ':event:' || :subject, 0))")
_NEXT = text(
    """
    SELECT coalesce(max(sequence), 0) + 1 AS sequence,
           max(id) FILTER (WHERE type = :type AND key = :key) AS recorded
    FROM webhook_events WHERE organisation = :organisation AND subject = :subject
    """
)
_RECORD = text(
    """
    INSERT INTO webhook_events (organisation, id, type, subject, key, sequence, body, at)
    VALUES (:organisation, :id, :type, :subject, :key, :sequence, :body, :at)
    """
)
_ITS_DELIVERIES = text(
    """
    SELECT id FROM deliveries WHERE organisation = :organisation AND source_id = :source_id AND channel = 'webhook'
        AND endpoint_id IN (SELECT id FROM webhook_endpoints WHERE organisation = :organisation)
    ORDER BY id
    """
)

_UNTOLD = text(
    """
    SELECT d.id FROM webhook_events e
    JOIN deliveries d ON d.organisation = e.organisation AND d.source_id = e.id AND d.channel = 'webhook'
        AND d.endpoint_id IN (SELECT id FROM webhook_endpoints WHERE organisation = :organisation)
    WHERE e.organisation = :organisation AND e.subject = :subject AND e.type = :type AND d.told_at IS NULL
    ORDER BY d.id
    """
)


class EventRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def record(self, event: DomainEvent) -> tuple[DeliveryId, ...]:
        """Put the event on record with one delivery per subscribed endpoint, in the caller's transaction: the change
        and the word of it stand or fall together. Returns the deliveries, for the caller to start their workflows.

        Recorded again, type, subject and key alike, it is the first one, and so are the deliveries returned. The
        number in `sequence` counts the events of one subject without gaps.
        """
        endpoints = await WebhookRepository(self._session).subscribed(EndpointKind.WEBHOOK, event.type)
        return await self._record(event, endpoints)

    async def record_for(self, event: DomainEvent, endpoint: Endpoint) -> tuple[DeliveryId, ...]:
        """The same for one endpoint, whatever it subscribed to: a ping."""
        return await self._record(event, (endpoint,))

    async def untold(self, subject: str, kind: EventType) -> tuple[DeliveryId, ...]:
        """The deliveries of events of this type about this subject whose workflow nobody started yet."""
        rows = await self._session.all(_UNTOLD, subject=subject, type=kind)
        return tuple(DeliveryId(row.id) for row in rows)

    async def _record(self, event: DomainEvent, endpoints: tuple[Endpoint, ...]) -> tuple[DeliveryId, ...]:
        await self._session.first(_LOCK, subject=event.subject)
        row = await self._session.first(_NEXT, subject=event.subject, type=event.type, key=event.key)
        assert row is not None
        if row.recorded is not None:
            rows = await self._session.all(_ITS_DELIVERIES, source_id=row.recorded)
            return tuple(DeliveryId(found.id) for found in rows)
        event_id, body = new_id("evt"), event_body(event, row.sequence)
        await self._session.run(
            _RECORD, id=event_id, type=event.type, subject=event.subject, key=event.key, sequence=row.sequence,
            body=body, at=event.at,
        )  # fmt: skip
        deliveries = DeliveryRepository(self._session)
        return tuple([await deliveries.add(_delivery(event, e.id, event_id, body)) for e in endpoints])


def _delivery(event: DomainEvent, endpoint_id: str, event_id: str, body: str) -> NewDelivery:
    return NewDelivery(
        interaction_id=None,
        customer_id=None,
        purpose=event.type,
        channel=WEBHOOK,
        body=body,
        at=event.at,
        message_class=MessageClass.OPERATIONAL,
        endpoint_id=endpoint_id,
        source_id=event_id,
        sent_by_workflow=True,
    )
