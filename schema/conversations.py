"""Conversations: where a customer's messages belong together."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from domain.errors import ConversationNotFound, CustomerNotFound
from domain.values import Channel, ConversationId, CustomerId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session


class ConversationRow(OrganisationRow, table=True):
    __tablename__ = "conversations"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "customer_id"], ["customers.organisation", "customers.id"]),
        Index("conversations_by_customer", "organisation", "customer_id", "created_at", "id"),
        Index("conversations_newest", "organisation", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    channel: str
    state: str
    created_at: datetime = Field(sa_type=UtcTime)


class ConversationState(StrEnum):
    OPEN = "open"
    HUMAN = "human"
    """A person answers; the agent keeps still."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Conversation:
    id: ConversationId
    customer_id: CustomerId
    channel: Channel
    state: ConversationState
    created_at: datetime


_COLUMNS = "id, customer_id, channel, state, created_at"
_OPEN = text(
    f"""
    INSERT INTO conversations (organisation, id, customer_id, channel, state, created_at)
    SELECT organisation, :id, id, :channel, 'open', :at FROM customers
    WHERE organisation = :organisation AND id = :customer_id
    RETURNING {_COLUMNS}
    """
)
_GET = text(f"SELECT {_COLUMNS} FROM conversations WHERE organisation = :organisation AND id = :id")
_SET_STATE = text(
    f"UPDATE conversations SET state = :state WHERE organisation = :organisation AND id = :id RETURNING {_COLUMNS}"
)
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM conversations
    WHERE organisation = :organisation AND (created_at, id) < (:before_at, :before_id)
    ORDER BY created_at DESC, id DESC LIMIT :limit
    """
)
_LIST_OF_CUSTOMER = text(
    f"""
    SELECT {_COLUMNS} FROM conversations
    WHERE organisation = :organisation AND customer_id = :customer_id
        AND (created_at, id) < (:before_at, :before_id)
    ORDER BY created_at DESC, id DESC LIMIT :limit
    """
)


class ConversationRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def open(self, customer_id: CustomerId, channel: Channel, at: datetime) -> Conversation:
        """A new conversation of this customer, or `CustomerNotFound`."""
        row = await self._session.first(_OPEN, id=new_id("cnv"), customer_id=customer_id, channel=channel, at=at)
        if row is None:
            raise CustomerNotFound("no such customer")
        return _conversation(row)

    async def get(self, conversation_id: ConversationId) -> Conversation:
        """The conversation, or `ConversationNotFound`."""
        return _found(await self._session.first(_GET, id=conversation_id))

    async def set_state(self, conversation_id: ConversationId, state: ConversationState) -> Conversation:
        return _found(await self._session.first(_SET_STATE, id=conversation_id, state=state))

    async def list(
        self, customer_id: CustomerId | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Conversation]:
        """Newest first; of one customer, or of all."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(
            _LIST_OF_CUSTOMER if customer_id else _LIST,
            **({"customer_id": customer_id} if customer_id else {}),
            before_at=before.at,
            before_id=before.id,
            limit=checked_limit(limit),
        )
        return page(rows, limit, _conversation, lambda row: Position(row.created_at, row.id))


def _found(row: Record | None) -> Conversation:
    if row is None:
        raise ConversationNotFound("no such conversation")
    return _conversation(row)


def _conversation(row: Record) -> Conversation:
    return Conversation(row.id, row.customer_id, Channel(row.channel), ConversationState(row.state), row.created_at)
