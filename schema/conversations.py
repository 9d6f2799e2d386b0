"""Conversations: where a customer's messages belong together, and who answers there: the agent, or a person."""

from datetime import datetime

from sqlalchemy import text

from domain.conversation import ConversationState
from domain.errors import Conflict, ConversationNotFound, CustomerNotFound
from domain.values import Channel, ConversationId, CustomerId, HandoffId, Json
from schema.base import json_values, new_id
from schema.conversation_rows import COLUMNS, Conversation, ConversationEvent, read_conversation
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Session

__all__ = ["Conversation", "ConversationEvent", "ConversationRepository", "ConversationState", "held_by_another"]

_OPEN = text(
    f"""
    INSERT INTO conversations (organisation, id, customer_id, channel, state, created_at)
    SELECT organisation, :id, id, :channel, 'open', :at FROM customers
    WHERE organisation = :organisation AND id = :customer_id
    RETURNING {COLUMNS}
    """
)
_GET = text(f"SELECT {COLUMNS} FROM conversations WHERE organisation = :organisation AND id = :id")
_LOCK = text(f"SELECT {COLUMNS} FROM conversations WHERE organisation = :organisation AND id = :id FOR UPDATE")
_CHANGE = text(
    f"""
    WITH changed AS (
        UPDATE conversations SET state = :state, holder = :holder, held_since = :held_since,
            human_until = :human_until, held_for = :held_for,
            acknowledged_at = CASE WHEN :goes_on THEN acknowledged_at END,
            asked_by = CASE WHEN :goes_on THEN asked_by END
        WHERE organisation = :organisation AND id = :id RETURNING *
    ), event AS (
        INSERT INTO conversation_events (organisation, id, conversation_id, kind, actor, at, details)
        SELECT organisation, :event_id, id, :kind, :actor, :at, :details FROM changed WHERE NOT :is_silent
    )
    SELECT {COLUMNS} FROM changed
    """
).bindparams(*json_values("details"))
_EVENTS = text(
    """
    SELECT kind, actor, at, details FROM conversation_events
    WHERE organisation = :organisation AND conversation_id = :id ORDER BY at, id
    """
)
_LIST = text(
    f"""
    SELECT {COLUMNS} FROM conversations
    WHERE organisation = :organisation AND (created_at, id) < (:before_at, :before_id)
        AND (CAST(:customer_id AS varchar) IS NULL OR customer_id = :customer_id)
        AND (CAST(:state AS varchar) IS NULL
             OR CASE WHEN state = 'human' AND human_until <= :now THEN 'open' ELSE state END = :state)
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
        return read_conversation(row)

    async def get(self, conversation_id: ConversationId, *, lock: bool = False) -> Conversation:
        """The conversation, or `ConversationNotFound`. Locked, nobody else changes it until the transaction ends."""
        row = await self._session.first(_LOCK if lock else _GET, id=conversation_id)
        if row is None:
            raise ConversationNotFound("no such conversation")
        return read_conversation(row)

    async def hold(
        self,
        conversation_id: ConversationId,
        by: str,
        until: datetime,
        at: datetime,
        *,
        note: str | None = None,
        handoff_id: HandoffId | None = None,
        override: bool = False,
    ) -> Conversation:
        """`by` answers from now until `until`; the agent keeps still. Doing it again moves the end.

        With a handoff the hold is the claim's: it never shortens one that is there, and ends with the handoff unless
        the person has also taken the conversation by itself. `Conflict` (naming holder and end) if it is somebody
        else's, unless `override`.
        """
        now = await self._free_for(conversation_id, by, at, override=override)
        goes_on = now.is_held_by(by, at)
        is_own = goes_on and now.held_for is None
        if handoff_id and goes_on and now.human_until:
            until = max(until, now.human_until)
        details = {"until": until.isoformat(), **({"note": note} if note else {})}
        if now.is_held(at) and not goes_on:
            details["from"] = now.holder or ""
        row = await self._session.first(
            _CHANGE, id=conversation_id, state=ConversationState.HUMAN, holder=by, human_until=until,
            held_since=now.held_since if goes_on else at, held_for=None if is_own else handoff_id, goes_on=goes_on,
            is_silent=goes_on and handoff_id is not None, **_event("taken_over", by, at, details),
        )  # fmt: skip
        return read_conversation(row)

    async def give_back(
        self, conversation_id: ConversationId, by: str, at: datetime, *, override: bool = False
    ) -> Conversation:
        """The agent answers again. A repeat changes nothing; `Conflict` if somebody else holds it."""
        now = await self._free_for(conversation_id, by, at, override=override)
        if now.state is not ConversationState.HUMAN:
            return now
        return await self._end(now, ConversationState.OPEN, "released", by, at)

    async def close(
        self, conversation_id: ConversationId, by: str, at: datetime, *, override: bool = False
    ) -> Conversation:
        """Nothing is expected any more. A repeat changes nothing; `Conflict` if somebody else holds it."""
        now = await self._free_for(conversation_id, by, at, override=override)
        if now.state is ConversationState.CLOSED:
            return now
        return await self._end(now, ConversationState.CLOSED, "closed", by, at)

    async def reopen(self, conversation_id: ConversationId, by: str, at: datetime) -> Conversation:
        """The customer wrote again. Changes only what is closed."""
        now = await self.get(conversation_id, lock=True)
        if now.state is not ConversationState.CLOSED:
            return now
        return await self._end(now, ConversationState.OPEN, "reopened", by, at)

    async def events(self, conversation_id: ConversationId) -> tuple[ConversationEvent, ...]:
        """Who had it when, in order."""
        rows = await self._session.all(_EVENTS, id=conversation_id)
        return tuple(ConversationEvent(r.kind, r.actor, r.at, r.details) for r in rows)

    async def list(
        self,
        customer_id: CustomerId | None = None,
        *,
        state: ConversationState | None = None,
        now: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Conversation]:
        """Newest first; of one customer, or of all. A state is that at `now`."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(
            _LIST, customer_id=customer_id, state=state, now=now, before_at=before.at, before_id=before.id,
            limit=checked_limit(limit),
        )  # fmt: skip
        return page(rows, limit, read_conversation, lambda row: Position(row.created_at, row.id))

    async def _free_for(
        self, conversation_id: ConversationId, by: str, at: datetime, *, override: bool
    ) -> Conversation:
        now = await self.get(conversation_id, lock=True)
        if now.is_held(at) and now.holder != by and not override:
            raise held_by_another(now)
        return now

    async def _end(self, now: Conversation, state: ConversationState, kind: str, by: str, at: datetime) -> Conversation:
        nobody = {"holder": None, "held_since": None, "human_until": None, "held_for": None, "goes_on": False}
        event = _event(kind, by, at, {"from": now.holder} if now.is_held(at) and now.holder != by else {})
        row = await self._session.first(_CHANGE, id=now.id, state=state, is_silent=False, **nobody, **event)
        return read_conversation(row)


def held_by_another(conversation: Conversation) -> Conflict:
    return Conflict("somebody else holds this conversation", by=conversation.holder, until=conversation.human_until)


def _event(kind: str, actor: str, at: datetime, details: Json) -> Json:
    return {"event_id": new_id("cev"), "kind": kind, "actor": actor, "at": at, "details": details}
