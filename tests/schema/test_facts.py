"""Facts, customers and invoices: what a decision sees is what the tables and the ledger hold."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.errors import CustomerNotFound, ToolRefused
from domain.facts import Facts
from domain.interaction import EffectState
from domain.values import CustomerId, InvoiceStatus, Plan, Priority
from schema.conversations import ConversationRepository, ConversationState
from schema.customers import CustomerRepository
from schema.effects import EffectRepository
from schema.facts import load_facts
from schema.invoices import InvoiceRepository
from schema.session import Database
from schema.tickets import TicketRepository
from tests.schema.given import (
    ACME,
    ANNA,
    GLOBEX,
    NOW,
    QUARTER,
    account,
    customer,
    decided,
    euros,
    handoff,
    invoice,
    mail,
    refund,
)


async def facts(db: Database) -> Facts:
    async with db.transaction(ACME) as session:
        return await load_facts(session, ANNA, NOW, refund_period=QUARTER)


async def test_facts_are_what_the_repositories_say(database: Database) -> None:
    await customer(database, invoice("inv_1"), invoice("inv_2", paid_at=NOW), invoice("inv_3", status="open"))
    async with database.transaction(ACME) as session:
        ids = await decided(session)
        effects = EffectRepository(session)
        done, _ = await effects.reserve([refund(ids, 2_500), refund(ids, 500, invoice_id="inv_2", ordinal=1)])
        await effects.settle_atomic(done, EffectState.CONFIRMED, at=NOW)
    known = await facts(database)
    async with database.transaction(ACME) as session:
        assert known.account == await CustomerRepository(session).get_account(ANNA) == account()
        assert known.invoices == await InvoiceRepository(session).get_billing(ANNA)
    assert [(i.id, i.refunded, i.in_flight) for i in known.invoices] == [
        ("inv_2", 0, 500),
        ("inv_1", 2_500, 0),
        ("inv_3", 0, 0),
    ]
    assert known.history.refunded_in_period == 3_000
    assert known.now == NOW


async def test_history_counts_only_what_lies_within_each_period(database: Database) -> None:
    await customer(database)
    ages = [timedelta(seconds=59), timedelta(seconds=61), timedelta(minutes=59), timedelta(minutes=61)]
    async with database.transaction(ACME) as session:
        ids = await decided(session)
        old = replace(refund(ids, 100, ordinal=90), at=NOW - QUARTER - timedelta(seconds=1))
        recent = [replace(mail(ids, n), at=NOW - age) for n, age in enumerate(ages)]
        await EffectRepository(session).reserve([*recent, old])
        asked = await handoff(session, opened_at=NOW - timedelta(hours=23))
        await handoff(session, opened_at=NOW - timedelta(hours=25))
        await TicketRepository(session).create_ticket("k", ANNA, "billing", Priority.NORMAL, ids[0])
    history = (await facts(database)).history
    assert (history.actions_last_minute, history.actions_last_hour) == (1, 3)
    assert (history.refunded_in_period, history.escalations_in_period, history.open_tickets) == (0, 1, 1)
    async with database.transaction(ACME) as session:
        own = await load_facts(session, ANNA, NOW, refund_period=QUARTER, interaction_id=asked.interaction_id)
    assert own.history.escalations_in_period == 0, "what it asked a person itself is no escalation before it"


async def test_nobody_has_facts_about_a_customer_of_another_organisation(database: Database) -> None:
    await customer(database, organisation=GLOBEX)
    with pytest.raises(CustomerNotFound):
        await facts(database)


async def test_a_customer_is_replaced_whole_and_keeps_its_conversation(database: Database) -> None:
    later = NOW + timedelta(hours=1)
    async with database.transaction(ACME) as session:
        repository = CustomerRepository(session)
        first = await repository.put(account(phone="+49301234567"), NOW)
        second = await repository.put(account(plan=Plan.ENTERPRISE, language="de"), later)
        conversation = await ConversationRepository(session).get(first.conversation_id)
        listed = await ConversationRepository(session).list(ANNA)
        assert listed.items == (conversation,) == (await ConversationRepository(session).list()).items
    assert (second.account.plan, second.account.language, second.account.phone) == (Plan.ENTERPRISE, "de", None)
    assert second.conversation_id == first.conversation_id
    assert (second.created_at, second.updated_at) == (NOW, later)
    assert (conversation.customer_id, conversation.state) == (ANNA, ConversationState.OPEN)


async def test_an_unknown_customer_has_no_account_and_no_invoices(database: Database) -> None:
    nobody = CustomerId("cust_none")
    async with database.transaction(ACME) as session:
        with pytest.raises(CustomerNotFound):
            await CustomerRepository(session).get_account(nobody)
        with pytest.raises(CustomerNotFound):
            await InvoiceRepository(session).put(nobody, invoice(), NOW)
        assert await InvoiceRepository(session).list(nobody) == ()


async def test_an_invoice_is_replaced_but_never_its_refunds(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        await EffectRepository(session).reserve([refund(await decided(session), 4_000)])
        changed = await InvoiceRepository(session).put(ANNA, invoice(cents=3_000, refunded=0), NOW)
    assert (changed.total, changed.in_flight, changed.refundable) == (euros(3_000), 4_000, euros(0))


class TestBooks:
    async def test_a_refund_is_booked_once_per_key(self, database: Database) -> None:
        await customer(database)
        async with database.transaction(ACME) as session:
            billing = InvoiceRepository(session)
            first = await billing.refund("key", ANNA, "inv_1", euros(10_000))
            assert await billing.refund("key", ANNA, "inv_1", euros(10_000)) == first
            for other in (("inv_1", 9_999), ("inv_2", 10_000)):
                with pytest.raises(ToolRefused):
                    await billing.refund("key", ANNA, other[0], euros(other[1]))

    @pytest.mark.parametrize(
        ("invoice_id", "cents", "currency"),
        [("inv_1", 10_001, "EUR"), ("inv_open", 1, "EUR"), ("inv_none", 1, "EUR"), ("inv_1", 1, "USD")],
    )
    async def test_the_book_itself_refuses_what_an_invoice_cannot_give(
        self, database: Database, invoice_id: str, cents: int, currency: str
    ) -> None:
        await customer(database, invoice(), invoice("inv_open", status=InvoiceStatus.OPEN))
        async with database.transaction(ACME) as session:
            amount = euros(cents).model_copy(update={"currency": currency})
            with pytest.raises(ToolRefused):
                await InvoiceRepository(session).refund("key", ANNA, invoice_id, amount)

    async def test_a_ticket_is_opened_once_per_key(self, database: Database) -> None:
        await customer(database)
        async with database.transaction(ACME) as session:
            tickets = TicketRepository(session)
            first = await tickets.create_ticket("key", ANNA, "billing", Priority.HIGH, "int_1")
            assert await tickets.create_ticket("key", ANNA, "billing", Priority.HIGH, "int_1") == first
            assert await tickets.create_ticket("other", ANNA, "billing", Priority.HIGH, "int_1") != first
            with pytest.raises(ToolRefused):
                await tickets.create_ticket("third", CustomerId("cust_none"), "billing", Priority.HIGH, "int_1")
