"""Deliveries: every message that goes out, and what became of it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.delivery import DeliveryStatus
from domain.errors import NotFound
from domain.values import DeliveryId, EffectId
from schema.base import new_id
from schema.customer_keys import keys_of
from schema.delivery_changes import THIS, change, event
from schema.delivery_list import DeliveryFilters, list_deliveries
from schema.delivery_rows import (
    COLUMNS,
    EVENT_COLUMNS,
    SEALED,
    Delivery,
    DeliveryEvent,
    DeliveryEventRow,
    DeliveryRow,
    DeliveryVersionRow,
    NewDelivery,
    keys_in,
    read_deliveries,
    read_event,
    read_one,
)
from schema.page import Page
from schema.sealed import opened_one, sealed
from schema.session import Session

__all__ = [
    "Delivery",
    "DeliveryEvent",
    "DeliveryEventRow",
    "DeliveryFilters",
    "DeliveryRepository",
    "DeliveryRow",
    "DeliveryStatus",
    "DeliveryVersionRow",
    "NewDelivery",
]

_ADD = text(
    """
    INSERT INTO deliveries (organisation, id, interaction_id, customer_id, purpose, channel, effect_id, body, status,
                            created_at, delivered_at, message_class, endpoint_id, source_id, attempts, attempts_before,
                            round, version, told_at)
    VALUES (:organisation, :id, :interaction_id, :customer_id, :purpose, :channel, :effect_id, :body, :status, :at,
            CASE WHEN CAST(:status AS varchar) = 'delivered' THEN CAST(:at AS timestamptz) END, :message_class,
            :endpoint_id, :source_id, 0, 0, 0, 1, CASE WHEN NOT :untold THEN CAST(:at AS timestamptz) END)
    ON CONFLICT DO NOTHING
    """
)
_FIRST = text(
    """
    SELECT id FROM deliveries WHERE organisation = :organisation AND (
        (interaction_id = :interaction_id AND purpose = :purpose AND channel = :channel)
        OR (endpoint_id = :endpoint_id AND source_id = :source_id))
    """
)
_OF_EFFECT = text("SELECT id FROM deliveries WHERE organisation = :organisation AND effect_id = :effect_id")
_SHOWN = f"SELECT {COLUMNS}, {keys_in('deliveries')} FROM deliveries"
_GET = text(f"{_SHOWN} WHERE {THIS}")
_LOCK = text(f"{_SHOWN} WHERE {THIS} FOR UPDATE")
_LOCK_MAIL = text(
    f"""
    {_SHOWN} WHERE organisation = :organisation AND message_id = :message_id
    ORDER BY created_at DESC, id DESC LIMIT 1 FOR UPDATE
    """
)
_REPORTED = text(
    """
    SELECT id FROM delivery_events WHERE organisation = :organisation AND delivery_id = :id AND status = 'bounced'
        AND details ->> 'report' = :report LIMIT 1
    """
)
_TOLD = text(f"UPDATE deliveries SET told_at = :at WHERE {THIS} AND told_at IS NULL")
_TELL_LATER = text(f"UPDATE deliveries SET tell_at = :at WHERE {THIS}")
_EVENTS = text(
    f"""
    SELECT {EVENT_COLUMNS} FROM delivery_events
    WHERE organisation = :organisation AND delivery_id = :id ORDER BY at, id
    """
)
_MESSAGE = text(
    f"""
    SELECT d.id, d.body, v.body AS corrected, v.recipient,
        {keys_of("d.organisation", "d.body", "v.body", "v.recipient")} AS keys
    FROM deliveries d LEFT JOIN delivery_versions v
        ON v.organisation = d.organisation AND v.delivery_id = d.id AND v.version = d.version
    WHERE d.organisation = :organisation AND d.id = :id
    """
)
_THREAD = text(
    """
    SELECT d.message_id FROM deliveries d
    JOIN interactions i ON i.organisation = d.organisation AND i.id = d.interaction_id
    WHERE d.organisation = :organisation AND d.customer_id = :customer_id AND (d.created_at, d.id) < (:at, :id)
        AND d.message_id IS NOT NULL AND i.conversation_id = (
            SELECT conversation_id FROM interactions WHERE organisation = :organisation AND id = :interaction_id)
    ORDER BY d.created_at DESC, d.id DESC LIMIT 20
    """
)
_MARK = change(
    """status = :status, reason = CASE WHEN CAST(:status AS varchar) = 'dead_letter' THEN :code END,
       delivered_at = CASE WHEN CAST(:status AS varchar) = 'delivered' THEN CAST(:at AS timestamptz) END""",
    "status <> :status AND status NOT IN ('delivered', 'discarded')",
)
_BOUNCED = change(
    "status = 'dead_letter', reason = 'bounced', owner = :owner, delivered_at = NULL, told_at = NULL, tell_at = NULL",
    "status = 'delivered'",
    "organisation = :organisation AND message_id = :message_id",
)


CORRECTED = {"corrected": "delivery_versions.body", "recipient": "delivery_versions.recipient"}


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent now: as written, or as a person corrected it."""

    body: str
    recipient: str | None
    """None: the customer's own address."""


class DeliveryRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, new: NewDelivery) -> DeliveryId:
        """Put a message on record; a repeat returns the first one's id and changes nothing."""
        delivery_id = DeliveryId(new_id("dlv"))
        key = {"interaction_id": new.interaction_id, "purpose": new.purpose, "channel": new.channel}
        key |= {"endpoint_id": new.endpoint_id, "source_id": new.source_id}
        untold = new.sent_by_workflow and new.status is DeliveryStatus.PENDING
        # What another system is told holds no words of a customer's, and is read where their keys are not.
        whose = new.customer_id if new.endpoint_id is None else None
        (body,) = await sealed(self._session, whose, delivery_id, {SEALED["body"]: new.body})
        if await self._session.run(
            _ADD, id=delivery_id, customer_id=new.customer_id, effect_id=new.effect_id, body=body,
            status=new.status, at=new.at, message_class=new.message_class, untold=untold, **key,
        ):  # fmt: skip
            return delivery_id
        row = await self._session.first(_FIRST, **key)
        assert row is not None
        return DeliveryId(row.id)

    async def mark(
        self, delivery_id: DeliveryId, status: DeliveryStatus, at: datetime, code: str | None = None
    ) -> bool:
        """Change its status and append the event. False if it stood there already, or had ended for good."""
        changed = await self._session.first(_MARK, id=delivery_id, status=status, **event(status, at, code=code))
        return changed is not None

    async def mark_effect(
        self, effect_id: EffectId, status: DeliveryStatus, at: datetime, code: str | None = None
    ) -> bool:
        """The same, for the delivery this effect carries out. False also if there is none."""
        row = await self._session.first(_OF_EFFECT, effect_id=effect_id)
        return row is not None and await self.mark(DeliveryId(row.id), status, at, code)

    async def of_mail(self, message_id: str) -> Delivery | None:
        """The mail with this Message-ID, locked until the transaction ends."""
        row = await self._session.first(_LOCK_MAIL, message_id=message_id)
        return await read_one(self._session, row)

    async def bounced(
        self, message_id: str, code: str, owner: str, at: datetime, report: str | None = None
    ) -> Delivery | None:
        """A report came back that a mail did not arrive after all. None if there is no such delivered mail, or if
        `report` (a digest) was counted before: what is sent again bears the same Message-ID."""
        mail = await self.of_mail(message_id)
        if mail is None or (report and await self._session.first(_REPORTED, id=mail.id, report=report)):
            return None
        said = event("bounced", at, code=code, details={"report": report} if report else None)
        row = await self._session.first(_BOUNCED, message_id=message_id, owner=owner, **said)
        return await read_one(self._session, row)

    async def get(self, delivery_id: DeliveryId, *, lock: bool = False) -> Delivery:
        """The delivery, or `NotFound`. Locked, nobody else changes it until the transaction ends."""
        row = await self._session.first(_LOCK if lock else _GET, id=delivery_id)
        if row is None:
            raise NotFound("no such delivery")
        return (await read_deliveries(self._session, [row]))[0]

    async def message(self, delivery_id: DeliveryId) -> Message:
        row = await self._session.first(_MESSAGE, id=delivery_id)
        if row is None:
            raise NotFound("no such delivery")
        row = await opened_one(self._session, row, {**SEALED, **CORRECTED})
        return Message(row.body if row.corrected is None else row.corrected, row.recipient)

    async def thread(self, delivery: Delivery) -> tuple[str, ...]:
        """The Message-IDs of earlier mails of the same conversation, oldest first."""
        rows = await self._session.all(
            _THREAD,
            id=delivery.id,
            at=delivery.created_at,
            customer_id=delivery.customer_id,
            interaction_id=delivery.interaction_id,
        )
        return tuple(reversed([row.message_id for row in rows]))

    async def events(self, delivery_id: DeliveryId) -> tuple[DeliveryEvent, ...]:
        """What happened to it, in order."""
        return tuple(read_event(row) for row in await self._session.all(_EVENTS, id=delivery_id))

    async def mark_told(self, delivery_id: DeliveryId, at: datetime) -> None:
        """Its workflow knows how it stands."""
        await self._session.run(_TOLD, id=delivery_id, at=at)

    async def tell_later(self, delivery_id: DeliveryId, at: datetime) -> None:
        """Its workflow cannot be told now: `Database.untold_deliveries` leaves it out until then."""
        await self._session.run(_TELL_LATER, id=delivery_id, at=at)

    async def list(
        self,
        status: DeliveryStatus | None = None,
        *,
        filters: DeliveryFilters | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """Newest first."""
        return await list_deliveries(self._session, filters or DeliveryFilters(status=status), limit, cursor)
