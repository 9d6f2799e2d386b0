"""Who hears of a delivery that could not be made, in the transaction that gives it up."""

from datetime import datetime

from domain.delivery import CHAT_WEBHOOK, WEBHOOK
from domain.values import DeliveryId, Json
from domain.webhook import DomainEvent, EventType, NewNotification, NotificationKind
from schema.audit import AuditEvent, AuditRepository
from schema.deliveries import Delivery
from schema.events import EventRepository
from schema.notifications import NotificationRepository
from schema.session import Session
from schema.webhooks import WebhookRepository

OPERATORS, BUILDERS = "operators", "builders"


def owner_of(delivery: Delivery) -> str:
    """Who looks after a dead letter until somebody takes it up: operators after a customer's, builders after an
    endpoint's."""
    return BUILDERS if delivery.endpoint_id else OPERATORS


async def announce(session: Session, delivery: Delivery, reason: str, at: datetime) -> tuple[DeliveryId, ...]:
    """It is a dead letter: audited, and told to operators and to who subscribed. Told again, it is told once. Returns
    the deliveries that tell of it, for the caller to start."""
    told = await _tell_operators(session, delivery, reason, at)
    if delivery.channel in {WEBHOOK, CHAT_WEBHOOK}:
        return told  # Not by webhook: word of a dead webhook would be the next one to die.
    details: Json = {"channel": delivery.channel, "reason": reason, "interactionId": delivery.interaction_id}
    key = f"{delivery.round}:{reason}"
    event = DomainEvent(EventType.DELIVERY_DEAD_LETTER, delivery.id, at, details, key)
    return told + await EventRepository(session).record(event)


async def audit_dead_letter(session: Session, delivery: Delivery, reason: str, at: datetime) -> None:
    details = {"channel": delivery.channel, "reason": reason}
    await AuditRepository(session).append(AuditEvent(at, "system", "delivery.dead_lettered", delivery.id, details))


async def switch_off(session: Session, delivery: Delivery, at: datetime) -> tuple[DeliveryId, ...]:
    """The receiver said 410: nobody lives there. Nothing is sent there any more until a person enables it."""
    endpoint_id = delivery.endpoint_id
    if endpoint_id is None or not await WebhookRepository(session).disable(endpoint_id, "gone", at):
        return ()
    await AuditRepository(session).append(
        AuditEvent(at, "system", "webhook.disabled", endpoint_id, {"reason": "gone", "delivery": delivery.id})
    )
    note = NewNotification(NotificationKind.WEBHOOK_DISABLED, endpoint_id, at, {"reason": "gone"}, delivery.id)
    return await NotificationRepository(session).notify(note)


async def _tell_operators(session: Session, delivery: Delivery, reason: str, at: datetime) -> tuple[DeliveryId, ...]:
    if delivery.channel == CHAT_WEBHOOK:
        return ()
    details: Json = {"channel": delivery.channel, "reason": reason}
    subject, key = str(delivery.id), f"{delivery.round}:{reason}"
    if delivery.endpoint_id is not None:
        # Once a day and receiver: one that is down fails for every event there is.
        subject, key = delivery.endpoint_id, at.date().isoformat()
    note = NewNotification(NotificationKind.DELIVERY_DEAD_LETTER, subject, at, details, key)
    return await NotificationRepository(session).notify(note)
