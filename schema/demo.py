"""The demo organisation: what the documentation's examples talk about. Nothing in it is a real person."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from domain.facts import Account, Invoice
from domain.values import AccountStatus, CustomerId, InvoiceStatus, Money, OrganisationId, Plan
from schema.customers import CustomerRepository
from schema.invoices import InvoiceRepository
from schema.organisations import OrganisationRepository
from schema.session import Database

DEMO = OrganisationId("demo")


async def seed(db: Database, now: datetime) -> int:
    """The demo organisation and its customers; a customer that is there already is left alone. How many were new."""
    new = 0
    async with db.transaction(DEMO) as session:
        if await OrganisationRepository(session).find() is None:
            await OrganisationRepository(session).put("Demo", now)
        customers, invoices = CustomerRepository(session), InvoiceRepository(session)
        for account, invoice in demo_customers(now):
            if await customers.find(account.customer_id) is not None:
                continue
            new += 1
            await customers.put(account, now)
            if invoice is not None:
                await invoices.put(account.customer_id, invoice, now)
    return new


def demo_customers(now: datetime) -> Iterator[tuple[Account, Invoice | None]]:
    """The four people of the documentation: one the rules pay by themselves, one a person decides about, one that
    is too late, and one whose account is suspended."""
    paid = (("inv_1001", 4900, 5), ("inv_2001", 48000, 3), ("inv_3001", 1900, 60), None)
    people = (
        ("cust_123", "Ada Example", Plan.PRO, AccountStatus.ACTIVE),
        ("cust_456", "Ben Example", Plan.ENTERPRISE, AccountStatus.ACTIVE),
        ("cust_789", "Cleo Example", Plan.FREE, AccountStatus.ACTIVE),
        ("cust_321", "Dan Example", Plan.PRO, AccountStatus.SUSPENDED),
    )
    for (customer, name, plan, status), bill in zip(people, paid, strict=True):
        email = f"{name.split()[0].lower()}@example.com"
        account = Account(customer_id=CustomerId(customer), name=name, email=email, plan=plan, status=status)
        if bill is None:
            yield account, None
            continue
        invoice_id, amount, days = bill
        yield account, Invoice(
            id=invoice_id, total=Money(amount=amount, currency="EUR"), status=InvoiceStatus.PAID,
            paid_at=now - timedelta(days=days), description=f"{plan.value} plan",
        )  # fmt: skip
