"""Takeovers as a conversation sees them: who was asked, what the customer said meanwhile, and what a person says."""

from dataclasses import replace
from datetime import datetime
from enum import Enum

from sqlalchemy import text

from domain.conversation import ClockEvent
from domain.errors import Conflict
from domain.handoff import HandoffKind
from domain.values import Channel, ConversationId, InteractionId, Json, RequestId
from schema.base import json_values
from schema.conversation_rows import ASKED, COLUMNS, Conversation, read_conversation
from schema.conversations import ConversationRepository, held_by_another
from schema.customers import CustomerRepository
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.handoff_rows import COLUMNS as HANDOFF
from schema.handoff_rows import REVISED, read_handoff
from schema.handoffs import Handoff
from schema.messages import Added, MessageRepository, NewMessage
from schema.session import Session
from schema.wakes import WakeRepository

OPERATOR_MESSAGE = "operator_message"
"""The kind of a handoff's event when a person wrote to the customer without deciding it; also a delivery's purpose."""


class Asked(Enum):
    """What became of asking a person to answer a message."""

    FIRST = "first"
    """This interaction asks: it opens the takeover and waits."""
    JOINED = "joined"
    """Somebody has been asked already."""
    NOBODY = "nobody"
    """The person gave the conversation back in this moment: the agent answers."""


_ASK = text(
    f"""
    UPDATE conversations v SET
        asked_by = CASE WHEN {ASKED} THEN v.asked_by ELSE :interaction_id END,
        acknowledged_at = CASE WHEN {ASKED} THEN v.acknowledged_at ELSE coalesce(v.acknowledged_at, :at) END
    WHERE v.organisation = :organisation AND v.id = :id AND v.state = 'human' AND v.human_until > :at
    RETURNING v.asked_by IS NOT DISTINCT FROM :interaction_id AS is_first
    """
)
_ACKNOWLEDGE = text(
    """
    UPDATE conversations SET acknowledged_at = :at
    WHERE organisation = :organisation AND id = :id AND acknowledged_at IS NULL
    """
)
_AWAIT = text("UPDATE conversations SET awaited_since = :at WHERE organisation = :organisation AND id = :id")
_UNDECIDED = text(
    f"""
    SELECT {HANDOFF} FROM handoffs h {REVISED}
    JOIN interactions i ON i.organisation = h.organisation AND i.id = h.interaction_id
    WHERE h.organisation = :organisation AND h.customer_id = :customer_id AND h.decision IS NULL
        AND i.conversation_id = :id
    ORDER BY h.opened_at, h.id
    """
)
_STAYS = text("SELECT FROM handoffs WHERE organisation = :organisation AND id = :id FOR KEY SHARE")
_NOTE = text(
    """
    INSERT INTO handoff_events (organisation, id, handoff_id, kind, actor, at, details)
    SELECT organisation, 'hev_' || md5(id || :kind || :cause), id, :kind, :actor, :at, :details
    FROM handoffs WHERE organisation = :organisation AND id = :id
    ON CONFLICT DO NOTHING
    """
).bindparams(*json_values("details"))
_OF_INTERACTION = text(
    f"""
    SELECT {COLUMNS} FROM conversations WHERE organisation = :organisation AND id = (
        SELECT i.conversation_id FROM interactions i WHERE i.organisation = :organisation AND i.id = :interaction_id)
    """
)
_LATEST = text(
    """
    SELECT id FROM interactions WHERE organisation = :organisation AND conversation_id = :id AND mode = 'live'
    ORDER BY created_at DESC, id DESC LIMIT 1
    """
)


class TakeoverRepository:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._conversations = ConversationRepository(session)

    async def ask(self, conversation_id: ConversationId, interaction_id: InteractionId, at: datetime) -> Asked:
        """Ask the person who holds the conversation to answer this message; of many at once exactly one is first."""
        row = await self._session.first(_ASK, id=conversation_id, interaction_id=interaction_id, at=at)
        if row is None:
            return Asked.NOBODY
        return Asked.FIRST if row.is_first else Asked.JOINED

    async def acknowledge(self, conversation_id: ConversationId, at: datetime) -> bool:
        """True once per hold: the customer has not yet heard that a person has it."""
        return await self._session.run(_ACKNOWLEDGE, id=conversation_id, at=at) == 1

    async def undecided(self, conversation: Conversation) -> tuple[Handoff, ...]:
        """What waits for a person in this conversation, oldest first."""
        rows = await self._session.all(_UNDECIDED, id=conversation.id, customer_id=conversation.customer_id)
        return tuple(map(read_handoff, rows))

    async def customer_answered(
        self, conversation_id: ConversationId, interaction_id: InteractionId, at: datetime
    ) -> None:
        """The customer wrote: put on record for everything that waits for a person there. Clocks go on."""
        conversation = await self._conversations.get(conversation_id)
        for handoff in await self.undecided(conversation):
            await self.record_clock_event(
                handoff, ClockEvent.CUSTOMER_ANSWERED, "customer", at, interaction_id, {"interaction": interaction_id}
            )
        if conversation.awaited_since is not None:
            await self._session.run(_AWAIT, id=conversation_id, at=None)

    async def record_clock_event(
        self, handoff: Handoff, kind: ClockEvent, actor: str, at: datetime, cause: str, details: Json
    ) -> None:
        """Once per handoff, kind and cause (the id of what made it happen)."""
        await self._note(handoff, kind.value, actor, at, cause, details)
        await WakeRepository(self._session).wake(handoff.id, at)

    async def say(
        self, conversation_id: ConversationId, by: str, request_id: RequestId, words: str, at: datetime, *,
        waits: bool = False, override: bool = False,
    ) -> Added:  # fmt: skip
        """`by` writes to the customer; decides nothing. A repeat returns the first and sends nothing again.

        `Conflict` unless `by` holds the conversation; with `override` somebody must.
        """
        # Handoffs before the conversation, as whoever decides or claims one does: nobody waits for each other.
        waiting = await self.undecided(await self._conversations.get(conversation_id))
        for handoff in waiting:
            await self._session.first(_STAYS, id=handoff.id)
        conversation = await self._conversations.get(conversation_id, lock=True)
        takeover = next((h for h in waiting if h.kind is HandoffKind.TAKEOVER), None)
        new = NewMessage(
            conversation_id=conversation_id,
            customer_id=conversation.customer_id,
            interaction_id=takeover.interaction_id if takeover else await self._latest(conversation_id),
            handoff_id=takeover.id if takeover else None,
            author=by,
            request_id=request_id,
            body=words,
            waits=waits,
            at=at,
        )
        if before := await MessageRepository(self._session).find(new):
            return before
        _check_voice(conversation, by, at, override=override)
        added = await MessageRepository(self._session).add(new)
        await self._send(conversation, new, added.id)
        await self.acknowledge(conversation_id, at)
        for handoff in waiting:
            await self._note(handoff, OPERATOR_MESSAGE, by, at, added.id, {"message": added.id})
        if waits:
            await self._wait_for_customer(waiting, new, added.id)
        return added

    async def hold_for(
        self, handoff: Handoff, by: str, until: datetime, at: datetime, *, override: bool = False
    ) -> Conversation | None:
        """`by` has claimed this takeover: its conversation is theirs too, for as long. None for other kinds."""
        if handoff.kind is not HandoffKind.TAKEOVER:
            return None
        conversation = await self.conversation_of(handoff)
        return await self._conversations.hold(conversation.id, by, until, at, handoff_id=handoff.id, override=override)

    async def follow(self, handoff: Handoff, by: str, at: datetime, *, override: bool = False) -> None:
        """A takeover has changed hands, by `by`: its conversation goes with it, to whoever has it now, or back to the
        agent. `Conflict` if somebody else holds the conversation for another reason, unless `override`."""
        if handoff.kind is not HandoffKind.TAKEOVER:
            return
        if handoff.decision is not None or handoff.assignee is None or handoff.claimed_until is None:
            await self.give_back_after(handoff, at)
            return
        now = await self.conversation_of(handoff)
        is_ours = by == now.holder or now.held_for == handoff.id
        await self.hold_for(handoff, handoff.assignee, handoff.claimed_until, at, override=override or is_ours)

    async def give_back_after(self, handoff: Handoff, at: datetime) -> None:
        """The takeover is decided or released: a hold that its claim began ends with it. What a person took on
        purpose stays theirs."""
        conversation = await self.conversation_of(handoff)
        if conversation.holder and conversation.held_for == handoff.id:
            await self._conversations.give_back(conversation.id, conversation.holder, at, override=True)

    async def conversation_of(self, handoff: Handoff) -> Conversation:
        row = await self._session.first(_OF_INTERACTION, interaction_id=handoff.interaction_id)
        assert row is not None
        return read_conversation(row)

    async def _wait_for_customer(self, waiting: tuple[Handoff, ...], new: NewMessage, message_id: str) -> None:
        for handoff in waiting:
            await self.record_clock_event(
                handoff, ClockEvent.WAITING_FOR_CUSTOMER, new.author, new.at, message_id, {"message": message_id}
            )
        await self._session.run(_AWAIT, id=new.conversation_id, at=new.at)

    async def _send(self, conversation: Conversation, new: NewMessage, message_id: str) -> None:
        """On the conversation's channel; where that is not read live, by e-mail too."""
        delivery = NewDelivery(
            interaction_id=new.interaction_id,
            customer_id=new.customer_id,
            purpose=f"{OPERATOR_MESSAGE}.{message_id}",
            channel=conversation.channel.value,
            body=new.body,
            at=new.at,
            status=DeliveryStatus.DELIVERED,
        )
        await DeliveryRepository(self._session).add(delivery)
        if conversation.channel is not Channel.CHAT and await self._has_email(conversation):
            mail = replace(delivery, channel="email", status=DeliveryStatus.PENDING, sent_by_workflow=True)
            await DeliveryRepository(self._session).add(mail)

    async def _has_email(self, conversation: Conversation) -> bool:
        customer = await CustomerRepository(self._session).get(conversation.customer_id)
        return bool(customer.account.email)

    async def _latest(self, conversation_id: ConversationId) -> InteractionId | None:
        row = await self._session.first(_LATEST, id=conversation_id)
        return None if row is None else InteractionId(row.id)

    async def _note(self, handoff: Handoff, kind: str, actor: str, at: datetime, cause: str, details: Json) -> None:
        await self._session.run(_NOTE, id=handoff.id, kind=kind, actor=actor, at=at, cause=cause, details=details)


def _check_voice(conversation: Conversation, by: str, at: datetime, *, override: bool) -> None:
    if conversation.is_held_by(by, at) or (override and conversation.is_held(at)):
        return
    if conversation.is_held(at):
        raise held_by_another(conversation)
    raise Conflict("take the conversation over first", state=conversation.state_at(at))
