"""Requests: claimed once, answered once, for ever."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from domain.decision import Outcome
from domain.errors import (
    ConversationNotFound,
    CustomerNotFound,
    InteractionNotFound,
    RequestIdReused,
    RequestInvalid,
)
from domain.interaction import InteractionStatus
from domain.values import Channel, CustomerId, Intent, InteractionId, Mode
from schema.base import new_id
from schema.conversations import ConversationRepository
from schema.customers import CustomerRepository
from schema.interactions import Answered, Claimed, InteractionFilters, InteractionRepository, NewInteraction
from schema.session import Database
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, UNKNOWN_CONVERSATION, account, customer, interaction, request


async def claim(db: Database, new: NewInteraction) -> Claimed:
    async with db.transaction(new.organisation) as session:
        return await InteractionRepository(session).claim(new)


def another_body(new: NewInteraction) -> NewInteraction:
    return replace(
        new, id=InteractionId(new_id("int")), fingerprint="0" * 64, body_fields={**new.body_fields, "message": "other"}
    )


async def test_a_request_is_claimed_once_and_read_again_afterwards(database: Database) -> None:
    await customer(database)
    first = await claim(database, request())
    again = await claim(database, replace(request(), id=InteractionId(new_id("int"))))
    assert (first.created, again.created) == (True, False)
    assert again.interaction == first.interaction
    assert first.interaction.status is InteractionStatus.RUNNING
    assert first.interaction.conversation_id.startswith("cnv_")


async def test_another_body_under_the_same_key_is_refused_and_the_difference_is_named(database: Database) -> None:
    await customer(database)
    await claim(database, request())
    with pytest.raises(RequestIdReused) as refusal:
        await claim(database, another_body(request()))
    assert refusal.value.details["fields"] == ["message"]


async def test_fields_that_one_body_lacks_count_as_different(database: Database) -> None:
    await customer(database)
    await claim(database, request())
    with pytest.raises(RequestIdReused) as refusal:
        await claim(database, request(fingerprint="1", body_fields={"customerId": "a", "message": "b", "agentId": "z"}))
    assert refusal.value.details["fields"] == ["agentId", "mode"]


async def test_fifty_identical_requests_at_once_make_one_interaction(database: Database) -> None:
    """I-4"""
    await customer(database)
    bodies = [replace(request(), id=InteractionId(new_id("int"))) for _ in range(50)]
    claims = await asyncio.gather(*(claim(database, body) for body in bodies))
    assert sum(c.created for c in claims) == 1
    assert len({c.interaction.id for c in claims}) == 1


async def test_of_two_bodies_at_once_one_wins_and_every_other_is_told(database: Database) -> None:
    """I-5"""
    await customer(database)
    bodies = [request(id=InteractionId(new_id("int"))) for _ in range(25)]
    bodies += [another_body(body) for body in bodies]
    claims = await asyncio.gather(*(claim(database, body) for body in bodies), return_exceptions=True)
    served = [c for c in claims if isinstance(c, Claimed)]
    refused = [c for c in claims if isinstance(c, RequestIdReused)]
    assert (len(served), len(refused)) == (25, 25)
    assert len({c.interaction.id for c in served}) == 1
    assert sum(c.created for c in served) == 1


async def test_an_unknown_customer_burns_no_key(database: Database) -> None:
    with pytest.raises(CustomerNotFound):
        await claim(database, request())
    await customer(database)
    assert (await claim(database, request())).created


async def test_a_conversation_must_be_the_customers_own(database: Database) -> None:
    await customer(database)
    with pytest.raises(ConversationNotFound):
        await claim(database, request(conversation_id=UNKNOWN_CONVERSATION))
    async with database.transaction(ACME) as session:
        own = await ConversationRepository(session).open(ANNA, Channel.API, NOW)
    assert (await claim(database, request(conversation_id=own.id))).interaction.conversation_id == own.id
    with pytest.raises(ConversationNotFound):
        await claim(database, request("req_2", organisation=ACME, conversation_id=own.id + "x"))


async def test_another_customers_conversation_is_not_found(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        otto = await CustomerRepository(session).put(account(CustomerId("cust_otto")), NOW)
    with pytest.raises(ConversationNotFound):
        await claim(database, request(conversation_id=otto.conversation_id))


async def test_keys_do_not_cross_organisations(database: Database) -> None:
    """I-9"""
    await customer(database)
    await customer(database, organisation=GLOBEX)
    mine = await claim(database, request())
    theirs = await claim(database, another_body(request(organisation=GLOBEX)))
    assert theirs.created
    assert theirs.interaction.id != mine.interaction.id


async def test_an_interaction_cannot_be_claimed_for_another_organisation(database: Database) -> None:
    async with database.transaction(ACME) as session:
        with pytest.raises(ValueError, match="own organisation"):
            await InteractionRepository(session).claim(request(organisation=GLOBEX))


async def give_answer(
    db: Database, interaction_id: InteractionId, words: str, status: InteractionStatus = InteractionStatus.COMPLETED
) -> Answered:
    async with db.transaction(ACME) as session:
        return await InteractionRepository(session).answer(
            interaction_id,
            status=status,
            intent=Intent.GREETING,
            confidence=0.5,
            outcome=Outcome.PROCEED,
            reply=words,
            answer={"reply": words},
            at=NOW,
        )


async def test_the_first_answer_stands_however_many_are_given_at_once(database: Database) -> None:
    await customer(database)
    interaction_id = (await claim(database, request())).interaction.id
    given = await asyncio.gather(*(give_answer(database, interaction_id, f"answer {n}") for n in range(20)))
    assert sum(a.first for a in given) == 1
    assert len({a.answer["reply"] for a in given}) == 1
    async with database.transaction(ACME) as session:
        stored = await InteractionRepository(session).get(interaction_id)
        assert stored.answer == given[0].answer == await InteractionRepository(session).read_answer(interaction_id)
    assert stored.finished_at == NOW


async def test_a_waiting_interaction_is_finished_once_and_keeps_its_first_answer(database: Database) -> None:
    await customer(database)
    interaction_id = (await claim(database, request())).interaction.id
    await give_answer(database, interaction_id, "A colleague looks.", InteractionStatus.WAITING_FOR_HUMAN)
    async with database.transaction(ACME) as session:
        repository = InteractionRepository(session)
        assert (await repository.get(interaction_id)).finished_at is None
        assert await repository.finish(interaction_id, InteractionStatus.COMPLETED, "Done.", NOW)
        assert not await repository.finish(interaction_id, InteractionStatus.FAILED, "No.", NOW)
        stored = await repository.get(interaction_id)
    assert (stored.status, stored.reply, stored.answer) == (
        InteractionStatus.COMPLETED,
        "Done.",
        {"reply": "A colleague looks."},
    )


async def test_what_does_not_exist_is_not_found(database: Database) -> None:
    async with database.transaction(ACME) as session:
        repository = InteractionRepository(session)
        for question in (repository.get, repository.read_answer, repository.timeline):
            with pytest.raises(InteractionNotFound):
                await question(InteractionId("int_none"))


async def test_the_list_pages_through_everything_newest_first_without_gaps(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        made = [
            await interaction(session, created_at=NOW + timedelta(seconds=n // 3), mode=list(Mode)[n % 2])
            for n in range(25)
        ]
        repository = InteractionRepository(session)
        seen, cursor = [], None
        while True:
            page = await repository.list(limit=7, cursor=cursor)
            seen += [i.id for i in page.items]
            if (cursor := page.next_cursor) is None:
                break
        shadow = await repository.list(InteractionFilters(mode=Mode.SHADOW), limit=200)
        late = await repository.list(InteractionFilters(since=NOW + timedelta(seconds=8)))
        early = await repository.list(InteractionFilters(until=NOW + timedelta(seconds=1), customer_id=ANNA))
        nobody = await repository.list(InteractionFilters(customer_id=CustomerId("cust_none")))
        running = await repository.list(InteractionFilters(status=InteractionStatus.RUNNING), limit=200)
        completed = await repository.list(InteractionFilters(status=InteractionStatus.COMPLETED))
        greeting = await repository.list(InteractionFilters(intent=Intent.GREETING))
    assert seen == list(reversed(made))
    assert [i.id for i in shadow.items] == list(reversed(made[1::2]))
    assert [i.id for i in late.items] == [made[24]]
    assert [i.id for i in early.items] == [made[2], made[1], made[0]]
    assert len(running.items) == 25
    assert nobody.items == completed.items == greeting.items == ()


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "WyJhIiwgImIiXQ", "ÿ", "null", "WyIyMDI2LTExLTIwVDEyOjAwOjAwIiwgImlkIl0"]
)
async def test_a_cursor_that_is_not_ours_is_refused(database: Database, cursor: str) -> None:
    async with database.transaction(ACME) as session:
        with pytest.raises(RequestInvalid):
            await InteractionRepository(session).list(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_a_page_has_between_1_and_200_rows(database: Database, limit: int) -> None:
    async with database.transaction(ACME) as session:
        with pytest.raises(RequestInvalid):
            await InteractionRepository(session).list(limit=limit)
