"""What must exist before something can be tested: an organisation's customer, invoice, interaction, decision."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from domain.decision import Decision, Outcome
from domain.facts import Account, Invoice
from domain.handoff import HandoffKind
from domain.proposal import Proposal
from domain.tools.tool import EffectClass
from domain.values import (
    AccountStatus,
    Channel,
    ConversationId,
    CustomerId,
    DecisionId,
    EffectId,
    HandoffId,
    InteractionId,
    InvoiceStatus,
    Json,
    Mode,
    Money,
    OrganisationId,
    Plan,
    Priority,
    RequestId,
)
from schema.audit_seals import UNSEALED, SealRepository
from schema.base import new_id
from schema.customers import CustomerRepository
from schema.decisions import DecisionRepository
from schema.effects import EffectRepository, Reservation
from schema.facts import load_facts
from schema.handoffs import Handoff, HandoffRepository, NewHandoff
from schema.interactions import InteractionRepository, NewInteraction
from schema.invoices import InvoiceRepository
from schema.session import Database, Session

ACME = OrganisationId("acme")
GLOBEX = OrganisationId("globex")
ANNA = CustomerId("cust_anna")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
QUARTER = timedelta(days=90)


def euros(cents: int) -> Money:
    return Money(amount=cents, currency="EUR")


def account(customer_id: CustomerId = ANNA, **changes: object) -> Account:
    fields = {"name": "Anna Example", "email": "anna@example.com", "plan": Plan.PRO, "status": AccountStatus.ACTIVE}
    return Account.model_validate({"customer_id": customer_id, **fields, **changes})


def invoice(invoice_id: str = "inv_1", cents: int = 10_000, **changes: object) -> Invoice:
    fields = {"total": euros(cents), "status": InvoiceStatus.PAID, "paid_at": NOW - timedelta(days=5)}
    return Invoice.model_validate({"id": invoice_id, **fields, **changes})


async def customer(db: Database, *invoices: Invoice, organisation: OrganisationId = ACME) -> None:
    """Anna, with these invoices (one paid one of EUR 100.00 if none are given)."""
    async with db.transaction(organisation) as session:
        await CustomerRepository(session).put(account(), NOW)
        for each in invoices or (invoice(),):
            await InvoiceRepository(session).put(ANNA, each, NOW)


def request(request_id: str = "req_1", *, organisation: OrganisationId = ACME, **changes: object) -> NewInteraction:
    values: dict[str, object] = {
        "organisation": organisation,
        "id": InteractionId(new_id("int")),
        "customer_id": ANNA,
        "request_id": RequestId(request_id),
        "conversation_id": None,
        "channel": Channel.CHAT,
        "mode": Mode.LIVE,
        "message": "I want my money back",
        "fingerprint": "f" * 64,
        "body_fields": {"customerId": "a", "message": "b", "mode": "c"},
        "workflow_id": f"interaction:acme:cust_anna:{request_id}",
        "created_at": NOW,
    }
    return NewInteraction(**{**values, **changes})  # type: ignore[arg-type]  # a table of defaults for one dataclass


async def interaction(session: Session, request_id: str | None = None, **changes: object) -> InteractionId:
    new = request(request_id or new_id("req"), organisation=session.organisation, **changes)
    return (await InteractionRepository(session).claim(new)).interaction.id


async def decided(session: Session, decision: Decision | None = None) -> tuple[InteractionId, DecisionId]:
    """A new interaction of Anna's with a recorded decision."""
    interaction_id = await interaction(session)
    decision_id, _ = await DecisionRepository(session).record_once(
        interaction_id,
        "first",
        decision or Decision(outcome=Outcome.PROCEED),
        proposal=Proposal(),
        facts=await load_facts(session, ANNA, NOW, refund_period=QUARTER),
        mode=Mode.LIVE,
        at=NOW,
    )
    return interaction_id, decision_id


def refund(
    ids: tuple[InteractionId, DecisionId], cents: int, *, invoice_id: str = "inv_1", ordinal: int = 0
) -> Reservation:
    return Reservation(
        interaction_id=ids[0],
        decision_id=ids[1],
        customer_id=ANNA,
        ordinal=ordinal,
        tool="issue_refund",
        effect_class=EffectClass.MONEY,
        arguments={"invoice_id": invoice_id, "amount": cents, "currency": "EUR"},
        digest=f"refund {invoice_id} {cents}",
        policy_version=1,
        at=NOW,
        subject=invoice_id,
        money=euros(cents),
    )


def mail(ids: tuple[InteractionId, DecisionId], ordinal: int = 0) -> Reservation:
    return Reservation(
        interaction_id=ids[0],
        decision_id=ids[1],
        customer_id=ANNA,
        ordinal=ordinal,
        tool="send_email",
        effect_class=EffectClass.WRITE,
        arguments={"purpose": "reply"},
        digest="mail",
        policy_version=1,
        at=NOW,
    )


async def reserved(session: Session, cents: int | None = None) -> EffectId:
    """One reserved effect: a refund of so many cents, or a mail."""
    ids = await decided(session)
    (effect_id,) = await EffectRepository(session).reserve([refund(ids, cents) if cents else mail(ids)])
    return effect_id


async def handoff(session: Session, *, digest: str = "digest", **changes: object) -> Handoff:
    interaction_id, decision_id = await decided(session)
    values: dict[str, object] = {
        "id": HandoffId(new_id("hnd")),
        "interaction_id": interaction_id,
        "customer_id": ANNA,
        "kind": HandoffKind.APPROVAL,
        "priority": Priority.NORMAL,
        "reason": "over_auto_limit",
        "confidence": 0.9,
        "decision_id": decision_id,
        "digest": digest,
        "proposed": _PROPOSED,
        "issues": [],
        "opened_at": NOW,
        "sla_due_at": NOW + timedelta(hours=1),
    }
    return await HandoffRepository(session).open(
        NewHandoff(**{**values, **changes})  # type: ignore[arg-type]  # a table of defaults for one dataclass
    )


_PROPOSED: Sequence[Json] = [{"tool": "issue_refund", "arguments": {"invoice_id": "inv_1", "amount": 5_000}}]
UNKNOWN_CONVERSATION = ConversationId("cnv_nobody")


_UNSEALED = text(f"SELECT count(*) AS events FROM audit_events e WHERE organisation = :organisation AND {UNSEALED}")


async def everything_sealed(db: Database, organisation: OrganisationId = ACME, *, most: int = 1000) -> None:
    """Another database of the same server may hold the horizon up for a moment: until nothing is left."""
    left = 1
    while left:
        async with db.transaction(organisation) as session:
            await SealRepository(session).seal(NOW, most=most)
            row = await session.first(_UNSEALED)
            left = row.events if row else 0
