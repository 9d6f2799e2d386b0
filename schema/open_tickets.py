"""What a customer is waiting for already, besides what is asked now."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.values import CustomerId, Priority
from schema.session import Session

MOST = 20
"""The oldest ones: they have waited longest."""


@dataclass(frozen=True, slots=True)
class OpenTicket:
    id: str
    topic: str
    priority: Priority
    created_at: datetime


_OPEN = text(
    f"""
    SELECT id, topic, priority, created_at FROM tickets
    WHERE organisation = :organisation AND customer_id = :customer_id AND state = 'open'
    ORDER BY created_at, id LIMIT {MOST}
    """
)


async def list_open_tickets(session: Session, customer_id: CustomerId) -> tuple[OpenTicket, ...]:
    rows = await session.all(_OPEN, customer_id=customer_id)
    return tuple(OpenTicket(r.id, r.topic, Priority(r.priority), r.created_at) for r in rows)
