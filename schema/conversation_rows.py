"""The tables of conversations and how one reads; `schema.conversations` has the queries."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.conversation import ConversationState
from domain.values import Channel, ConversationId, CustomerId, HandoffId, Json
from schema.base import OrganisationRow, UtcTime
from schema.session import Record

_HELD_IS_WHOLE = (
    "(state = 'human') = (holder IS NOT NULL) AND (state = 'human') = (human_until IS NOT NULL)"
    " AND (state = 'human') = (held_since IS NOT NULL)"
)


class ConversationRow(OrganisationRow, table=True):
    __tablename__ = "conversations"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "customer_id"], ["customers.organisation", "customers.id"]),
        CheckConstraint(_HELD_IS_WHOLE, name="held"),
        Index("conversations_by_customer", "organisation", "customer_id", "created_at", "id"),
        Index("conversations_newest", "organisation", "created_at", "id"),
        Index(
            "conversations_unusual", "organisation", "state", "created_at", "id",
            postgresql_where=text("state <> 'open'"),
        ),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    customer_id: str
    channel: str
    state: str
    created_at: datetime = Field(sa_type=UtcTime)
    holder: str | None
    held_since: datetime | None = Field(sa_type=UtcTime)
    human_until: datetime | None = Field(sa_type=UtcTime)
    held_for: str | None
    acknowledged_at: datetime | None = Field(sa_type=UtcTime)
    asked_by: str | None
    awaited_since: datetime | None = Field(sa_type=UtcTime)


class ConversationEventRow(OrganisationRow, table=True):
    __tablename__ = "conversation_events"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "conversation_id"], ["conversations.organisation", "conversations.id"]),
        Index("conversation_events_by_conversation", "organisation", "conversation_id", "at", "id"),
        Index("conversation_events_by_time", "organisation", "at"),
    )

    id: str = Field(primary_key=True)
    conversation_id: str
    kind: str
    actor: str
    at: datetime = Field(sa_type=UtcTime)
    details: Json = Field(sa_type=JSONB)


@dataclass(frozen=True, slots=True)
class Conversation:
    """As it is written. Who holds it *now* takes a clock: a hold that ran out is over, whoever looks."""

    id: ConversationId
    customer_id: CustomerId
    channel: Channel
    state: ConversationState
    created_at: datetime
    holder: str | None = None
    held_since: datetime | None = None
    human_until: datetime | None = None
    held_for: HandoffId | None = None
    """The takeover whose claim began it; it ends with that. None: a person took it, and gives it back."""
    awaited_since: datetime | None = None
    """A person waits for what the customer says."""

    def is_held(self, now: datetime) -> bool:
        return self.human_until is not None and self.human_until > now

    def is_held_by(self, who: str, now: datetime) -> bool:
        return self.is_held(now) and self.holder == who

    def state_at(self, now: datetime) -> ConversationState:
        """Nobody looks after holds that run out: what reads the state reads the clock."""
        if self.state is ConversationState.HUMAN and not self.is_held(now):
            return ConversationState.OPEN
        return self.state


@dataclass(frozen=True, slots=True)
class ConversationEvent:
    """`taken_over`, `released`, `closed`, `reopened`."""

    kind: str
    actor: str
    at: datetime
    details: Json


COLUMNS = ", ".join(Conversation.__dataclass_fields__)
ASKED = """(
    EXISTS (SELECT FROM interactions a
            WHERE a.organisation = v.organisation AND a.id = v.asked_by AND a.finished_at IS NULL)
    OR EXISTS (SELECT FROM handoffs h JOIN interactions i ON i.organisation = h.organisation AND i.id = h.interaction_id
               WHERE h.organisation = v.organisation AND h.customer_id = v.customer_id AND h.kind = 'takeover'
                   AND h.decision IS NULL AND i.conversation_id = v.id))"""
"""Of a conversation `v`: somebody has been asked to answer in it, and has not decided yet."""


def read_conversation(row: Record) -> Conversation:
    values = {name: getattr(row, name) for name in Conversation.__dataclass_fields__}
    return Conversation(**{**values, "channel": Channel(row.channel), "state": ConversationState(row.state)})
