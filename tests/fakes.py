"""In-memory ports; they pass the suites of the real ones (`tests/adapters/test_ports_conformance.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from domain.errors import CustomerNotFound, ToolFailure, ToolRefused
from domain.facts import Account, Invoice
from domain.ports import IntentScores, MailReceipt, OutboundMail, Ports, RefundReceipt, TicketReceipt
from domain.values import CustomerId, Intent, InvoiceStatus, Money, Priority


@dataclass
class FakeAccounts:
    """Accounts by customer."""

    accounts: dict[CustomerId, Account] = field(default_factory=dict)

    async def get_account(self, customer_id: CustomerId) -> Account:
        if customer_id not in self.accounts:
            raise CustomerNotFound("no such customer")
        return self.accounts[customer_id]


@dataclass
class FakeBilling:
    """Invoices by customer, and what was given back by key: with whom the key was first used, and the receipt."""

    invoices: dict[CustomerId, tuple[Invoice, ...]] = field(default_factory=dict)
    refunds: dict[str, tuple[CustomerId, RefundReceipt]] = field(default_factory=dict)

    async def get_billing(self, customer_id: CustomerId) -> tuple[Invoice, ...]:
        invoices = self.invoices.get(customer_id, ())
        return tuple(sorted(invoices, key=lambda i: (-i.paid_at.timestamp() if i.paid_at else 0.0, i.id)))

    async def refund(self, key: str, customer_id: CustomerId, invoice_id: str, amount: Money) -> RefundReceipt:
        if key in self.refunds:
            whose, first = self.refunds[key]
            if (whose, first.invoice_id, first.amount) != (customer_id, invoice_id, amount):
                raise ToolRefused("the key stands for another refund")
            return first
        if not self._may_give_back(customer_id, invoice_id, amount):
            raise ToolRefused("this invoice cannot give back that much")
        receipt = RefundReceipt(refund_id=f"rfd_{len(self.refunds) + 1:04d}", invoice_id=invoice_id, amount=amount)
        self.refunds[key] = (customer_id, receipt)
        return receipt

    def _may_give_back(self, customer_id: CustomerId, invoice_id: str, amount: Money) -> bool:
        invoice = next((i for i in self.invoices.get(customer_id, ()) if i.id == invoice_id), None)
        if invoice is None or invoice.status is not InvoiceStatus.PAID or invoice.total.currency != amount.currency:
            return False
        of_it = [r for whose, r in self.refunds.values() if (whose, r.invoice_id) == (customer_id, invoice_id)]
        return sum(receipt.amount.amount for receipt in of_it) + amount.amount <= invoice.total.amount


@dataclass
class FakeTickets:
    """Tickets by key, of customers there are."""

    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    tickets: dict[str, tuple[CustomerId, TicketReceipt]] = field(default_factory=dict)

    async def create_ticket(
        self, key: str, customer_id: CustomerId, topic: str, priority: Priority, interaction_id: str
    ) -> TicketReceipt:
        fresh = (customer_id, TicketReceipt(ticket_id=f"tkt_{len(self.tickets) + 1:04d}"))
        whose, receipt = self.tickets.get(key, fresh)
        if customer_id not in self.accounts.accounts or whose != customer_id:
            raise ToolRefused("no such customer, or the key stands for another ticket")
        self.tickets[key] = (whose, receipt)
        return receipt


@dataclass
class FakeMail:
    """A mail server that takes everything, or fails as told (`failures` are raised one per attempt, in order)."""

    sent: list[OutboundMail] = field(default_factory=list)
    failures: list[ToolFailure] = field(default_factory=list)

    async def send(self, mail: OutboundMail) -> MailReceipt:
        if any(ch < " " for ch in mail.message_id + mail.to + mail.subject) or "@" not in mail.to:
            raise ToolRefused("a mail header is not well-formed")
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(mail)
        return MailReceipt(message_id=mail.message_id, response="250 OK")


@dataclass(frozen=True)
class FakeIntentModel:
    """Answers from a table of texts; anything else is `other` without confidence."""

    answers: Mapping[str, tuple[Intent, float]] = field(default_factory=dict)

    def classify(self, text: str) -> IntentScores:
        if text not in self.answers:
            return IntentScores()
        intent, score = self.answers[text]
        return IntentScores(scores={intent: score})


@dataclass
class FakeWorld:
    """All ports together, and the means to put customers and invoices there and to see what was sent."""

    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    billing: FakeBilling = field(default_factory=FakeBilling)
    mail: FakeMail = field(default_factory=FakeMail)

    @cached_property
    def tickets(self) -> FakeTickets:
        return FakeTickets(self.accounts)

    async def put_account(self, account: Account) -> None:
        self.accounts.accounts[account.customer_id] = account

    async def put_invoice(self, customer_id: CustomerId, invoice: Invoice) -> None:
        others = tuple(i for i in self.billing.invoices.get(customer_id, ()) if i.id != invoice.id)
        self.billing.invoices[customer_id] = (*others, invoice)

    @property
    def ports(self) -> Ports:
        return Ports(accounts=self.accounts, billing=self.billing, tickets=self.tickets, mail=self.mail, extra={})
