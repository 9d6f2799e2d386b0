"""Word of what happened, to the systems and the people who want to hear it: in the transaction in which it did."""

from datetime import datetime

from activities.record import Record
from domain.interaction import InteractionStatus
from domain.values import DeliveryId
from domain.webhook import DomainEvent, EventType, NewNotification, NotificationKind
from schema.events import EventRepository
from schema.handoffs import Handoff
from schema.notifications import NotificationRepository
from schema.session import Session

_EVENTS = {
    InteractionStatus.COMPLETED: EventType.INTERACTION_COMPLETED,
    InteractionStatus.REFUSED: EventType.INTERACTION_REFUSED,
    InteractionStatus.FAILED: EventType.INTERACTION_FAILED,
    InteractionStatus.WAITING_FOR_HUMAN: EventType.INTERACTION_WAITING,
}


async def announced(
    session: Session, record: Record, status: InteractionStatus, at: datetime
) -> tuple[DeliveryId, ...]:
    """Deliveries to whoever subscribed to it. Where nobody listens at all, nothing is asked."""
    if not record.is_listened_to or status not in _EVENTS:
        return ()
    decision = record.decision
    data = {
        "conversationId": record.interaction.conversation_id,
        "intent": decision.intent.value if decision else None,
        "outcome": decision.outcome.value if decision else None,
    }
    event = DomainEvent(_EVENTS[status], record.interaction.id, at, data)
    return await EventRepository(session).record(event)


async def handoff_opened(session: Session, record: Record, handoff: Handoff, at: datetime) -> tuple[DeliveryId, ...]:
    """Operators see it in the product in any case."""
    facts = {"kind": handoff.kind.value, "reason": handoff.reason, "priority": handoff.priority.value}
    rooms = await NotificationRepository(session).notify(
        NewNotification(NotificationKind.HANDOFF_OPENED, handoff.id, at, facts)
    )
    if not record.is_listened_to:
        return rooms
    event = DomainEvent(EventType.HANDOFF_OPENED, handoff.id, at, {"interactionId": handoff.interaction_id, **facts})
    return (*rooms, *await EventRepository(session).record(event))
