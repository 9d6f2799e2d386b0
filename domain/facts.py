"""What is known about a customer at one moment, read by read tools. Decisions use facts, never claims in text."""

from datetime import datetime

from domain.assurance import Assurance
from domain.values import AccountStatus, CustomerId, InvoiceStatus, MinorUnits, Money, Plan, Value


class Account(Value):
    """What `get_account` supplies. Personal fields (name, e-mail) are for addressing a reply, never for a rule."""

    customer_id: CustomerId
    name: str = ""
    email: str | None = None
    phone: str | None = None
    plan: Plan = Plan.FREE
    status: AccountStatus = AccountStatus.SUSPENDED
    """Unknown reads as suspended: nothing proceeds by itself on an account we know nothing about."""
    language: str | None = None
    time_zone: str | None = None
    region: str | None = None

    @property
    def is_active(self) -> bool:
        return self.status is AccountStatus.ACTIVE


class Invoice(Value):
    """One invoice of `get_billing`. `refunded` comes from the effect ledger; so does what is still in flight."""

    id: str
    total: Money
    status: InvoiceStatus = InvoiceStatus.VOID
    paid_at: datetime | None = None
    description: str = ""
    refunded: MinorUnits = 0
    """Minor units confirmed as given back."""
    in_flight: MinorUnits = 0
    """Minor units reserved, dispatched or unknown: neither given back for sure nor free to give."""
    in_doubt: MinorUnits = 0
    """The part of `in_flight` nobody knows the outcome of: it does not settle by itself."""
    in_flight_since: datetime | None = None
    """When the oldest refund began that is being carried out. None when none is."""

    @property
    def refundable(self) -> Money:
        """What could still be given back. Zero unless the invoice is paid."""
        if self.status is not InvoiceStatus.PAID:
            return Money(amount=0, currency=self.total.currency)
        return Money(amount=max(0, self.total.amount - self.refunded - self.in_flight), currency=self.total.currency)


class History(Value):
    """What was done for this customer lately, from the ledger."""

    refunded_in_period: int = 0
    """Minor units refunded or in flight within the refund policy's period, all currencies added: the cautious sum."""
    escalations_in_period: int = 0
    """Handoffs opened in the last 24 hours."""
    actions_last_minute: int = 0
    actions_last_hour: int = 0
    """Effects with consequences (not reads) reserved for this customer."""
    open_tickets: int = 0


class ConversationFacts(Value):
    """Who answers in the conversation the message came in. Read together with everything else, at the same moment."""

    held: bool = False
    """A person has taken it over, and that has not run out."""
    closed: bool = False
    awaited: bool = False
    """A person waits for what the customer says."""
    asked: bool = False
    """While it is held: a takeover of it is open already."""


class IdentityFacts(Value):
    """How it is known that the customer asks."""

    kind: Assurance = Assurance.NONE


class Facts(Value):
    """Everything a decision may look at. `now` is a fact like the others: rules never read a clock."""

    now: datetime
    account: Account
    invoices: tuple[Invoice, ...] = ()
    """Latest payment first; unpaid ones last."""
    history: History = History()
    conversation: ConversationFacts = ConversationFacts()
    identity: IdentityFacts = IdentityFacts()

    def invoice(self, invoice_id: str) -> Invoice | None:
        return next((i for i in self.invoices if i.id == invoice_id), None)
