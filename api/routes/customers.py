"""Whom we serve, and what they paid."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.auth import Caller, CallerDep, Scope
from api.deps import Services, ServicesDep
from api.fields import Body, Email, Instant, Key, MoneyBody, Name, Note, Page, Phone, Tag
from api.strict_json import StrictRoute
from domain.answer import ShownAction
from domain.errors import Conflict
from domain.facts import Account, Invoice
from domain.values import AccountStatus, CustomerId, InvoiceStatus, Json, MinorUnits, Money, Plan, Value
from schema.audit import AuditEvent, AuditRepository
from schema.customers import Customer, CustomerRepository
from schema.effect_list import list_effects
from schema.effects import EffectStanding
from schema.invoices import InvoiceRepository
from schema.session import Session
from workflows import ids

router = APIRouter(prefix="/customers", tags=["customers"], route_class=StrictRoute)

CustomerPath = Annotated[Key, Path(alias="customerId")]
InvoicePath = Annotated[Key, Path(alias="invoiceId")]


class CustomerBody(Body):
    """The whole account: what is left out is cleared."""

    name: Name
    email: Email | None = None
    phone: Phone | None = None
    plan: Plan
    status: AccountStatus
    language: Tag | None = None
    time_zone: Tag | None = None
    region: Tag | None = None


class InvoiceBody(Body):
    """What was billed. What was refunded is not here: it comes from the ledger."""

    total: MoneyBody
    status: InvoiceStatus
    paid_at: Instant | None = None
    description: Note = ""


class ShownInvoice(Value):
    id: str
    total: Money
    status: InvoiceStatus
    paid_at: Instant | None = None
    description: str = ""
    refunded: Money
    in_flight: MinorUnits = 0
    refundable: Money

    @classmethod
    def of(cls, invoice: Invoice) -> "ShownInvoice":
        return cls(
            **invoice.model_dump(by_alias=False, exclude={"refunded"}),
            refunded=Money(amount=invoice.refunded, currency=invoice.total.currency),
            refundable=invoice.refundable,
        )


class InvoiceList(Value):
    items: tuple[ShownInvoice, ...]
    next_cursor: str | None = None


class ShownEffect(ShownAction):
    """One consequence for this customer: what, whether it happened, and who allowed it."""

    id: str
    interaction_id: str
    decision_id: str
    handoff_id: str | None = None
    """The approval it rests on, if a person gave one."""
    policy_version: int
    attempts: int
    error_code: str | None = None
    reserved_at: Instant
    at: Instant
    """Since when it stands there."""

    @classmethod
    def standing(cls, standing: EffectStanding) -> "ShownEffect":
        effect = standing.effect
        shown = cls.of(effect.tool, effect.arguments, standing.state, standing.result)
        return cls(
            **shown.model_dump(by_alias=False),
            **{name: getattr(effect, name) for name in ("id", "interaction_id", "decision_id", "handoff_id")},
            policy_version=effect.policy_version,
            attempts=standing.attempt,
            error_code=standing.error_code,
            reserved_at=effect.reserved_at,
            at=standing.at,
        )


class EffectList(Value):
    items: tuple[ShownEffect, ...]
    next_cursor: str | None = None


@router.put("/{customerId}", summary="Create or replace a customer", responses={201: {"model": Account}})
async def put_customer(
    customer_id: CustomerPath, body: CustomerBody, response: Response, caller: CallerDep, services: ServicesDep
) -> Account:
    """201 when the customer is new. Accounts and invoices are facts that money is decided on: only who configures
    the organisation writes them, never the channel that also asks for refunds."""
    caller.need(Scope.BUILDER)
    account = Account(customer_id=CustomerId(customer_id), **body.model_dump(by_alias=False))
    async with services.db.transaction(caller.organisation) as session:
        customers = CustomerRepository(session)
        before = await customers.find(account.customer_id)
        customer = await customers.put(account, services.now())
        await _audit(services, session, caller, "customer.stored", customer_id, _of_account(before, customer))
    response.status_code = 201 if customer.created_at == customer.updated_at else 200
    return customer.account


@router.get("/{customerId}", summary="One customer")
async def get_customer(customer_id: CustomerPath, caller: CallerDep, services: ServicesDep) -> Account:
    caller.need(Scope.OPERATOR, Scope.BUILDER, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        return (await CustomerRepository(session).get(CustomerId(customer_id))).account


@router.get("/{customerId}/invoices", summary="A customer's invoices, latest payment first")
async def list_invoices(customer_id: CustomerPath, caller: CallerDep, services: ServicesDep) -> InvoiceList:
    caller.need(Scope.OPERATOR, Scope.BUILDER, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        await CustomerRepository(session).get(CustomerId(customer_id))
        invoices = await InvoiceRepository(session).get_billing(CustomerId(customer_id))
    return InvoiceList(items=tuple(ShownInvoice.of(invoice) for invoice in invoices))


@router.get("/{customerId}/effects", summary="What we did to a customer, who allowed it, and whether it happened")
async def list_customer_effects(
    customer_id: CustomerPath, caller: CallerDep, services: ServicesDep, query: Annotated[Page, Query()]
) -> EffectList:
    """The latest first."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        await CustomerRepository(session).get(CustomerId(customer_id))
        found = await list_effects(session, CustomerId(customer_id), limit=query.limit, cursor=query.cursor)
    return EffectList(items=tuple(map(ShownEffect.standing, found.items)), next_cursor=found.next_cursor)


@router.put("/{customerId}/invoices/{invoiceId}", summary="Create or replace an invoice", responses={409: {}})
async def put_invoice(
    customer_id: CustomerPath, invoice_id: InvoicePath, body: InvoiceBody, caller: CallerDep, services: ServicesDep
) -> ShownInvoice:
    """409 for another currency once money of it moved: what was given back would be counted in the wrong one."""
    caller.need(Scope.BUILDER)
    invoice = Invoice(id=invoice_id, **body.model_dump(by_alias=False))
    async with services.db.transaction(caller.organisation) as session:
        invoices = InvoiceRepository(session)
        before = await invoices.find(CustomerId(customer_id), invoice_id)
        if before and before.refunded + before.in_flight and before.total.currency != invoice.total.currency:
            raise Conflict("money of this invoice moved in another currency")
        stored = await invoices.put(CustomerId(customer_id), invoice, services.now())
        details = {"customer": ids.opaque(customer_id, services.id_key), **_of_invoice(before, stored)}
        await _audit(services, session, caller, "invoice.stored", invoice_id, details)
    return ShownInvoice.of(stored)


async def _audit(services: Services, session: Session, caller: Caller, action: str, about: str, details: Json) -> None:
    subject = ids.opaque(about, services.id_key)
    await AuditRepository(session).append(AuditEvent(services.now(), caller.name, action, subject, details))


def _of_account(before: Customer | None, after: Customer) -> Json:
    """What rules look at, before and after. Of what is personal only that it changed."""
    plain, hidden = {"plan", "status"}, {"customer_id"}
    was = before.account.model_dump(mode="json", exclude=hidden) if before else {}
    now = after.account.model_dump(mode="json", exclude=hidden)
    return {
        "before": {name: was[name] for name in sorted(plain)} if was else None,
        "after": {name: now[name] for name in sorted(plain)},
        "changed": sorted(name for name in now if was.get(name) != now[name]),
    }


def _of_invoice(before: Invoice | None, after: Invoice) -> Json:
    shown = {"total", "status", "paid_at"}
    return {
        "before": before.model_dump(mode="json", include=shown) if before else None,
        "after": after.model_dump(mode="json", include=shown),
    }
