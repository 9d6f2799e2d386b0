"""What every implementation of a port must do, the fakes like the real ones.

A suite is a class without `Test` in its name. To hold another implementation to it, inherit from the suite in a class
named `Test…` and give it the fixture the suite asks for.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from adapters.gateways.smtp import SmtpMailGateway
from adapters.llm.embedded import EmbeddedIntentModel
from domain.errors import CustomerNotFound, ToolRefused
from domain.facts import Account, Invoice
from domain.ports import (
    AccountGateway,
    BillingGateway,
    IntentModel,
    IntentScores,
    MailGateway,
    OutboundMail,
    TicketGateway,
)
from domain.values import AccountStatus, CustomerId, Intent, InvoiceStatus, Money, OrganisationId, Plan, Priority
from schema.customers import CustomerRepository
from schema.invoices import InvoiceRepository
from schema.session import Database, Session
from schema.tickets import TicketRepository
from tests.adapters.mail_server import MailServer, mail_server
from tests.fakes import FakeIntentModel, FakeMail, FakeWorld

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ADA, BOB = CustomerId("cust_ada"), CustomerId("cust_bob")


def euros(cents: int) -> Money:
    return Money(amount=cents, currency="EUR")


def account(customer_id: CustomerId = ADA) -> Account:
    return Account(
        customer_id=customer_id,
        name="Ada Example",
        email="ada@example.com",
        plan=Plan.PRO,
        status=AccountStatus.ACTIVE,
        language="en",
    )


def invoice(invoice_id: str = "inv_1", cents: int = 4900, *, days_ago: int | None = 5) -> Invoice:
    return Invoice(
        id=invoice_id,
        total=euros(cents),
        status=InvoiceStatus.OPEN if days_ago is None else InvoiceStatus.PAID,
        paid_at=None if days_ago is None else NOW - timedelta(days=days_ago),
    )


class Books(Protocol):
    """One store of customers, invoices and tickets, with the means to fill it."""

    @property
    def accounts(self) -> AccountGateway: ...
    @property
    def billing(self) -> BillingGateway: ...
    @property
    def tickets(self) -> TicketGateway: ...
    async def put_account(self, account: Account) -> None: ...
    async def put_invoice(self, customer_id: CustomerId, invoice: Invoice) -> None: ...


class AccountGatewaySuite:
    """Asks for the fixture `books`."""

    async def test_an_account_is_read_as_it_was_put(self, books: Books) -> None:
        await books.put_account(account())
        assert await books.accounts.get_account(ADA) == account()

    async def test_an_unknown_customer_is_not_found(self, books: Books) -> None:
        with pytest.raises(CustomerNotFound):
            await books.accounts.get_account(ADA)


class BillingGatewaySuite:
    """Asks for the fixture `books`."""

    async def test_invoices_come_latest_payment_first_and_unpaid_last(self, books: Books) -> None:
        await books.put_account(account())
        for each in (invoice("old", days_ago=9), invoice("open", days_ago=None), invoice("new", days_ago=1)):
            await books.put_invoice(ADA, each)
        assert [i.id for i in await books.billing.get_billing(ADA)] == ["new", "old", "open"]

    async def test_a_customer_without_invoices_has_none(self, books: Books) -> None:
        await books.put_account(account())
        assert await books.billing.get_billing(ADA) == ()

    async def test_one_customers_invoices_are_not_anothers(self, books: Books) -> None:
        await self._two_customers(books)
        assert await books.billing.get_billing(BOB) == ()

    async def test_a_refund_says_what_was_given_back(self, books: Books) -> None:
        await self._two_customers(books)
        receipt = await books.billing.refund("eff_1", ADA, "inv_1", euros(1500))
        assert (receipt.invoice_id, receipt.amount) == ("inv_1", euros(1500))
        assert receipt.refund_id

    async def test_a_repeat_under_the_same_key_returns_the_first_receipt(self, books: Books) -> None:
        await self._two_customers(books)
        first = await books.billing.refund("eff_1", ADA, "inv_1", euros(4900))
        assert await books.billing.refund("eff_1", ADA, "inv_1", euros(4900)) == first

    async def test_two_keys_are_two_refunds(self, books: Books) -> None:
        await self._two_customers(books)
        first = await books.billing.refund("eff_1", ADA, "inv_1", euros(100))
        second = await books.billing.refund("eff_2", ADA, "inv_1", euros(100))
        assert first.refund_id != second.refund_id

    @pytest.mark.parametrize(
        ("customer_id", "invoice_id", "amount"),
        [
            (ADA, "inv_9", euros(1)),
            (BOB, "inv_1", euros(1)),
            (ADA, "inv_1", Money(amount=1, currency="USD")),
            (ADA, "inv_1", euros(4901)),
            (ADA, "inv_open", euros(1)),
        ],
    )
    async def test_what_was_not_paid_is_not_given_back(
        self, books: Books, customer_id: CustomerId, invoice_id: str, amount: Money
    ) -> None:
        await self._two_customers(books)
        with pytest.raises(ToolRefused):
            await books.billing.refund("eff_1", customer_id, invoice_id, amount)

    async def test_refunds_together_do_not_exceed_the_invoice(self, books: Books) -> None:
        await self._two_customers(books)
        await books.billing.refund("eff_1", ADA, "inv_1", euros(4000))
        with pytest.raises(ToolRefused):
            await books.billing.refund("eff_2", ADA, "inv_1", euros(901))
        assert (await books.billing.refund("eff_3", ADA, "inv_1", euros(900))).amount == euros(900)

    async def test_a_key_does_not_stand_for_two_different_refunds(self, books: Books) -> None:
        await self._two_customers(books)
        await books.billing.refund("eff_1", ADA, "inv_1", euros(100))
        with pytest.raises(ToolRefused):
            await books.billing.refund("eff_1", ADA, "inv_1", euros(200))

    async def _two_customers(self, books: Books) -> None:
        for customer in (ADA, BOB):
            await books.put_account(account(customer))
        await books.put_invoice(ADA, invoice())
        await books.put_invoice(ADA, invoice("inv_open", days_ago=None))


class TicketGatewaySuite:
    """Asks for the fixture `books`."""

    async def test_a_repeat_under_the_same_key_returns_the_first_ticket(self, books: Books) -> None:
        await books.put_account(account())
        first = await books.tickets.create_ticket("eff_1", ADA, "complaint", Priority.HIGH, "int_1")
        assert first.ticket_id
        assert await books.tickets.create_ticket("eff_1", ADA, "complaint", Priority.HIGH, "int_1") == first

    async def test_two_keys_are_two_tickets(self, books: Books) -> None:
        await books.put_account(account())
        first = await books.tickets.create_ticket("eff_1", ADA, "complaint", Priority.LOW, "int_1")
        assert await books.tickets.create_ticket("eff_2", ADA, "complaint", Priority.LOW, "int_1") != first

    async def test_nobody_gets_no_ticket(self, books: Books) -> None:
        with pytest.raises(ToolRefused):
            await books.tickets.create_ticket("eff_1", ADA, "complaint", Priority.LOW, "int_1")

    async def test_a_key_does_not_stand_for_the_tickets_of_two_customers(self, books: Books) -> None:
        for customer in (ADA, BOB):
            await books.put_account(account(customer))
        await books.tickets.create_ticket("eff_1", ADA, "complaint", Priority.LOW, "int_1")
        with pytest.raises(ToolRefused):
            await books.tickets.create_ticket("eff_1", BOB, "complaint", Priority.LOW, "int_2")


class Post(Protocol):
    """A mail gateway and the Message-IDs of what arrived."""

    @property
    def gateway(self) -> MailGateway: ...
    def arrived(self) -> list[str]: ...


class MailGatewaySuite:
    """Asks for the fixture `post`."""

    async def test_a_mail_arrives_under_the_id_it_was_given(self, post: Post) -> None:
        receipt = await post.gateway.send(self._mail())
        assert receipt.message_id == "<eff_1@holdfast.invalid>"
        assert receipt.response.startswith("250")
        assert post.arrived() == ["<eff_1@holdfast.invalid>"]

    async def test_every_attempt_carries_the_same_id(self, post: Post) -> None:
        for _ in range(3):
            await post.gateway.send(self._mail())
        assert set(post.arrived()) == {"<eff_1@holdfast.invalid>"}

    @pytest.mark.parametrize("field", ["to", "subject", "message_id"])
    @pytest.mark.parametrize("injected", ["\r\nBcc: eve@example.com", "\nX: y", "\r", "\x00"])
    async def test_X10_a_control_character_in_a_header_sends_nothing(
        self, post: Post, field: str, injected: str
    ) -> None:
        mail = self._mail()
        with pytest.raises(ToolRefused):
            await post.gateway.send(mail.model_copy(update={field: getattr(mail, field) + injected}))
        assert post.arrived() == []

    async def test_what_is_no_address_is_refused(self, post: Post) -> None:
        with pytest.raises(ToolRefused):
            await post.gateway.send(self._mail().model_copy(update={"to": "nobody"}))

    def _mail(self) -> OutboundMail:
        return OutboundMail(
            message_id="<eff_1@holdfast.invalid>", to="ada@example.com", subject="Your refund", text="Hello,\n\nDone.\n"
        )


class IntentModelSuite:
    """Asks for the fixture `model`."""

    @pytest.mark.parametrize("text", ["I want a refund", "", "\x00", "x" * 10_000, "\U0001f984", "refund refund"])
    def test_scores_are_probabilities_and_the_same_every_time(self, model: IntentModel, text: str) -> None:
        scores = model.classify(text)
        assert model.classify(text) == scores
        assert all(0.0 <= score <= 1.0 for score in scores.scores.values())
        assert sum(scores.scores.values()) <= 1.0 + 1e-9

    def test_nothing_known_is_other_without_confidence(self) -> None:
        assert IntentScores().best == (Intent.OTHER, 0.0)

    def test_a_clear_request_is_recognised(self, model: IntentModel) -> None:
        assert model.classify("I want a refund").best[0] is Intent.REFUND_REQUEST


# The fakes.


class FakeBooks:
    @pytest.fixture
    def books(self) -> Books:
        return FakeWorld()


class TestFakeAccounts(FakeBooks, AccountGatewaySuite):
    pass


class TestFakeBilling(FakeBooks, BillingGatewaySuite):
    pass


class TestFakeTickets(FakeBooks, TicketGatewaySuite):
    pass


class FakePost:
    def __init__(self) -> None:
        self.gateway = FakeMail()

    def arrived(self) -> list[str]:
        return [mail.message_id for mail in self.gateway.sent]


class TestFakeMail(MailGatewaySuite):
    @pytest.fixture
    def post(self) -> Post:
        return FakePost()


class TestFakeIntentModel(IntentModelSuite):
    @pytest.fixture
    def model(self) -> IntentModel:
        return FakeIntentModel({"I want a refund": (Intent.REFUND_REQUEST, 0.9)})


# The real ones.


class PostgresBooks:
    """The built-in account, billing and ticket systems, in one transaction as a tool has them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.accounts = CustomerRepository(session)
        self.billing = InvoiceRepository(session)
        self.tickets = TicketRepository(session)

    async def put_account(self, account: Account) -> None:
        await self.accounts.put(account, NOW)

    async def put_invoice(self, customer_id: CustomerId, invoice: Invoice) -> None:
        await self.billing.put(customer_id, invoice, NOW)


class InPostgres:
    @pytest.fixture
    async def books(self, database: Database) -> AsyncIterator[Books]:
        async with database.transaction(OrganisationId("acme")) as session:
            yield PostgresBooks(session)


class TestPostgresAccounts(InPostgres, AccountGatewaySuite):
    pass


class TestPostgresBilling(InPostgres, BillingGatewaySuite):
    pass


class TestPostgresTickets(InPostgres, TicketGatewaySuite):
    pass


class SmtpPost:
    def __init__(self, server: MailServer) -> None:
        self._server = server
        self.gateway = SmtpMailGateway("127.0.0.1", server.port, "support@example.com", timeout=5)

    def arrived(self) -> list[str]:
        return [str(mail["Message-ID"]) for mail in self._server.accepted]


@asynccontextmanager
async def smtp_post() -> AsyncIterator[Post]:
    async with mail_server() as server:
        yield SmtpPost(server)


class TestSmtpMail(MailGatewaySuite):
    @pytest.fixture
    async def post(self) -> AsyncIterator[Post]:
        async with smtp_post() as post:
            yield post


class TestEmbeddedIntentModel(IntentModelSuite):
    @pytest.fixture
    def model(self, intents: EmbeddedIntentModel) -> IntentModel:
        return intents
