"""What was said in a conversation, by everybody, in order; and what a person says there."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from domain.digest import digest
from domain.errors import RequestIdReused
from domain.values import ConversationId, CustomerId, HandoffId, InteractionId, RequestId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.sealed import Place, meet, sealed, words_of
from schema.session import Record, Session


class MessageRow(OrganisationRow, table=True):
    """What an operator wrote. A customer's words stand on their interaction."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("organisation", "conversation_id", "request_id"),
        ForeignKeyConstraint(["organisation", "conversation_id"], ["conversations.organisation", "conversations.id"]),
        ForeignKeyConstraint(["organisation", "interaction_id"], ["interactions.organisation", "interactions.id"]),
        ForeignKeyConstraint(["organisation", "handoff_id"], ["handoffs.organisation", "handoffs.id"]),
        Index("messages_by_time", "organisation", "at"),
        Index("messages_by_conversation", "organisation", "conversation_id", "at", "id"),
        Index(
            "messages_by_interaction", "organisation", "interaction_id",
            postgresql_where=text("interaction_id IS NOT NULL"),
        ),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    conversation_id: str
    customer_id: str
    interaction_id: str | None
    handoff_id: str | None
    author: str
    request_id: str
    fingerprint: str
    body: str
    waits: bool
    at: datetime = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One per conversation and request id: adding it again returns the first."""

    conversation_id: ConversationId
    customer_id: CustomerId
    interaction_id: InteractionId | None
    """On whose timeline it stands: the latest, or the one a person was asked about."""
    handoff_id: HandoffId | None
    author: str
    request_id: RequestId
    body: str
    waits: bool
    """The author waits for what the customer says to it."""
    at: datetime

    @property
    def fingerprint(self) -> str:
        return digest({"message": self.body, "waitForCustomer": self.waits})


@dataclass(frozen=True, slots=True)
class Added:
    id: str
    at: datetime
    first: bool
    """False: this request was here before, with the same words."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of either side."""

    id: str
    at: datetime
    by: str
    """`customer`, `agent` or `operator`."""
    author: str | None
    """Which operator."""
    text: str
    interaction_id: InteractionId | None


_BODY, _MESSAGE = "messages.body", "interactions.message"
_ADD = text(
    """
    INSERT INTO messages (organisation, id, conversation_id, customer_id, interaction_id, handoff_id, author,
                          request_id, fingerprint, body, waits, at)
    VALUES (:organisation, :id, :conversation_id, :customer_id, :interaction_id, :handoff_id, :author, :request_id,
            :fingerprint, :body, :waits, :at)
    ON CONFLICT (organisation, conversation_id, request_id) DO NOTHING
    """
)
_FIRST = text(
    """
    SELECT id, at, fingerprint FROM messages
    WHERE organisation = :organisation AND conversation_id = :conversation_id AND request_id = :request_id
    """
)
_HERE = "i.organisation = :organisation AND i.conversation_id = :id AND i.mode = 'live'"
_SAID = text(
    f"""
    SELECT * FROM (
        SELECT i.id, i.created_at AS at, 'customer' AS by, NULL AS author, i.message AS text, i.id AS interaction_id
        FROM interactions i WHERE {_HERE}
        UNION ALL
        SELECT i.id || '.answer', i.answered_at, 'agent', NULL, i.answer ->> 'reply', i.id
        FROM interactions i WHERE {_HERE} AND i.answer ->> 'reply' <> ''
        UNION ALL
        SELECT i.id || '.reply', i.finished_at, CASE WHEN p.by IS NULL THEN 'agent' ELSE 'operator' END, p.by,
               i.reply, i.id
        FROM interactions i LEFT JOIN LATERAL (
            SELECT h.decided_by AS by FROM handoffs h
            WHERE h.organisation = i.organisation AND h.interaction_id = i.id
                AND h.decision IN ('resolved', 'rejected') AND h.resolution ->> 'reply' = i.reply
            ORDER BY h.decided_at DESC LIMIT 1
        ) p ON true
        WHERE {_HERE} AND i.finished_at IS NOT NULL AND i.reply <> '' AND i.reply <> i.answer ->> 'reply'
        UNION ALL
        SELECT m.id, m.at, 'operator', m.author, m.body, m.interaction_id
        FROM messages m WHERE m.organisation = :organisation AND m.conversation_id = :id
    ) said
    WHERE (at, id) < (:before_at, :before_id) ORDER BY at DESC, id DESC LIMIT :limit
    """
)


class MessageRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, new: NewMessage) -> Added | None:
        """The same message, if it is on record. `RequestIdReused` if its request id was used for other words."""
        row = await self._session.first(_FIRST, conversation_id=new.conversation_id, request_id=new.request_id)
        if row is None:
            return None
        if row.fingerprint != new.fingerprint:
            raise RequestIdReused("this request id was used for another message", fields=["message"])
        return Added(row.id, row.at, first=False)

    async def add(self, new: NewMessage) -> Added:
        """Put it on record; a repeat returns the first."""
        message_id = new_id("msg")
        (body,) = await sealed(self._session, new.customer_id, message_id, {_BODY: new.body})
        key = {"conversation_id": new.conversation_id, "request_id": new.request_id}
        if await self._session.run(
            _ADD, id=message_id, customer_id=new.customer_id, interaction_id=new.interaction_id,
            handoff_id=new.handoff_id, author=new.author, fingerprint=new.fingerprint, body=body, waits=new.waits,
            at=new.at, **key,
        ):  # fmt: skip
            return Added(message_id, new.at, first=True)
        before = await self.find(new)
        assert before is not None
        return before

    async def list(self, conversation_id: ConversationId, *, limit: int = 50, cursor: str | None = None) -> Page[Said]:
        """Newest first. What was said in shadow was not said; what was not said (an empty reply) is not there."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(
            _SAID, id=conversation_id, before_at=before.at, before_id=before.id, limit=checked_limit(limit)
        )
        await meet(self._session, [row.text for row in rows])
        return page(rows, limit, self._said, lambda row: Position(row.at, row.id))

    def _said(self, row: Record) -> Said:
        column = _BODY if row.author and row.id.startswith("msg_") else _MESSAGE
        text = words_of(self._session, Place(column, row.id), row.text)
        return Said(row.id, row.at, row.by, row.author, text or "", row.interaction_id)
