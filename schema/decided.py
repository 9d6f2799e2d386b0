"""Word of what was decided about a handoff, for other systems: in the transaction that decides it."""

from datetime import datetime

from domain.values import DeliveryId, HandoffId
from domain.webhook import DomainEvent, EventType
from schema.events import EventRepository
from schema.handoff_rows import Handoff
from schema.session import Session


async def tell_of_decision(session: Session, handoff: Handoff, at: datetime) -> tuple[DeliveryId, ...]:
    """One delivery for each endpoint that wants to hear it. Who decided is not said: ask for the handoff with a key.

    Whoever can start their workflows at once does; otherwise the API's processes find them, a moment later.
    """
    assert handoff.decision is not None
    data = {"interactionId": handoff.interaction_id, "kind": handoff.kind.value, "decision": handoff.decision.value}
    return await EventRepository(session).record(DomainEvent(EventType.HANDOFF_DECIDED, handoff.id, at, data))


async def told_of_decision(session: Session, handoff_id: HandoffId) -> tuple[DeliveryId, ...]:
    """Those deliveries, as long as nobody started them."""
    return await EventRepository(session).untold(handoff_id, EventType.HANDOFF_DECIDED)
