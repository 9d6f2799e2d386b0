"""Tickets: the built-in ticket system. One ticket per key."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from domain.errors import ToolRefused
from domain.ports import TicketReceipt
from domain.values import CustomerId, Priority
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Session


class TicketRow(OrganisationRow, table=True):
    __tablename__ = "tickets"
    __table_args__ = (
        UniqueConstraint("organisation", "key"),
        ForeignKeyConstraint(["organisation", "customer_id"], ["customers.organisation", "customers.id"]),
        Index("tickets_open", "organisation", "customer_id", postgresql_where=text("state = 'open'")),
    )

    id: str = Field(primary_key=True)
    key: str
    customer_id: str
    interaction_id: str
    topic: str
    priority: str
    state: str
    created_at: datetime = Field(sa_type=UtcTime)


_CREATE = text(
    """
    INSERT INTO tickets (organisation, id, key, customer_id, interaction_id, topic, priority, state, created_at)
    SELECT organisation, :id, :key, id, :interaction_id, :topic, :priority, 'open', now()
    FROM customers WHERE organisation = :organisation AND id = :customer_id
    ON CONFLICT (organisation, key) DO NOTHING
    RETURNING id
    """
)
_BY_KEY = text(
    "SELECT id FROM tickets WHERE organisation = :organisation AND key = :key AND customer_id = :customer_id"
)


class TicketRepository:
    """Also the built-in `TicketGateway`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create_ticket(
        self, key: str, customer_id: CustomerId, topic: str, priority: Priority, interaction_id: str
    ) -> TicketReceipt:
        row = await self._session.first(
            _CREATE,
            id=new_id("tkt"),
            key=key,
            customer_id=customer_id,
            interaction_id=interaction_id,
            topic=topic,
            priority=priority,
        ) or await self._session.first(_BY_KEY, key=key, customer_id=customer_id)
        if row is None:
            raise ToolRefused("no such customer, or the key stands for another ticket", reason="not_possible")
        return TicketReceipt(ticket_id=row.id)
