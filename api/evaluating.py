"""What the rules would say, case by case: judged like the real thing, and nothing is kept, reserved or sent."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, model_validator

from api.auth import Caller
from api.deps import Services
from api.fields import Body, Flag, Instant, Key, MoneyBody, Tag
from api.proposing import MOST_ACTIONS, WantedCall, proposal_of
from domain.decision import Decision
from domain.errors import CustomerNotFound
from domain.facts import Account, Facts, History, Invoice
from domain.proposal import Proposal, Source
from domain.values import AccountStatus, CustomerId, Intent, InvoiceStatus, MinorUnits, Plan, Value
from domain.why import in_prose
from schema.facts import load_facts

MOST_CASES = 1_000
AT_ONCE = 25
"""Cases judged before anybody else's request gets a turn: some milliseconds."""
Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class SuppliedInvoice(Body):
    id: Key
    total: MoneyBody
    status: InvoiceStatus
    paid_at: Instant | None = None
    refunded: MinorUnits = 0
    in_flight: MinorUnits = 0

    def invoice(self) -> Invoice:
        return Invoice(
            id=self.id, total=self.total.money(), status=self.status, paid_at=self.paid_at, refunded=self.refunded,
            in_flight=self.in_flight,
        )  # fmt: skip


class SuppliedAccount(Body):
    """What is not said reads as the cautious thing: a suspended account on the free plan."""

    plan: Plan = Plan.FREE
    status: AccountStatus = AccountStatus.SUSPENDED
    language: Tag | None = None
    region: Tag | None = None
    time_zone: Tag | None = None


class SuppliedHistory(Body):
    refunded_in_period: MinorUnits = 0
    escalations_in_period: Count = 0
    actions_last_minute: Count = 0
    actions_last_hour: Count = 0
    open_tickets: Count = 0


class SuppliedFacts(Body):
    """Facts of a customer who need not exist."""

    account: SuppliedAccount = SuppliedAccount()
    invoices: Annotated[tuple[SuppliedInvoice, ...], Field(max_length=200)] = ()
    history: SuppliedHistory = SuppliedHistory()

    def facts(self, customer_id: str, now: datetime) -> Facts:
        return Facts(
            now=now,
            account=Account(customer_id=CustomerId(customer_id), **self.account.model_dump(by_alias=False)),
            invoices=tuple(invoice.invoice() for invoice in self.invoices),
            history=History(**self.history.model_dump(by_alias=False)),
        )


class Case(Body):
    """One proposal, for a customer on record or with facts of your own; not both, not neither."""

    customer_id: Key | None = None
    facts: SuppliedFacts | None = None
    actions: Annotated[tuple[WantedCall, ...], Field(max_length=MOST_ACTIONS)] = ()
    confirmed: Flag = False
    intent: Intent | None = None
    """Judge it as our own agent's suggestion, for what a customer wanted, instead of as one from outside."""
    confidence: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    """How sure our own agent is; it counts only with an intent."""

    @model_validator(mode="after")
    def _has_facts_once(self) -> "Case":
        if (self.customer_id is None) == (self.facts is None):
            raise ValueError("name a customer, or supply facts")
        return self

    def proposal(self) -> Proposal:
        proposal = proposal_of(self.actions, confirmed=self.confirmed)
        if self.intent is None:
            return proposal
        ours = {"intent": self.intent, "confidence": self.confidence, "source": Source.RULES}
        return proposal.model_copy(update=ours)


class EvaluateBody(Body):
    cases: Annotated[tuple[Case, ...], Field(min_length=1, max_length=MOST_CASES)]
    now: Instant | None = None
    """The time it is to the rules. Without it: this moment."""


class Evaluated(Value):
    """What would be decided; the digest is the one a real decision on these facts would have."""

    decision: Decision
    why: str


class Evaluation(Value):
    items: tuple[Evaluated, ...]
    """In the order of the cases."""


async def evaluate(services: Services, caller: Caller, body: EvaluateBody) -> Evaluation:
    """Raises `CustomerNotFound`, naming the first case whose customer there is not."""
    now = body.now or services.now()
    facts = await _facts(services, caller, body.cases, now)
    items: list[Evaluated] = []
    for number, (case, seen) in enumerate(zip(body.cases, facts, strict=True)):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        proposal = case.proposal()
        decision = services.rules.judge(proposal, seen)
        items.append(Evaluated(decision=decision, why=in_prose(decision, proposal)))
    return Evaluation(items=tuple(items))


async def _facts(services: Services, caller: Caller, cases: Sequence[Case], now: datetime) -> list[Facts]:
    """Each customer is read once, all at the same moment."""
    period = timedelta(days=services.rules.book.parameter("refund", "period_days"))
    known: dict[str, Facts] = {}
    if any(case.customer_id for case in cases):
        async with services.db.transaction(caller.organisation, frozen=True) as session:
            for number, case in enumerate(cases):
                if case.customer_id is None or case.customer_id in known:
                    continue
                try:
                    known[case.customer_id] = await load_facts(
                        session, CustomerId(case.customer_id), now, refund_period=period
                    )
                except CustomerNotFound:
                    raise CustomerNotFound("no such customer", case=number) from None
    return [case.facts.facts("supplied", now) if case.facts else known[case.customer_id or ""] for case in cases]
