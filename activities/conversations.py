"""Where a person holds the conversation, or nothing was asked: the agent keeps still. Parts of judging and of replying,
in the same transactions; a normal message costs none of this a statement."""

from datetime import datetime

from activities.record import Record
from domain.conversation import (
    NoReply,
    is_left_unanswered,
    is_passed_on,
    left_unanswered,
    needs_no_reply,
    passed_on_reply,
    taken_over,
    wants_a_person,
)
from domain.decision import Decision, Outcome
from domain.facts import Facts
from domain.interaction import InteractionRef
from domain.values import Mode
from schema.conversations import ConversationRepository
from schema.interactions import Interaction
from schema.session import Session
from schema.takeovers import Asked, TakeoverRepository


async def in_its_conversation(
    session: Session, ref: InteractionRef, interaction: Interaction, decision: Decision, facts: Facts
) -> Decision:
    """The decision as it stands, given who answers in the conversation. Shadow looks and changes nothing."""
    here, live = facts.conversation, ref.mode is Mode.LIVE
    if interaction.proposal is not None:  # nobody wrote: it is no answer, and reopens nothing
        return await _unless_held(session, interaction, decision, facts, live=live)
    why = needs_no_reply(interaction.message)
    if live and why is not NoReply.AUTOMATIC and (here.held or here.awaited):
        await TakeoverRepository(session).customer_answered(interaction.conversation_id, interaction.id, facts.now)
    held = await _unless_held(session, interaction, decision, facts, live=live, why=why)
    if held is not decision:
        return held
    if why and _can_be_left(decision, facts, why):
        return left_unanswered(decision, why)
    if live and here.closed:
        await ConversationRepository(session).reopen(interaction.conversation_id, "customer", facts.now)
    return decision


async def _unless_held(
    session: Session,
    interaction: Interaction,
    decision: Decision,
    facts: Facts,
    *,
    live: bool,
    why: NoReply | None = None,
) -> Decision:
    """The very decision, unless a person holds the conversation."""
    if not facts.conversation.held:
        return decision
    asked = await _ask(session, interaction, facts, live=live, why=why)
    return decision if asked is Asked.NOBODY else taken_over(decision, joined=asked is Asked.JOINED, why=why)


async def kept_still(session: Session, record: Record, now: datetime) -> str | None:
    """What is said where the agent keeps still, perhaps nothing (the empty text); None where it answers itself."""
    decision, interaction = record.decision, record.interaction
    if decision is None or not (is_passed_on(decision) or is_left_unanswered(decision)):
        return None
    if is_left_unanswered(decision):
        return ""
    live = interaction.mode is Mode.LIVE
    words = passed_on_reply(decision, acknowledged=False)
    if words and live and not await TakeoverRepository(session).acknowledge(interaction.conversation_id, now):
        return passed_on_reply(decision, acknowledged=True)
    return words


async def _ask(session: Session, interaction: Interaction, facts: Facts, *, live: bool, why: NoReply | None) -> Asked:
    """What needs no answer asks nobody; neither does shadow, which shows what live would do."""
    if not live or why:
        return Asked.JOINED if why or facts.conversation.asked else Asked.FIRST
    return await TakeoverRepository(session).ask(interaction.conversation_id, interaction.id, facts.now)


def _can_be_left(decision: Decision, facts: Facts, why: NoReply) -> bool:
    """A machine is never answered; a courtesy only where an answer would bother a person or reopen what is closed."""
    if wants_a_person(decision):
        return False
    return why is NoReply.AUTOMATIC or facts.conversation.closed or decision.outcome is Outcome.ASK_HUMAN
