"""Invoices, and the built-in billing system over them."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, text
from sqlmodel import Field

from domain.errors import CustomerNotFound
from domain.facts import Invoice
from domain.ports import RefundReceipt
from domain.values import CustomerId, InvoiceStatus, Money
from schema.base import OrganisationRow, UtcTime
from schema.money import MOVEMENTS
from schema.refunds import RefundRepository
from schema.session import Record, Session


class InvoiceRow(OrganisationRow, table=True):
    __tablename__ = "invoices"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "customer_id"], ["customers.organisation", "customers.id"]),
    )

    customer_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    total_amount: int = Field(sa_type=BigInteger)
    currency: str
    status: str
    paid_at: datetime | None = Field(sa_type=UtcTime)
    description: str
    updated_at: datetime = Field(sa_type=UtcTime)


_PUT = text(
    """
    INSERT INTO invoices
        (organisation, customer_id, id, total_amount, currency, status, paid_at, description, updated_at)
    SELECT organisation, id, :id, :total_amount, :currency, :status, :paid_at, :description, :at
    FROM customers WHERE organisation = :organisation AND id = :customer_id
    ON CONFLICT (organisation, customer_id, id) DO UPDATE SET
        total_amount = excluded.total_amount, currency = excluded.currency, status = excluded.status,
        paid_at = excluded.paid_at, description = excluded.description, updated_at = excluded.updated_at
    """
)
_LIST = text(
    f"""
    WITH movements AS ({MOVEMENTS})
    SELECT i.id, i.total_amount, i.currency, i.status, i.paid_at, i.description, m.refunded, m.in_flight, m.in_doubt,
           m.in_flight_since
    FROM invoices i CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount) FILTER (WHERE is_done), 0)::bigint AS refunded,
               coalesce(sum(amount) FILTER (WHERE NOT is_done), 0)::bigint AS in_flight,
               coalesce(sum(amount) FILTER (WHERE is_unknown), 0)::bigint AS in_doubt,
               min(reserved_at) FILTER (WHERE NOT is_done AND NOT is_unknown) AS in_flight_since
        FROM movements WHERE subject = i.id
    ) m
    WHERE i.organisation = :organisation AND i.customer_id = :customer_id
        AND (CAST(:id AS varchar) IS NULL OR i.id = :id)
    ORDER BY i.status = 'paid' DESC, i.paid_at DESC NULLS LAST, i.id
    """
)


class InvoiceRepository:
    """Also the built-in `BillingGateway`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def put(self, customer_id: CustomerId, invoice: Invoice, at: datetime) -> Invoice:
        """Create or replace it, or `CustomerNotFound`. What was refunded is read from the ledger, never written."""
        stored = await self._session.run(
            _PUT,
            customer_id=customer_id,
            id=invoice.id,
            total_amount=invoice.total.amount,
            currency=invoice.total.currency,
            status=invoice.status,
            paid_at=invoice.paid_at,
            description=invoice.description,
            at=at,
        )
        if not stored:
            raise CustomerNotFound("no such customer")
        found = await self.find(customer_id, invoice.id)
        assert found is not None
        return found

    async def find(self, customer_id: CustomerId, invoice_id: str) -> Invoice | None:
        row = await self._session.first(_LIST, customer_id=customer_id, id=invoice_id)
        return None if row is None else _invoice(row)

    async def list(self, customer_id: CustomerId) -> tuple[Invoice, ...]:
        """Latest payment first, unpaid ones last."""
        return tuple(_invoice(row) for row in await self._session.all(_LIST, customer_id=customer_id, id=None))

    get_billing = list

    async def refund(self, key: str, customer_id: CustomerId, invoice_id: str, amount: Money) -> RefundReceipt:
        return await RefundRepository(self._session).refund(key, customer_id, invoice_id, amount)


def _invoice(row: Record) -> Invoice:
    return Invoice(
        id=row.id,
        total=Money(amount=row.total_amount, currency=row.currency),
        status=InvoiceStatus(row.status),
        paid_at=row.paid_at,
        description=row.description,
        refunded=row.refunded,
        in_flight=row.in_flight,
        in_doubt=row.in_doubt,
        in_flight_since=row.in_flight_since,
    )
