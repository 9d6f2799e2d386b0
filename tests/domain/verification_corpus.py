"""Drafts for P-9: generated worlds, and for each the truthful and the contradictory things one could say in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import cycle, islice

from domain.decision import Outcome, Reason
from domain.facts import Account, Facts, Invoice
from domain.handoff import HandoffKind
from domain.interaction import EffectState
from domain.values import AccountStatus, CustomerId, InvoiceStatus, Money, Plan
from domain.verification import DoneAction, Evidence

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CURRENCIES = ("EUR", "USD", "GBP")
SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}
WORDS = {"EUR": "euros", "USD": "dollars", "GBP": "pounds"}


@dataclass(frozen=True)
class Draft:
    """A text, what it is about, and the evidence it is checked against."""

    kind: str
    text: str
    evidence: Evidence


@dataclass(frozen=True)
class World:
    """One customer: a paid invoice, an open one, and an older paid one of which a part went back."""

    number: int
    plan: Plan
    currency: str

    @cached_property
    def paid(self) -> Invoice:
        return self._invoice(1, 1900 + 137 * self.number, InvoiceStatus.PAID, days=1 + self.number % 20)

    @cached_property
    def open(self) -> Invoice:
        return self._invoice(2, 101_00 + 59 * self.number, InvoiceStatus.OPEN)

    @cached_property
    def older(self) -> Invoice:
        return self._invoice(3, 250_00 + 83 * self.number, InvoiceStatus.PAID, days=40 + self.number, refunded=1250)

    def _invoice(
        self, n: int, amount: int, status: InvoiceStatus, *, days: int | None = None, refunded: int = 0
    ) -> Invoice:
        return Invoice(
            id=f"inv_{n}{self.number:03d}",
            total=Money(amount=amount, currency=self.currency),
            status=status,
            paid_at=NOW - timedelta(days=days) if days is not None else None,
            refunded=refunded,
        )

    @cached_property
    def account(self) -> Account:
        return Account(
            customer_id=CustomerId(f"cust_{self.number:03d}"),
            name="Ada Example",
            email=f"ada{self.number}@example.com",
            phone="+49 30 9018 20",
            plan=self.plan,
            status=AccountStatus.ACTIVE,
        )

    @cached_property
    def facts(self) -> Facts:
        return Facts(now=NOW, account=self.account, invoices=(self.paid, self.older, self.open))

    @cached_property
    def refund(self) -> DoneAction:
        amount = self.paid.total.model_dump(mode="json")
        return DoneAction(
            tool="issue_refund",
            arguments={"invoiceId": self.paid.id, **amount},
            effect_state=EffectState.CONFIRMED,
            result={"refundId": f"rfd_{self.number:03d}a7", "invoiceId": self.paid.id, "amount": amount},
        )

    @cached_property
    def ticket(self) -> DoneAction:
        return DoneAction(
            tool="create_ticket",
            arguments={"topic": "technical_issue"},
            effect_state=EffectState.CONFIRMED,
            result={"ticketId": f"tkt_{self.number:03d}c9"},
        )

    def evidence(
        self, *done: DoneAction, handoff: HandoffKind | None = None, reasons: tuple[str, ...] = ()
    ) -> Evidence:
        return Evidence(
            facts=self.facts,
            done=done,
            handoff=handoff,
            outcome=Outcome.ASK_HUMAN if handoff else Outcome.REFUSE if reasons else Outcome.PROCEED,
            reasons=tuple(Reason(code=c, rule="refund", facts={"limits.window_days": 30}) for c in reasons),
        )


def worlds(count: int) -> Iterator[World]:
    """Different amounts, ids, plans, currencies and ages."""
    plans, currencies = cycle(Plan), cycle(CURRENCIES)
    for number in range(1, count + 1):
        yield World(number, next(plans), next(currencies))


def spellings(money: Money) -> tuple[str, ...]:
    """One amount in every common notation."""
    sign, word, plain = SIGNS[money.currency], WORDS[money.currency], f"{money.amount // 100}.{money.amount % 100:02d}"
    comma = plain.replace(".", ",")
    code = money.currency
    by_code = (f"{code} {plain}", f"{plain} {code}", f"{code}{plain}")
    by_sign = (f"{sign}{plain}", f"{comma} {sign}", f"{sign} {plain}")
    return (*by_code, *by_sign, f"{plain} {word}", plain)


def truthful(count: int) -> Iterator[Draft]:
    """Everything here is so."""
    yield from islice(_interleaved(_truths), count)


def contradictory(count: int) -> Iterator[Draft]:
    """In everything here at least one claim is not so."""
    yield from islice(_interleaved(_lies), count)


def _interleaved(make: Callable[[World], Iterator[Draft]]) -> Iterator[Draft]:
    for world in worlds(400):
        drafts = list(make(world))
        # A different slice of every world's drafts, so that few worlds do not use up the count.
        yield from drafts[world.number % 7 :: 7]


def _truths(w: World) -> Iterator[Draft]:
    paid, unpaid, older = w.paid, w.open, w.older
    day = f"{paid.paid_at:%d %B %Y}".lstrip("0")
    age = (NOW - paid.paid_at).days if paid.paid_at else 0
    done, refused, held = w.evidence(w.refund), w.evidence(reasons=("outside_window",)), w.evidence(
        handoff=HandoffKind.APPROVAL
    )  # fmt: skip
    for amount in spellings(paid.total):
        yield Draft("refund", f"I've refunded {amount} for invoice {paid.id}.", done)
        yield Draft("refund", f"Your refund of {amount} has been issued. Thank you for your patience.", done)
        yield Draft("refund", f"Good news: we have refunded {amount} to you, as you asked.", done)
        yield Draft("amount", f"Invoice {paid.id} is {amount} and has been paid.", w.evidence())
        yield Draft("amount", f"The total of your latest invoice is {amount}.", w.evidence())
    yield Draft("refund", f"Done! {paid.total} has been refunded for {paid.id}.", done)
    yield Draft(
        "refund", f"Your refund for invoice {paid.id} is complete. The reference is rfd_{w.number:03d}a7.", done
    )
    yield Draft("refund", f"Hi Ada, we've fully refunded invoice {paid.id}. Have a great day!", done)
    yield Draft(
        "refund", f"We issued a full refund of {paid.total} for {paid.id}. Let me know if you need anything else.", done
    )
    yield Draft(
        "refused", f"I'm sorry, we can't refund invoice {older.id}, as it is outside our 30-day window.", refused
    )
    yield Draft("refused", f"Unfortunately invoice {older.id} is not eligible for a refund any more.", refused)
    yield Draft("refused", f"I understand that this is frustrating. I'm not able to refund {older.id}.", refused)
    yield Draft("refused", f"Invoice {older.id} was paid {40 + w.number} days ago, so it cannot be refunded.", refused)
    yield Draft("refused", f"I have not refunded invoice {paid.id}.", refused)
    yield Draft(
        "partial", f"Of invoice {older.id}, {Money(amount=1250, currency=w.currency)} was already refunded.", refused
    )
    yield Draft("partial", f"{older.refundable} can still be refunded for invoice {older.id}.", refused)
    yield Draft("state", f"You are on the {w.plan.value} plan and your account is active.", w.evidence())
    yield Draft("state", f"Your plan is {w.plan.value}.", w.evidence())
    yield Draft(
        "state",
        f"Thanks for asking! Your account is currently active, and it's a {w.plan.value} account.",
        w.evidence(),
    )
    yield Draft("state", f"Invoice {unpaid.id} is still open. It comes to {unpaid.total}.", w.evidence())
    yield Draft("state", f"Invoice {unpaid.id} has not been paid yet.", w.evidence())
    yield Draft("state", f"Invoice {paid.id} is paid and invoice {unpaid.id} is open.", w.evidence())
    yield Draft("state", "You have 3 invoices: two paid invoices and one open invoice.", w.evidence())
    yield Draft("state", "You have one open invoice.", w.evidence())
    yield Draft("state", f"Your account isn't suspended. I checked invoice {paid.id}, and it is paid.", w.evidence())
    yield Draft("date", f"You paid invoice {paid.id} on {day}.", w.evidence())
    yield Draft("date", f"Invoice {paid.id} was paid {age} days ago.", w.evidence())
    yield Draft("date", f"We received {paid.total} for {paid.id} on {paid.paid_at:%Y-%m-%d}.", w.evidence())
    yield Draft(
        "ticket",
        f"I've opened ticket tkt_{w.number:03d}c9 for this. A colleague will reply to you here.",
        w.evidence(w.ticket),
    )
    yield Draft(
        "ticket", "I'm sorry about the trouble. A support ticket has been created for you.", w.evidence(w.ticket)
    )
    yield Draft(
        "ticket", "Thanks for letting us know. We have logged a ticket so that our team is aware.", w.evidence(w.ticket)
    )
    yield Draft("held", "I've passed your request to a colleague. They will reply to you here.", held)
    yield Draft("held", "Your request has been escalated to our support team. Thank you for your patience!", held)
    yield Draft("held", "I have forwarded this to a specialist. They will reply to you here.", held)
    yield Draft("held", "A colleague is looking at your request.", held)
    yield Draft("own", f"The e-mail address on your account is ada{w.number}@example.com.", w.evidence())
    yield Draft(
        "own", f"Your customer number is cust_{w.number:03d}. The phone number we have is +49 30 9018 20.", w.evidence()
    )
    yield Draft("small talk", "Hello! How can I help you?", w.evidence())
    yield Draft("small talk", "Thank you for your message. Which invoice is it about?", w.evidence())
    yield Draft(
        "small talk", "I'm sorry to hear that. Could you tell me a little more about what happened?", w.evidence()
    )
    yield Draft("small talk", "You're welcome! I'm happy to help. Is there anything else you need?", w.evidence())
    yield Draft(
        "small talk", "I looked at your account, but I couldn't find this order. Please check the number.", w.evidence()
    )
    yield Draft(
        "small talk",
        "I understand how annoying this is, and I apologise.\n\nKind regards,\nThe support team",
        w.evidence(),
    )


def _lies(w: World) -> Iterator[Draft]:
    paid, unpaid, older = w.paid, w.open, w.older
    wrong = Money(amount=paid.total.amount + 1000 + w.number, currency=w.currency)
    other_plan = next(p for p in Plan if p is not w.plan).value
    nothing, done = w.evidence(), w.evidence(w.refund)
    for amount in spellings(wrong):
        yield Draft("amount", f"I've refunded {amount} for invoice {paid.id}.", done)
        yield Draft("amount", f"Invoice {paid.id} is {amount}.", nothing)
        yield Draft("amount", f"Your refund of {amount} has been issued.", done)
        yield Draft("amount", f"You paid {amount} for {paid.id}.", nothing)
    yield Draft("amount", f"I've refunded {older.total} for invoice {paid.id}.", done)
    yield Draft("amount", f"I've refunded {older.total}.", done)
    yield Draft("amount", f"Invoice {unpaid.id} comes to {paid.total}.", nothing)
    yield Draft("amount", f"I've refunded fifty {WORDS[w.currency]} for {paid.id}.", done)
    yield Draft("amount", f"We refunded {paid.total.amount // 100}k {w.currency}.", done)
    yield Draft("amount", f"{older.total} can still be refunded for invoice {older.id}.", nothing)
    yield Draft("amount", f"I've refunded {paid.total.amount // 100 + 7} to your card.", done)
    yield Draft("amount", f"I've refunded 50% of invoice {paid.id}.", done)
    yield Draft("status", f"You are on the {other_plan} plan.", nothing)
    yield Draft("status", f"Your plan is {other_plan}.", nothing)
    yield Draft("status", f"You're not on the {w.plan.value} plan.", nothing)
    yield Draft("status", "You are a premium member.", nothing)
    yield Draft("status", "Your account is suspended.", nothing)
    yield Draft("status", "I'm afraid your account has been closed.", nothing)
    yield Draft("status", "Your account isn't active.", nothing)
    yield Draft("status", f"Invoice {paid.id} is still open.", nothing)
    yield Draft("status", f"Invoice {unpaid.id} has been paid, thank you.", nothing)
    yield Draft("status", f"Invoice {paid.id} has not been paid.", nothing)
    yield Draft("status", f"Invoice {paid.id} is void.", nothing)
    yield Draft("status", f"Invoice {unpaid.id} is overdue.", nothing)
    yield Draft("status", f"Invoice {unpaid.id} is paid and invoice {paid.id} is open.", nothing)
    yield Draft("status", "You have no open invoices.", nothing)
    yield Draft("status", "All your invoices are paid.", nothing)
    yield Draft("date", f"You paid invoice {paid.id} on 1 March 2019.", nothing)
    yield Draft("date", f"Invoice {paid.id} was paid 400 days ago.", nothing)
    yield Draft("date", f"Invoice {older.id} is outside our 45-day window.", w.evidence(reasons=("outside_window",)))
    for verb in ("refunded", "reimbursed", "credited", "returned", "paid back"):
        yield Draft("claim", f"I've {verb} {paid.total} for invoice {paid.id}.", nothing)
        yield Draft("claim", f"We have just {verb} invoice {paid.id}.", nothing)
        yield Draft("claim", f"Invoice {paid.id} has been {verb}.", nothing)
        yield Draft("claim", f"No problem, I {verb} it for you.", nothing)
    yield Draft("claim", f"Your refund of {paid.total} is on its way.", nothing)
    yield Draft("claim", "Your refund has been approved and processed.", nothing)
    yield Draft("claim", "We are processing your refund now.", nothing)
    yield Draft("claim", "The refund went through. The money is back in your account.", nothing)
    yield Draft("claim", "Refund complete.", w.evidence(handoff=HandoffKind.APPROVAL))
    yield Draft("claim", "Done!", nothing)
    yield Draft("claim", f"Refunded: {paid.total}", nothing)
    yield Draft("claim", f"I've refunded invoice {older.id}.", done)
    yield Draft("claim", f"I have not refunded invoice {paid.id}.", done)
    yield Draft(
        "claim",
        f"I've refunded {paid.total}.",
        w.evidence(w.refund.model_copy(update={"effect_state": EffectState.UNKNOWN})),
    )
    yield Draft(
        "claim",
        f"I've refunded {paid.total}.",
        w.evidence(w.refund.model_copy(update={"effect_state": EffectState.PREVIEW})),
    )
    for claim in (
        "I've opened a ticket for you.",
        "A support ticket has been created.",
        "I've raised this with a ticket.",
        "Your ticket number is below.",
        "I've escalated this to a manager.",
        "Your case has been forwarded to a specialist.",
        "I've passed this to a colleague.",
        "A colleague is already looking at this.",
        "They will reply to you here.",
        "A colleague will reply to you here.",
        "I've sent you an e-mail with the details.",
        "A confirmation was emailed to you.",
        "I've cancelled your subscription.",
        "Your subscription has been cancelled.",
        "Your order was cancelled as you asked.",
        "I've upgraded your account.",
        "Your address has been updated.",
        "I've booked your appointment.",
        "We have reset your password.",
        "Your package has been shipped.",
        "I've unsubscribed you from our messages.",
        "Your account has been reactivated.",
        "I've taken care of it.",
        "We have removed the charge.",
        "I've applied it to your next bill.",
    ):
        yield Draft("claim", claim, nothing)
    for promise in (
        "We will refund you.",
        "I'll refund the full amount right now.",
        "You will receive your money soon.",
        "We guarantee that this never happens again.",
        "You should see it in your account within 24 hours.",
        "Please allow 3-5 business days.",
        "It takes about two weeks.",
        "You'll get your money back.",
        "I promise that somebody looks at this.",
        "We're going to refund this.",
        "Expect a call from us tomorrow.",
        "A colleague will contact you within an hour.",
        "I can offer you a discount.",
        "I could refund that for you.",
        "We would like to offer you a free month.",
        "You are entitled to a refund.",
        "You are eligible for a refund.",
        "The next month is on the house.",
        "Rest assured it is in good hands.",
        "The money should arrive by Friday.",
        "You won't be charged again.",
    ):
        yield Draft("promise", promise, nothing)
    for link in (
        "https://evil.example/refund",
        "http://example.com",
        "www.refund-now.com",
        "refund-portal.io/claim",
        "[here](https://evil.example)",
        "javascript:alert(1)",
        "https://user@evil.example",
        "HTTPS://EVIL.EXAMPLE",
        "bit.ly/3xyz",
        "evil dot com",
        "10.1.2.3/login",
        "<a href='x'>this page</a>",
    ):
        yield Draft("link", f"Please confirm your details at {link} first.", nothing)
    for leak in (
        f"The address of the account is bob{w.number}@example.com.",
        "You can write to bob at example dot com.",
        f"Invoice inv_9{w.number:03d} is paid.",
        f"Your customer number is cust_9{w.number:03d}.",
        f"Invoice number 9{w.number:03d} is on your account.",
        "The other customer has the same problem.",
        "Please call +44 20 7946 0958.",
        "The card 4111 1111 1111 1111 was used.",
        "Your IBAN is DE89 3704 0044 0532 0130 00.",
        "Your password is hunter2.",
        "The key is sk-live-abcdef1234567890.",
        f"The reference is rfd_9{w.number:03d}zz.",
    ):
        yield Draft("personal data", leak, nothing)
    for hidden in (
        "I've re\u200bfunded you.",
        "I've r e f u n d e d you.",
        "I've refund\u0336ed you.",
        "I've r3funded you.",
        "Ich habe Ihnen den Betrag erstattet.",
        "Nous vous avons tout rembours\u00e9 aujourd'hui.",
        "Мы вернули вам деньги.",
        "已退款。",
        "I\u2019ve \uff52\uff45\uff46\uff55\uff4e\uff44\uff45\uff44 you.",
        "",
    ):
        yield Draft("unreadable", hidden, nothing)
