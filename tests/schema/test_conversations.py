"""Who holds a conversation, for how long, and what is said there."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from domain.conversation import ClockEvent, ConversationState
from domain.errors import Conflict, ConversationNotFound, RequestIdReused
from domain.facts import ConversationFacts
from domain.handoff import HandoffDecision, HandoffKind
from domain.values import Channel, ConversationId, RequestId
from schema.conversations import Conversation, ConversationRepository
from schema.corrections import check_correctable
from schema.effects import EffectRepository
from schema.facts import load_facts
from schema.handoffs import Handoff, HandoffRepository
from schema.messages import MessageRepository
from schema.session import Database, Session
from schema.takeovers import Asked, TakeoverRepository
from tests.schema.given import ACME, ANNA, NOW, QUARTER, UNKNOWN_CONVERSATION, customer, decided, interaction, mail
from tests.schema.given import handoff as given_handoff

HOUR = timedelta(hours=1)
_FINISH = text("UPDATE interactions SET finished_at = :at WHERE organisation = :organisation AND id = :id")


async def own(session: Session) -> ConversationId:
    """Anna's conversation."""
    return (await ConversationRepository(session).list(ANNA)).items[0].id


async def takeover(session: Session) -> Handoff:
    return await given_handoff(session, kind=HandoffKind.TAKEOVER)


async def facts(session: Session, at: datetime) -> ConversationFacts:
    conversation = await own(session)
    return (await load_facts(session, ANNA, at, refund_period=QUARTER, conversation_id=conversation)).conversation


async def test_a_hold_begins_ends_and_runs_out_with_the_clock_that_is_given(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        conversations, here = ConversationRepository(session), await own(session)
        held = await conversations.hold(here, "ana", NOW + HOUR, NOW, note="calls back")
        assert (held.holder, held.held_since, held.human_until) == ("ana", NOW, NOW + HOUR)
        assert [held.state_at(NOW + t) for t in (timedelta(0), HOUR - timedelta(microseconds=1), HOUR)] == [
            ConversationState.HUMAN,
            ConversationState.HUMAN,
            ConversationState.OPEN,
        ]
        again = await conversations.hold(here, "ana", NOW + 3 * HOUR, NOW + HOUR / 2)
        assert (again.held_since, again.human_until) == (NOW, NOW + 3 * HOUR)
        back = await conversations.give_back(here, "ana", NOW + HOUR)
        assert (back.state, back.holder, back.human_until) == (ConversationState.OPEN, None, None)
        assert await conversations.give_back(here, "ana", NOW + HOUR) == back
        events = await conversations.events(here)
    assert [(e.kind, e.actor) for e in events] == [("taken_over", "ana"), ("taken_over", "ana"), ("released", "ana")]
    assert events[0].details["note"] == "calls back"


async def test_somebody_elses_is_refused_until_it_runs_out_unless_overridden(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        conversations, here = ConversationRepository(session), await own(session)
        await conversations.hold(here, "ana", NOW + HOUR, NOW)
        for refused in (
            conversations.hold(here, "ben", NOW + HOUR, NOW),
            conversations.give_back(here, "ben", NOW),
            conversations.close(here, "ben", NOW),
        ):
            with pytest.raises(Conflict) as error:
                await refused
            assert error.value.details == {"by": "ana", "until": NOW + HOUR}
        assert (await conversations.hold(here, "root", NOW + HOUR, NOW, override=True)).holder == "root"
        assert (await conversations.hold(here, "ben", NOW + 3 * HOUR, NOW + HOUR)).holder == "ben"


async def test_closed_is_reopened_by_the_customer_and_taken_over_by_a_person(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        conversations, here = ConversationRepository(session), await own(session)
        closed = await conversations.close(here, "ana", NOW)
        assert (await conversations.close(here, "ana", NOW), await conversations.give_back(here, "ana", NOW)) == (
            closed,
            closed,
        )
        assert (await conversations.reopen(here, "customer", NOW)).state is ConversationState.OPEN
        assert (await conversations.reopen(here, "customer", NOW)).state is ConversationState.OPEN
        await conversations.close(here, "ana", NOW)
        assert (await conversations.hold(here, "ana", NOW + HOUR, NOW)).state is ConversationState.HUMAN
        kinds = [e.kind for e in await conversations.events(here)]
    assert kinds == ["closed", "reopened", "closed", "taken_over"]


async def test_an_unknown_conversation_is_not_found(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        conversations = ConversationRepository(session)
        for missing in (
            conversations.hold(UNKNOWN_CONVERSATION, "ana", NOW + HOUR, NOW),
            conversations.close(UNKNOWN_CONVERSATION, "ana", NOW),
            TakeoverRepository(session).say(UNKNOWN_CONVERSATION, "ana", RequestId("r"), "hi", NOW),
        ):
            with pytest.raises(ConversationNotFound):
                await missing


async def test_the_state_is_among_the_facts_of_the_same_moment(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        conversations, here = ConversationRepository(session), await own(session)
        assert await facts(session, NOW) == ConversationFacts()
        await conversations.hold(here, "ana", NOW + HOUR, NOW)
        assert await facts(session, NOW) == ConversationFacts(held=True)
        assert await facts(session, NOW + HOUR) == ConversationFacts()
        waiting = await takeover(session)
        assert await facts(session, NOW) == ConversationFacts(held=True, asked=True)
        await HandoffRepository(session).decide(waiting.id, HandoffDecision.RESOLVED, by="ana", at=NOW)
        assert await facts(session, NOW) == ConversationFacts(held=True)
        await TakeoverRepository(session).say(here, "ana", RequestId("r"), "Which one?", NOW, waits=True)
        assert await facts(session, NOW) == ConversationFacts(held=True, awaited=True)
        await conversations.close(here, "ana", NOW)
        assert await facts(session, NOW) == ConversationFacts(closed=True, awaited=True)
        nowhere = await load_facts(session, ANNA, NOW, refund_period=QUARTER)
    assert nowhere.conversation == ConversationFacts()


async def test_one_message_asks_and_the_others_join_until_that_is_decided(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        here, takeovers = await own(session), TakeoverRepository(session)
        first, second = await interaction(session), await interaction(session)
        assert await takeovers.ask(here, first, NOW) is Asked.NOBODY
        await ConversationRepository(session).hold(here, "ana", NOW + HOUR, NOW)
        assert [await takeovers.ask(here, i, NOW) for i in (first, second, first)] == [
            Asked.FIRST,
            Asked.JOINED,
            Asked.FIRST,
        ]
        assert not await takeovers.acknowledge(here, NOW), "the holding reply has said it"
        await session.run(_FINISH, id=first, at=NOW)
        assert await takeovers.ask(here, second, NOW) is Asked.FIRST
        assert await takeovers.ask(here, second, NOW + HOUR) is Asked.NOBODY


async def test_a_claimed_takeover_holds_the_conversation_as_long_as_it_lasts(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        takeovers, handoff = TakeoverRepository(session), await takeover(session)
        held = await takeovers.hold_for(handoff, "ana", NOW + HOUR, NOW)
        assert held is not None
        assert (held.holder, held.held_for) == ("ana", handoff.id)
        renewed = await takeovers.hold_for(handoff, "ana", NOW + HOUR / 2, NOW)
        assert renewed is not None
        assert renewed.human_until == NOW + HOUR, "a claim never shortens a hold"
        with pytest.raises(Conflict):
            await takeovers.hold_for(await takeover(session), "ben", NOW + HOUR, NOW)
        await takeovers.give_back_after(handoff, NOW)
        assert (await takeovers.conversation_of(handoff)).state is ConversationState.OPEN
        events = await ConversationRepository(session).events(held.id)
    assert [e.kind for e in events] == ["taken_over", "released"], "renewing a claim is no event"


async def test_what_a_person_took_on_purpose_outlives_the_takeover(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        takeovers, handoff, here = TakeoverRepository(session), await takeover(session), await own(session)
        await ConversationRepository(session).hold(here, "ana", NOW + HOUR, NOW)
        await takeovers.hold_for(handoff, "ana", NOW + 2 * HOUR, NOW)
        await takeovers.give_back_after(handoff, NOW)
        kept = await takeovers.conversation_of(handoff)
        assert (kept.state, kept.human_until) == (ConversationState.HUMAN, NOW + 2 * HOUR)
        await ConversationRepository(session).give_back(here, "ana", NOW)
        await takeovers.hold_for(handoff, "ana", NOW + HOUR, NOW)
        await ConversationRepository(session).hold(here, "ana", NOW + HOUR, NOW)
        await takeovers.give_back_after(handoff, NOW)
        assert (await takeovers.conversation_of(handoff)).is_held_by("ana", NOW)


async def test_an_approval_holds_no_conversation(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        takeovers, approval = TakeoverRepository(session), await given_handoff(session)
        assert await takeovers.hold_for(approval, "ana", NOW + HOUR, NOW) is None
        await takeovers.give_back_after(approval, NOW)
        assert (await takeovers.conversation_of(approval)).state is ConversationState.OPEN


async def test_clock_events_are_once_per_cause_on_everything_that_waits(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        here, takeovers, handoffs = await own(session), TakeoverRepository(session), HandoffRepository(session)
        waiting, decided = await takeover(session), await takeover(session)
        await handoffs.decide(decided.id, HandoffDecision.RESOLVED, by="ana", at=NOW)
        await ConversationRepository(session).hold(here, "ana", NOW + HOUR, NOW)
        for _ in range(2):
            await takeovers.say(here, "ana", RequestId("r"), "Which one?", NOW + HOUR / 4, waits=True)
        written = await interaction(session)
        for _ in range(2):
            await takeovers.customer_answered(here, written, NOW + HOUR / 2)
        events = [e for e in await handoffs.events(waiting.id) if e.kind in list(ClockEvent)]
        silent = [e for e in await handoffs.events(decided.id) if e.kind in list(ClockEvent)]
        awaited = (await ConversationRepository(session).get(here)).awaited_since
    assert [(e.kind, e.actor, e.at) for e in events] == [
        ("waiting_for_customer", "ana", NOW + HOUR / 4),
        ("customer_answered", "customer", NOW + HOUR / 2),
    ]
    assert events[1].details == {"interaction": written}
    assert (silent, awaited) == ([], None)


async def test_only_the_holder_speaks_and_the_same_request_says_it_once(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        here, takeovers = await own(session), TakeoverRepository(session)
        with pytest.raises(Conflict):
            await takeovers.say(here, "ana", RequestId("r"), "hi", NOW, override=True)
    async with database.transaction(ACME) as session:
        takeovers = TakeoverRepository(session)
        await ConversationRepository(session).hold(here, "ana", NOW + HOUR, NOW)
        first = await takeovers.say(here, "ana", RequestId("r"), "hi", NOW)
        again = await takeovers.say(here, "ana", RequestId("r"), "hi", NOW + 2 * HOUR)
        assert (first.first, again.first, again.id) == (True, False, first.id)
        with pytest.raises(RequestIdReused):
            await takeovers.say(here, "ana", RequestId("r"), "bye", NOW)
        assert [m.text for m in (await MessageRepository(session).list(here)).items] == ["hi"]
    async with database.transaction(ACME) as session:
        with pytest.raises(Conflict) as error:
            await TakeoverRepository(session).say(here, "ben", RequestId("b"), "me", NOW)
        assert error.value.details["by"] == "ana"
    async with database.transaction(ACME) as session:
        assert (await TakeoverRepository(session).say(here, "root", RequestId("x"), "me", NOW, override=True)).first


async def test_states_are_listed_as_of_now(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        conversations, here = ConversationRepository(session), await own(session)
        await conversations.hold(here, "ana", NOW + HOUR, NOW)

        async def listed(at: datetime) -> dict[str, int]:
            pages = {s.value: await conversations.list(state=s, now=at) for s in ConversationState}
            return {name: len(page.items) for name, page in pages.items()}

        assert await listed(NOW) == {"open": 0, "human": 1, "closed": 0}
        assert await listed(NOW + HOUR) == {"open": 1, "human": 0, "closed": 0}


def test_the_state_of_a_row_that_nobody_holds_is_what_it_says() -> None:
    conversation = Conversation(UNKNOWN_CONVERSATION, ANNA, Channel.CHAT, ConversationState.CLOSED, NOW)
    assert conversation.state_at(NOW) is ConversationState.CLOSED
    assert not conversation.is_held_by("ana", NOW)


async def test_a_correction_is_followed_only_where_nothing_was_begun(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        untouched, begun = await decided(session), await decided(session)
        await EffectRepository(session).reserve([mail(begun)])
        await check_correctable(session, untouched[0])
        with pytest.raises(Conflict) as error:
            await check_correctable(session, begun[0])
    assert error.value.details == {"reason": "action_begun"}
