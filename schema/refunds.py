"""The built-in billing system's own book: what was given back, once per key."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from domain.errors import ToolRefused
from domain.ports import RefundReceipt
from domain.values import CustomerId, Money
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class RefundRow(OrganisationRow, table=True):
    __tablename__ = "refunds"
    __table_args__ = (
        UniqueConstraint("organisation", "id"),
        ForeignKeyConstraint(
            ["organisation", "customer_id", "invoice_id"],
            ["invoices.organisation", "invoices.customer_id", "invoices.id"],
        ),
        Index("refunds_by_invoice", "organisation", "customer_id", "invoice_id"),
    )

    key: str = Field(primary_key=True)
    id: str
    customer_id: str
    invoice_id: str
    amount: int = Field(sa_type=BigInteger)
    currency: str
    at: datetime = Field(sa_type=UtcTime)


_LOCK_INVOICE = text(
    """
    SELECT 1 FROM invoices
    WHERE organisation = :organisation AND customer_id = :customer_id AND id = :invoice_id FOR NO KEY UPDATE
    """
)
_REFUND = text(
    """
    INSERT INTO refunds (organisation, key, id, customer_id, invoice_id, amount, currency, at)
    SELECT i.organisation, :key, :id, i.customer_id, i.id, :amount, i.currency, now()
    FROM invoices i
    WHERE i.organisation = :organisation AND i.customer_id = :customer_id AND i.id = :invoice_id
        AND i.status = 'paid' AND i.currency = :currency
        AND i.total_amount >= CAST(:amount AS bigint) + (
            SELECT coalesce(sum(r.amount), 0) FROM refunds r
            WHERE r.organisation = i.organisation AND r.customer_id = i.customer_id AND r.invoice_id = i.id
        )
    ON CONFLICT (organisation, key) DO NOTHING
    RETURNING id, customer_id, invoice_id, amount, currency
    """
)
_BY_KEY = text(
    """
    SELECT id, customer_id, invoice_id, amount, currency FROM refunds
    WHERE organisation = :organisation AND key = :key
    """
)


class RefundRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def refund(self, key: str, customer_id: CustomerId, invoice_id: str, amount: Money) -> RefundReceipt:
        """Book it once per key; a repeat returns the first receipt.

        Raises `ToolRefused` if the invoice is unknown, unpaid or in another currency, if all refunds of it together
        would exceed its total, or if the key stands for a different refund.
        """
        asked = {"customer_id": customer_id, "invoice_id": invoice_id, "amount": amount.amount}
        await self._session.first(_LOCK_INVOICE, customer_id=customer_id, invoice_id=invoice_id)
        row = await self._session.first(_REFUND, key=key, id=new_id("rfd"), currency=amount.currency, **asked)
        row = row or await self._session.first(_BY_KEY, key=key)
        if row is None:
            raise ToolRefused("this invoice cannot give back that much", reason="not_refundable")
        if (row.customer_id, row.invoice_id, row.amount, row.currency) != (*asked.values(), amount.currency):
            raise ToolRefused("the key stands for another refund", reason="key_reused")
        return _receipt(row)


def _receipt(row: Record) -> RefundReceipt:
    return RefundReceipt(
        refund_id=row.id, invoice_id=row.invoice_id, amount=Money(amount=row.amount, currency=row.currency)
    )
