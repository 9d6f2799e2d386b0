"""Conversations: what was said by whom, and who answers: the agent, or the person who took it over."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query

from api.auth import Caller, CallerDep, Scope
from api.conversations import (
    ConversationDetail,
    ConversationList,
    ConversationQuery,
    ConversationSummary,
    MessageBody,
    SentMessage,
    TakeoverBody,
    conversation_detail,
    summary_of,
)
from api.deps import Services, ServicesDep
from api.fields import Key, ObjectId, Page
from api.idempotency import request_key
from api.strict_json import StrictRoute
from domain.errors import Conflict
from domain.values import ConversationId, CustomerId
from schema.audit import AuditEvent, AuditRepository
from schema.conversations import Conversation, ConversationRepository
from schema.session import Session
from schema.takeovers import TakeoverRepository

router = APIRouter(prefix="/conversations", tags=["conversations"], route_class=StrictRoute)

ConversationPath = Annotated[ObjectId, Path(alias="conversationId")]


@router.get("", summary="Conversations, newest first")
async def list_conversations(
    caller: CallerDep, services: ServicesDep, query: Annotated[ConversationQuery, Query()]
) -> ConversationList:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    customer = CustomerId(query.customer_id) if query.customer_id else None
    now = services.now()
    async with services.db.transaction(caller.organisation) as session:
        page = await ConversationRepository(session).list(
            customer, state=query.state, now=now, limit=query.limit, cursor=query.cursor
        )
    items = tuple(ConversationSummary(**summary_of(c, now)) for c in page.items)
    return ConversationList(items=items, next_cursor=page.next_cursor)


@router.get("/{conversationId}", summary="One conversation: what was said, who answers, what waits")
async def get_conversation(
    conversation_id: ConversationPath, caller: CallerDep, services: ServicesDep, query: Annotated[Page, Query()]
) -> ConversationDetail:
    """Messages are in order; `limit` and `cursor` page backwards through them."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        conversation = await ConversationRepository(session).get(ConversationId(conversation_id))
        return await conversation_detail(session, conversation, services.now(), query)


@router.post("/{conversationId}/takeover", summary="Answer this customer yourself", responses={409: {}})
async def take_over(
    conversation_id: ConversationPath, body: TakeoverBody, caller: CallerDep, services: ServicesDep
) -> ConversationDetail:
    """The agent keeps still here until you give it back or the time is over. Again: another end. Somebody else's is
    409 with `by` and `until`, unless you are an admin."""

    async def take(session: Session, c: ConversationId) -> Conversation:
        at = services.now()
        return await ConversationRepository(session).hold(
            c, caller.name, at + body.for_, at, note=body.note, override=_overrides(caller)
        )

    return await _change(services, caller, conversation_id, "conversation.taken_over", take)


@router.post("/{conversationId}/release", summary="Give it back to the agent", responses={409: {}})
async def release(conversation_id: ConversationPath, caller: CallerDep, services: ServicesDep) -> ConversationDetail:
    """What was handed to a person stays handed to a person: open handoffs are decided, not released by this."""

    async def give_back(session: Session, c: ConversationId) -> Conversation:
        return await ConversationRepository(session).give_back(
            c, caller.name, services.now(), override=_overrides(caller)
        )

    return await _change(services, caller, conversation_id, "conversation.released", give_back)


@router.post("/{conversationId}/close", summary="Nothing is expected here any more", responses={409: {}})
async def close(conversation_id: ConversationPath, caller: CallerDep, services: ServicesDep) -> ConversationDetail:
    """409 with `handoffs` while something waits for a person. The customer's next message opens it again, unless it
    needs no answer."""

    async def end(session: Session, c: ConversationId) -> Conversation:
        conversations, at = ConversationRepository(session), services.now()
        waiting = await TakeoverRepository(session).undecided(await conversations.get(c, lock=True))
        if waiting:
            raise Conflict("something waits for a person here: decide it first", handoffs=[h.id for h in waiting])
        return await conversations.close(c, caller.name, at, override=_overrides(caller))

    return await _change(services, caller, conversation_id, "conversation.closed", end)


@router.post("/{conversationId}/messages", summary="Write to the customer", responses={409: {}})
async def post_message(
    conversation_id: ConversationPath,
    body: MessageBody,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[list[Key] | None, Header()] = None,
) -> SentMessage:
    """Only whoever holds the conversation speaks in it. It decides nothing: an open handoff stays open."""
    caller.need(Scope.OPERATOR)
    key, here, at = request_key(body.request_id, idempotency_key or []), ConversationId(conversation_id), services.now()
    async with services.db.transaction(caller.organisation) as session:
        added = await TakeoverRepository(session).say(
            here, caller.name, key, body.message, at, waits=body.wait_for_customer, override=_overrides(caller)
        )
        if added.first:
            event = AuditEvent(at, caller.name, "conversation.message_sent", here, {"message": added.id})
            await AuditRepository(session).append(event)
    return SentMessage(id=added.id, conversation_id=here, at=added.at, replayed=not added.first)


async def _change(
    services: Services,
    caller: Caller,
    conversation_id: str,
    action: str,
    change: Callable[[Session, ConversationId], Awaitable[Conversation]],
) -> ConversationDetail:
    """One change and its audit entry, in one transaction; nothing is recorded of what changed nothing."""
    caller.need(Scope.OPERATOR)
    here = ConversationId(conversation_id)
    async with services.db.transaction(caller.organisation) as session:
        before = await ConversationRepository(session).get(here, lock=True)
        after = await change(session, here)
        if after != before:
            until = {"until": after.human_until.isoformat()} if after.human_until else {}
            await AuditRepository(session).append(AuditEvent(services.now(), caller.name, action, here, until))
        return await conversation_detail(session, after, services.now())


def _overrides(caller: Caller) -> bool:
    """An admin may take a conversation from somebody."""
    return Scope.ADMIN in caller.scopes
