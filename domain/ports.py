"""What the rules need from the world, as Protocols. Real parts and fakes pass the same conformance suites.

A port whose store is our own Postgres is bound to one transaction, so that what a tool does and the ledger's
record of it commit together; a port that reaches outside gets the effect's key and must pass it on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.delivery import Failure, Receipt
from domain.facts import Account, Invoice
from domain.values import CustomerId, Intent, Json, Money, OrganisationId, Priority, Value
from domain.webhook import WebhookCall


class AccountGateway(Protocol):
    async def get_account(self, customer_id: CustomerId) -> Account:
        """The account, or `CustomerNotFound`."""
        ...


class RefundReceipt(Value):
    refund_id: str
    invoice_id: str
    amount: Money


class BillingGateway(Protocol):
    async def get_billing(self, customer_id: CustomerId) -> tuple[Invoice, ...]:
        """Invoices, latest payment first, unpaid ones last; each with what was refunded and is in flight."""
        ...

    async def refund(self, key: str, customer_id: CustomerId, invoice_id: str, amount: Money) -> RefundReceipt:
        """Give money back once per `key`: a repeat returns the first receipt."""
        ...


class TicketReceipt(Value):
    ticket_id: str


class TicketGateway(Protocol):
    async def create_ticket(
        self, key: str, customer_id: CustomerId, topic: str, priority: Priority, interaction_id: str
    ) -> TicketReceipt:
        """Open a ticket once per `key`: a repeat returns the first one."""
        ...


class OutboundMail(Value):
    """One e-mail. `message_id` is derived from the effect, so every attempt carries the same one."""

    message_id: str
    to: str
    subject: str
    text: str
    references: tuple[str, ...] = ()
    """The Message-IDs of earlier mails of the conversation, oldest first: mail programs show them as one thread."""
    is_reply: bool = True
    """It answers a person. False: our own idea."""


class MailReceipt(Value):
    message_id: str
    response: str
    """The server's final words, e.g. `250 OK`."""


class MailGateway(Protocol):
    async def send(self, mail: OutboundMail) -> MailReceipt:
        """Hand the message to a mail server. Raises `ToolRefused` (permanent), `ToolUnavailable` (nothing was sent)
        or `ToolOutcomeUnknown` (it may have been)."""
        ...


class WebhookGateway(Protocol):
    async def send(self, call: WebhookCall) -> Receipt | Failure:
        """Sign and post the event once, to a public address only; follows no redirect. Never raises for what the other
        side does."""
        ...


class ChatGateway(Protocol):
    async def send(self, url: str, body: str, organisation: OrganisationId) -> Receipt | Failure:
        """Post one line to a chat room's incoming webhook of this organisation's, under the same rules."""
        ...


class Passwords(Protocol):
    """Slow on purpose, and without I/O: call it in a thread."""

    @property
    def nobodys(self) -> str:
        """A hash that no password fits, as slow to check as any."""
        ...

    def hash(self, password: str) -> str:
        """With a salt of its own, and everything a later check needs to know."""
        ...

    def verify(self, password: str, hashed: str) -> bool:
        """Whether this is the password; False for a hash that cannot be read."""
        ...


class SecretBox(Protocol):
    """Seals small secrets for storage. What was sealed in one context opens in no other."""

    def seal(self, secret: bytes, context: str) -> bytes: ...

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `ValueError`: another context, a changed byte, a key that is not there any more."""
        ...


class StoredMail(Value):
    """One message the local mail sink accepted."""

    name: str
    message_id: str = ""
    sender: str = ""
    to: str = ""
    subject: str = ""
    date: str = ""
    text: str = ""


class MailSink(Protocol):
    def list(self, most: int) -> tuple[StoredMail, ...]:
        """The latest first, without their texts."""
        ...

    def find(self, name: str) -> StoredMail | None: ...


class IntentScores(Value):
    """Calibrated probabilities by intent; they add up to one at most."""

    scores: dict[Intent, float] = {}

    @property
    def best(self) -> tuple[Intent, float]:
        if not self.scores:
            return Intent.OTHER, 0.0
        intent = max(self.scores, key=lambda i: self.scores[i])
        return intent, self.scores[intent]


class IntentModel(Protocol):
    def classify(self, text: str) -> IntentScores:
        """Milliseconds of CPU, no I/O, the same answer for the same text on every machine."""
        ...


class ModelRequest(Value):
    """One structured question to a language model."""

    role: str
    """`understand`, `propose`, `draft_reply`, `summarise` or `judge_guardrail`."""
    prompt_version: str
    instructions: str
    text: str
    answer_schema: Json
    """JSON Schema the answer must satisfy; it is validated again on our side."""
    timeout: timedelta = timedelta(seconds=20)


class ModelAnswer(Value):
    answer: Json
    model: str
    input_tokens: int = 0
    output_tokens: int = 0


class LanguageModel(Protocol):
    async def ask(self, request: ModelRequest) -> ModelAnswer:
        """An answer that parsed as JSON. Raises `ModelUnavailable`; the caller falls back to rules."""
        ...


class Failpoints(Protocol):
    def hit(self, name: str) -> None:
        """A named place where a test may kill the process. Does nothing unless a test flag is on."""
        ...


@dataclass(frozen=True)
class Ports:
    """Everything a tool may reach."""

    accounts: AccountGateway
    billing: BillingGateway
    tickets: TicketGateway
    mail: MailGateway
    extra: Mapping[str, object]
    """Further systems an organisation plugs in, by name."""
