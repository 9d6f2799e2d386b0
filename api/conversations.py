"""How a conversation looks over HTTP, and what may be asked of one."""

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from api.fields import Body, Flag, Instant, Key, Note, Page, Reply
from domain.conversation import HELD_AT_LEAST, HELD_AT_MOST, HELD_FOR, ConversationState
from domain.handoff import HandoffKind, HandoffStatus
from domain.values import Channel, Json, Priority, Value
from schema.conversations import Conversation, ConversationRepository
from schema.messages import MessageRepository
from schema.session import Session
from schema.takeovers import TakeoverRepository

_DURATION = re.compile(r"P(?=[0-9T])(?:[0-9]{1,3}D)?(?:T(?=[0-9])(?:[0-9]{1,4}H)?(?:[0-9]{1,5}M)?)?", re.ASCII)


def _spelt_out(value: object) -> object:
    if isinstance(value, timedelta) or (isinstance(value, str) and _DURATION.fullmatch(value)):
        return value
    raise ValueError("a duration is ISO 8601 in days, hours and minutes, such as PT4H or P1DT12H")


def _bounded(value: timedelta) -> timedelta:
    if not HELD_AT_LEAST <= value <= HELD_AT_MOST:
        raise ValueError("from PT1M to P7D")
    return value


HoldDuration = Annotated[timedelta, BeforeValidator(_spelt_out), AfterValidator(_bounded)]


FIRST_PAGE = Page()


class ConversationQuery(Page):
    customer_id: Key | None = None
    state: ConversationState | None = None


class TakeoverBody(Body):
    for_: Annotated[HoldDuration, Field(alias="for")] = HELD_FOR
    note: Note | None = None
    """For other operators."""


class MessageBody(Body):
    message: Reply
    wait_for_customer: Flag = False
    """We cannot go on without the customer: clocks stand still until they write."""
    request_id: Key | None = None


class ConversationSummary(Value):
    id: str
    customer_id: str
    channel: Channel
    state: ConversationState
    """As of now: a takeover that ran out is over."""
    held_by: str | None = None
    held_since: Instant | None = None
    held_until: Instant | None = None
    waiting_for_customer_since: Instant | None = None
    created_at: Instant


class ConversationList(Value):
    items: tuple[ConversationSummary, ...]
    next_cursor: str | None = None


class ShownMessage(Value):
    id: str
    at: Instant
    by: str
    """`customer`, `agent` or `operator`."""
    author: str | None = None
    text: str
    interaction_id: str | None = None


class OpenHandoff(Value):
    id: str
    interaction_id: str
    kind: HandoffKind
    status: HandoffStatus
    priority: Priority
    assignee: str | None = None
    opened_at: Instant
    sla_due_at: Instant


class ConversationMoment(Value):
    at: Instant
    kind: str
    actor: str
    details: Json = {}


class ConversationDetail(ConversationSummary):
    open_handoffs: tuple[OpenHandoff, ...] = ()
    messages: tuple[ShownMessage, ...] = ()
    """Of both sides, in order; the latest ones."""
    earlier_cursor: str | None = None
    """Give it as `cursor` for the messages before these."""
    history: tuple[ConversationMoment, ...] = ()


class SentMessage(Value):
    id: str
    conversation_id: str
    at: Instant
    replayed: bool = False
    """This message was here before; nothing was sent again."""


async def conversation_detail(
    session: Session, conversation: Conversation, now: datetime, query: Page = FIRST_PAGE
) -> ConversationDetail:
    """Everything about it, as of now."""
    said = await MessageRepository(session).list(conversation.id, limit=query.limit, cursor=query.cursor)
    waiting = await TakeoverRepository(session).undecided(conversation)
    history = await ConversationRepository(session).events(conversation.id)
    return ConversationDetail(
        **summary_of(conversation, now),
        open_handoffs=tuple(OpenHandoff.model_validate(h, from_attributes=True) for h in waiting),
        messages=tuple(ShownMessage.model_validate(m, from_attributes=True) for m in reversed(said.items)),
        earlier_cursor=said.next_cursor,
        history=tuple(ConversationMoment.model_validate(e, from_attributes=True) for e in history),
    )


def summary_of(conversation: Conversation, now: datetime) -> Json:
    """The fields of `ConversationSummary`."""
    held = conversation.is_held(now)
    return {
        "id": conversation.id,
        "customer_id": conversation.customer_id,
        "channel": conversation.channel,
        "state": conversation.state_at(now),
        "held_by": conversation.holder if held else None,
        "held_since": conversation.held_since if held else None,
        "held_until": conversation.human_until if held else None,
        "waiting_for_customer_since": conversation.awaited_since,
        "created_at": conversation.created_at,
    }
