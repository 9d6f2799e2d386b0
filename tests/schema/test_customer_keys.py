"""Customers' words stand sealed in Postgres, open as long as the key is there, and cost no statement more."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from adapters.crypto import TinkSecretBox, new_keyset, with_new_primary, with_primary_only
from adapters.customer_keys import CustomerKeys
from domain.delivery import DeliveryStatus
from domain.erasure import Tombstone
from domain.errors import ConversationNotFound, CustomerNotFound, RequestIdReused
from domain.sealing import ERASED, SealBroken
from domain.values import ConversationId, CustomerId, DeliveryId, OrganisationId, RequestId
from schema import migrate, resealing
from schema.base import new_id
from schema.conversations import ConversationRepository
from schema.customers import CustomerRepository
from schema.dead_letters import Correction, DeadLetterRepository
from schema.deliveries import DeliveryRepository, NewDelivery
from schema.erasures import ErasureRepository
from schema.facts import load_facts
from schema.interactions import Claimed, InteractionRepository, NewInteraction
from schema.messages import MessageRepository
from schema.portability import SECTIONS, rows_of
from schema.records import load_recorded
from schema.resealing import RESEALER, SEALED_COLUMNS, rewrap, seal_what_is_in_clear
from schema.seals import Seals
from schema.session import Database, Session
from schema.takeovers import TakeoverRepository
from tests.canaries import Canaries, columns
from tests.postgres import PostgresServer
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, QUARTER, account, customer, request

KEYSET = new_keyset()


def seals(keyset: str = KEYSET, *, writes: bool = True) -> Seals:
    return Seals(CustomerKeys(TinkSecretBox(keyset)), writes=writes)


class Installation:
    """Processes on one database, each with what it remembers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open: list[Database] = []

    def process(self, keyset: str = KEYSET, *, writes: bool = True) -> Database:
        return self.database(seals(keyset, writes=writes))

    def database(self, own: Seals | None, **more: Any) -> Database:
        self._open.append(Database(self.url, pool_size=4, seals=own, **more))
        return self._open[-1]

    async def close(self) -> None:
        for db in self._open:
            await db.close()


@pytest.fixture
async def here(database_url_of_test: str) -> AsyncIterator[Installation]:
    installation = Installation(database_url_of_test)
    yield installation
    await installation.close()


async def said(db: Database, words: str, request_id: str = "r1", organisation: OrganisationId = ACME) -> str:
    new = request(request_id, organisation=organisation, message=words)
    claimed = await claim(db, new)
    assert claimed.interaction.message == words
    return claimed.interaction.id


async def claim(db: Database, new: NewInteraction) -> Claimed:
    return await db.one_by_one(new.organisation, lambda session: InteractionRepository(session).claim(new))


async def keys(db: Database, organisation: OrganisationId = ACME) -> list[Any]:
    async with db.transaction(organisation) as session:
        found = await session.all(text("SELECT * FROM customer_keys WHERE organisation = :organisation ORDER BY id"))
    return list(found)


async def everything(db: Database, c: Canaries, organisation: OrganisationId = ACME) -> dict[str, str]:
    """Words of Anna's in every sealed column; returns what each is."""
    who = account(name=f"Anna {c['name']}", email=c.email("email"), phone=c.phone("phone"))
    async with db.transaction(organisation) as session:
        await CustomerRepository(session).put(who, NOW)
    interaction_id = await said(db, f"I am {c['message']}", organisation=organisation)
    async with db.transaction(organisation) as session:
        here = (await ConversationRepository(session).list(ANNA)).items[0].id
        await ConversationRepository(session).hold(here, "ana", NOW + timedelta(hours=1), NOW)
        await TakeoverRepository(session).say(here, "ana", RequestId("r"), f"hello {c['operator']}", NOW)
        deliveries = DeliveryRepository(session)
        delivery = NewDelivery(interaction_id=interaction_id, customer_id=ANNA, purpose="answer", channel="email",  # type: ignore[arg-type]
                               body=f"Dear {c['reply']}", at=NOW)  # fmt: skip
        delivery_id = await deliveries.add(delivery)
        await session.run(text("UPDATE deliveries SET status = 'dead_letter' WHERE id = :id"), id=delivery_id)
        corrected = Correction(body=f"Dear {c['corrected']}", recipient=c.email("recipient"))
        await DeadLetterRepository(session).redrive(delivery_id, "ana", NOW, corrected)
    return {"interaction": interaction_id, "delivery": delivery_id, "conversation": here}


async def read_by(db: Database, ids: dict[str, str], organisation: OrganisationId = ACME) -> bytes:
    """Everything that is read of her, each way it is read."""
    seen: list[object] = []
    async with db.transaction(organisation) as session:
        seen.append(await CustomerRepository(session).find(ANNA))
        interactions, deliveries = InteractionRepository(session), DeliveryRepository(session)
        seen.append(await interactions.get(ids["interaction"]))  # type: ignore[arg-type]
        seen.append(await interactions.list())
        seen.append(await interactions.timeline(ids["interaction"]))  # type: ignore[arg-type]
        seen.append(await load_recorded(session, ids["interaction"], None))  # type: ignore[arg-type]
        seen.append(await load_facts(session, ANNA, NOW, refund_period=QUARTER))
        seen.append(await MessageRepository(session).list(ids["conversation"]))  # type: ignore[arg-type]
        seen.append(await deliveries.get(ids["delivery"]))  # type: ignore[arg-type]
        seen.append(await deliveries.message(ids["delivery"]))  # type: ignore[arg-type]
        seen.append(await deliveries.list())
    return repr(seen).encode()


async def exported(db: Database) -> bytes:
    async with db.transaction(ACME, frozen=True) as session:
        rows = [row for section in SECTIONS async for part in rows_of(session, section, ANNA) for row in part]
    return "\n".join(rows).encode()


def stored(postgres: PostgresServer, url: str, canaries: Canaries) -> dict[str, set[str]]:
    with postgres.owner(url) as owner:
        return {name: slots for name, words in columns(owner).items() if (slots := canaries.found_in(words))}


async def test_words_stand_sealed_and_every_way_of_reading_opens_them(
    here: Installation, postgres: PostgresServer
) -> None:
    c, db = Canaries(), here.process()
    ids = await everything(db, c)
    assert stored(postgres, here.url, c) == {}
    assert len(await keys(db)) == 1, "one process that goes on with what it met"
    for reader in (db, here.process()):
        assert c.found_in(await read_by(reader, ids)) == set(c.words)
        assert c.found_in(await exported(reader)) == set(c.words)
    with postgres.owner(here.url) as owner:
        found = {name for name, words in columns(owner).items() if b"\x01sealed.1." in words}
    assert found == SEALED_COLUMNS


async def test_a_corrected_mail_keeps_what_was_not_corrected(here: Installation) -> None:
    c, db = Canaries(), here.process()
    ids = await everything(db, c)
    async with db.transaction(ACME) as session:
        await session.run(text("UPDATE deliveries SET status = 'dead_letter' WHERE organisation = :organisation"))
        again = await DeadLetterRepository(session).redrive(
            DeliveryId(ids["delivery"]), "ana", NOW, Correction(recipient="new@example.com")
        )
        now = await DeliveryRepository(session).message(again.record.id)
    assert (now.body, now.recipient) == (f"Dear {c['corrected']}", "new@example.com")


async def test_whoever_has_no_keyset_or_another_one_is_told_so_and_reads_nothing(here: Installation) -> None:
    c = Canaries()
    ids = await everything(here.process(), c)
    for stranger in (here.database(None), here.process(new_keyset())):
        with pytest.raises(SealBroken):
            await read_by(stranger, ids)


async def test_words_moved_to_another_row_customer_or_column_do_not_open(
    here: Installation, postgres: PostgresServer
) -> None:
    db = here.process()
    ids = await everything(db, Canaries())
    async with db.transaction(ACME) as session:
        await CustomerRepository(session).put(account(CustomerId("cust_bert"), name="Bert"), NOW)
    for move in (
        "UPDATE customers SET name = (SELECT name FROM customers WHERE id = 'cust_bert') WHERE id = 'cust_anna'",
        "UPDATE customers SET name = email WHERE id = 'cust_anna'",
        "UPDATE customer_keys SET customer_id = 'cust_anna' WHERE customer_id = 'cust_bert'",
    ):
        with postgres.owner(here.url) as owner:
            owner.execute(move)
        with pytest.raises(SealBroken):
            await read_by(db, ids)


async def test_the_words_of_one_who_was_erased_open_nowhere_and_the_keys_are_gone(
    here: Installation, postgres: PostgresServer
) -> None:
    c, db = Canaries(), here.process()
    ids = await everything(db, c)
    with postgres.owner(here.url) as owner:
        before = owner.execute("SELECT id, message FROM interactions").fetchall()
    await erased(db)
    assert await keys(db) == []
    async with db.transaction(ACME) as session:
        shown = await InteractionRepository(session).get(ids["interaction"])  # type: ignore[arg-type]
    assert shown.message == ERASED
    # As a thief would who kept an old copy of the row, and as a page does that meets such a row.
    with postgres.owner(here.url) as owner:
        owner.execute("UPDATE interactions SET message = %s WHERE id = %s", before[0][::-1])
    for reader in (db, here.process()):
        async with reader.transaction(ACME) as session:
            assert (await InteractionRepository(session).get(ids["interaction"])).message == ERASED  # type: ignore[arg-type]
            assert {i.message for i in (await InteractionRepository(session).list()).items} == {ERASED}


async def test_a_destroyed_key_leaves_no_address_to_send_to(here: Installation, postgres: PostgresServer) -> None:
    db = here.process()
    ids = await everything(db, Canaries())
    with postgres.owner(here.url) as owner:
        owner.execute("DELETE FROM customer_keys")
    async with db.transaction(ACME) as session:
        who = await CustomerRepository(session).get_account(ANNA)
        sent = await DeliveryRepository(session).message(ids["delivery"])  # type: ignore[arg-type]
    assert (who.name, who.email, who.phone, sent.recipient, sent.body) == (ERASED, None, None, None, ERASED)


async def test_nothing_new_is_sealed_under_a_key_that_was_destroyed(here: Installation) -> None:
    """Another process erased her, and somebody new has her id: what this one remembers must not be used."""
    db, other = here.process(), here.process()
    await customer(db)
    await said(db, "before")
    (old,) = await keys(db)
    await erased(other)
    with pytest.raises(CustomerNotFound):
        await said(db, "in between", "r2")
    await customer(other)
    await said(db, "after", "r3")
    now = await keys(db)
    assert old.id not in {key.id for key in now}
    async with other.transaction(ACME) as session:
        messages = {i.message for i in (await InteractionRepository(session).list()).items}
    assert messages == {ERASED, "after"}


async def test_first_messages_at_once_in_many_processes_all_open_and_all_their_keys_go(here: Installation) -> None:
    await customer(here.process(writes=False))
    crowd = [here.process() for _ in range(6)]
    await asyncio.gather(*(said(db, f"words {n}", f"r{n}") for n, db in enumerate(crowd)))
    async with crowd[0].transaction(ACME) as session:
        messages = {i.message for i in (await InteractionRepository(session).list()).items}
    assert messages == {f"words {n}" for n in range(6)}
    assert 1 <= len(await keys(crowd[0])) <= 6
    await erased(crowd[1])
    assert await keys(crowd[0]) == []


async def test_profiles_stored_at_once_by_two_processes_open(here: Installation) -> None:
    async def put(db: Database, name: str) -> None:
        async with db.transaction(ACME) as session:
            await CustomerRepository(session).put(account(name=name), NOW)

    one, other = here.process(), here.process()
    await asyncio.gather(*(put(db, f"name {n}") for n in range(5) for db in (one, other)))
    async with here.process().transaction(ACME) as session:
        assert (await CustomerRepository(session).get(ANNA)).account.name.startswith("name ")
    before = len(await keys(one))
    await put(here.process(), "the last")
    assert len(await keys(one)) == before, "whoever finds one makes none"
    await erased(other)
    assert await keys(one) == []


async def test_requests_are_recognised_and_refused_as_ever(here: Installation) -> None:
    for db in (here.process(), here.database(None)):
        await customer(db)
        nowhere = request("r0", conversation_id=ConversationId("cnv_no"))
        other = replace(request("r1", message="other"), fingerprint="0" * 64)
        for _ in range(2):  # the second time with a key at hand
            with pytest.raises(ConversationNotFound):
                await claim(db, nowhere)
            await said(db, "words", "r1")
            with pytest.raises(RequestIdReused):
                await claim(db, other)
        async with db.transaction(ACME) as session:
            messages = [i.message for i in (await InteractionRepository(session).list()).items]
        assert [message for message in messages if message != ERASED] == ["words"]
        await erased(db)


async def test_organisations_have_their_own_keys(here: Installation, postgres: PostgresServer) -> None:
    db = here.process()
    for organisation in (ACME, GLOBEX):
        await customer(db, organisation=organisation)
    (acmes,), (globexs,) = await keys(db, ACME), await keys(db, GLOBEX)
    with postgres.owner(here.url) as owner:
        owner.execute("UPDATE customer_keys SET wrapped = %s WHERE organisation = 'globex'", [acmes.wrapped])
    async with db.transaction(GLOBEX) as session:
        with pytest.raises(SealBroken):
            await CustomerRepository(session).get(ANNA)
    assert acmes.wrapped != globexs.wrapped


@dataclass(frozen=True, slots=True)
class Counted(Session):
    """Counts what it sends to the database."""

    sent: list[bytes] = field(default_factory=list)

    async def _send(self, words: bytes, values: dict[str, Any], *, prepare: bool | None = None) -> Any:
        self.sent.append(words)
        return await Session._send(self, words, values, prepare=prepare)


@pytest.mark.parametrize("cold", [True, False])
async def test_a_message_costs_as_many_statements_as_in_clear(here: Installation, *, cold: bool) -> None:
    """From being taken in to being answered. Cold: in processes that do not know the customer."""
    counts = []
    for own in (None, seals()):
        db = here.database(own)
        await customer(here.database(own))
        if not cold:
            await said(db, "before", new_id("req"))
        sent: list[bytes] = []
        async with db.transaction(ACME) as plain:
            session = Counted(plain.organisation, plain.driver, seals=plain.seals, sent=sent)
            new = request(new_id("req"), message="words")
            interaction_id = (await InteractionRepository(session).claim(new)).interaction.id
        worker = here.database(seals() if own else None)
        async with worker.transaction(ACME) as plain:
            session = Counted(plain.organisation, plain.driver, seals=plain.seals, sent=sent)
            assert (await load_recorded(session, interaction_id, None)).interaction.message == "words"
            await load_facts(session, ANNA, NOW, refund_period=QUARTER)
            answer = NewDelivery(interaction_id=interaction_id, customer_id=ANNA, purpose="answer", channel="chat",
                                 body="Hello.", at=NOW, status=DeliveryStatus.DELIVERED)  # fmt: skip
            await DeliveryRepository(session).add(answer)
        counts.append(len(sent))
    assert counts == [4, 4]


async def test_what_an_older_release_wrote_is_read_and_sealed_by_the_command_once(
    here: Installation, postgres: PostgresServer
) -> None:
    c, others = Canaries(), Canaries()
    older, db = here.database(None), here.process()
    ids = await everything(older, c)
    await everything(older, others, GLOBEX)
    assert set(stored(postgres, here.url, c)) == SEALED_COLUMNS, "the control: it stands there in clear"
    assert c.found_in(await read_by(db, ids)) == set(c.words)
    owner = here.database(seals(), role=RESEALER)
    done = [each async for each in seal_what_is_in_clear(owner)]
    assert {(each.organisation, each.what) for each in done} == {
        (organisation, words.table) for organisation in (ACME, GLOBEX) for words in resealing.WORDS
    }
    assert stored(postgres, here.url, c) == stored(postgres, here.url, others) == {}
    assert c.found_in(await read_by(db, ids)) == set(c.words)
    assert c.found_in(await exported(db)) == set(c.words)
    assert [each async for each in seal_what_is_in_clear(owner)] == []


async def test_more_rows_than_are_sealed_at_once_are_all_sealed(here: Installation, postgres: PostgresServer) -> None:
    c, older = Canaries(), here.database(None)
    await customer(older)
    for number in range(resealing.AT_ONCE + 5):
        await said(older, f"I am {c['message']}", f"r{number}")
    async for _ in seal_what_is_in_clear(here.database(seals(), role=RESEALER)):
        pass
    assert stored(postgres, here.url, c) == {}


async def test_a_change_over_writes_in_clear_and_reads_what_is_sealed(
    here: Installation, postgres: PostgresServer
) -> None:
    c, late = Canaries(), Canaries()
    ids = await everything(here.process(), c)
    beside = here.process(writes=False)
    assert c.found_in(await read_by(beside, ids)) == set(c.words)
    await said(beside, f"I am {late['late']}", "r2")
    assert set(stored(postgres, here.url, late)) == {"interactions.message"}


async def test_the_keyset_is_rotated_and_the_old_key_is_taken_away(here: Installation) -> None:
    c = Canaries()
    ids = await everything(here.process(), c)
    both = with_new_primary(KEYSET)
    rotated = [done async for done in rewrap(here.database(seals(both), role=RESEALER))]
    assert [(done.organisation, done.rows) for done in rotated] == [(ACME, 1)]
    only_new = with_primary_only(both)
    assert c.found_in(await read_by(here.process(only_new), ids)) == set(c.words)
    with pytest.raises(SealBroken):  # the control: it was needed
        await read_by(here.process(), ids)


async def test_the_migration_goes_down_only_while_there_is_no_key(here: Installation) -> None:
    await everything(here.process(writes=False), Canaries())
    migrate.downgrade(here.url, "0016")
    migrate.upgrade(here.url)
    await customer(here.process())
    with pytest.raises(DBAPIError, match="are sealed"):
        migrate.downgrade(here.url, "0016")
    migrate.upgrade(here.url)
    assert migrate.at_head(here.url)
    assert len(await keys(here.process())) == 1


async def test_a_command_of_the_owners_sees_one_organisation_at_a_time(here: Installation) -> None:
    for organisation in (ACME, GLOBEX):
        await customer(here.process(), organisation=organisation)
    db = here.database(seals(), role=RESEALER)
    async with db.transaction(ACME) as session:
        assert {row.organisation for row in await session.all(text("SELECT organisation FROM customer_keys"))} == {ACME}


async def erased(db: Database, customer_id: CustomerId = ANNA) -> None:
    stone = Tombstone(id=new_id("ers"), organisation=ACME, subject="s", by="ana", at=NOW)
    async with db.transaction(ACME) as session:
        await ErasureRepository(session).request(stone, customer_id, stone.id)
        await ErasureRepository(session).erase(stone.id, NOW)
