"""In-memory ports; they pass the suites of the real ones (`tests/adapters/test_ports_conformance.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.errors import CustomerNotFound, ToolFailure, ToolRefused
from domain.facts import Account, Invoice
from domain.ports import IntentScores, MailReceipt, OutboundMail, Ports, RefundReceipt, TicketReceipt
from domain.values import CustomerId, Intent, Money, Priority


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
    """Invoices by customer, and the receipts by key."""

    invoices: dict[CustomerId, tuple[Invoice, ...]] = field(default_factory=dict)
    receipts: dict[str, RefundReceipt] = field(default_factory=dict)

    async def get_billing(self, customer_id: CustomerId) -> tuple[Invoice, ...]:
        invoices = self.invoices.get(customer_id, ())
        paid = [invoice for invoice in invoices if invoice.paid_at]
        latest = sorted(paid, key=lambda invoice: invoice.paid_at.timestamp() if invoice.paid_at else 0, reverse=True)
        return (*latest, *(invoice for invoice in invoices if not invoice.paid_at))

    async def refund(self, key: str, customer_id: CustomerId, invoice_id: str, amount: Money) -> RefundReceipt:
        if key in self.receipts:
            return self.receipts[key]
        known = self.invoices.get(customer_id, ())
        invoice = next((invoice for invoice in known if invoice.id == invoice_id), None)
        if invoice is None or invoice.total.currency != amount.currency:
            raise ToolRefused("this customer has no such invoice in this currency")
        receipt = RefundReceipt(refund_id=f"rfd_{len(self.receipts) + 1:04d}", invoice_id=invoice_id, amount=amount)
        self.receipts[key] = receipt
        return receipt


@dataclass
class FakeTickets:
    """Tickets by key."""

    tickets: dict[str, TicketReceipt] = field(default_factory=dict)

    async def create_ticket(
        self, key: str, customer_id: CustomerId, topic: str, priority: Priority, interaction_id: str
    ) -> TicketReceipt:
        return self.tickets.setdefault(key, TicketReceipt(ticket_id=f"tkt_{len(self.tickets) + 1:04d}"))


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
    """All ports together, and the means to put customers and invoices there."""

    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    billing: FakeBilling = field(default_factory=FakeBilling)
    tickets: FakeTickets = field(default_factory=FakeTickets)
    mail: FakeMail = field(default_factory=FakeMail)

    async def put_account(self, account: Account) -> None:
        self.accounts.accounts[account.customer_id] = account

    async def put_invoice(self, customer_id: CustomerId, invoice: Invoice) -> None:
        others = tuple(i for i in self.billing.invoices.get(customer_id, ()) if i.id != invoice.id)
        self.billing.invoices[customer_id] = (*others, invoice)

    @property
    def ports(self) -> Ports:
        return Ports(accounts=self.accounts, billing=self.billing, tickets=self.tickets, mail=self.mail, extra={})
