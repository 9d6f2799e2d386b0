"""What was given back and what is on its way, from the effect ledger: the one place that says how it is counted.

A money effect counts as *refunded* when it was confirmed, as *in flight* while it is reserved, dispatched or
unknown, and not at all once it failed or was undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from domain.errors import ReservationRefused
from domain.values import CustomerId, Money
from schema.session import Session

MOVEMENTS = """
    SELECT e.subject, e.amount, e.currency, e.reserved_at, t.state IS NOT DISTINCT FROM 'confirmed' AS is_done,
           t.state IS NOT DISTINCT FROM 'unknown' AS is_unknown
    FROM effects e LEFT JOIN effect_events t
        ON t.organisation = e.organisation AND t.effect_id = e.id AND t.state IN ('confirmed', 'failed', 'unknown')
    WHERE e.organisation = :organisation AND e.customer_id = :customer_id AND e.effect_class = 'money'
        AND t.state IS DISTINCT FROM 'failed'
        AND NOT EXISTS (
            SELECT FROM effect_events u
            WHERE u.organisation = e.organisation AND u.effect_id = e.id AND u.state = 'undone'
        )
"""
"""The money effects of `:customer_id` that count. Use as a common table expression."""


@dataclass(frozen=True, slots=True)
class ReservationLimits:
    """How much one customer may get back by itself within a period, all currencies added."""

    cumulative: int
    """Minor units, what is being reserved included."""
    period: timedelta


@dataclass(frozen=True, slots=True)
class Amount:
    """Money about to be reserved, and what it concerns."""

    money: Money
    subject: str | None
    """The invoice. None for money that concerns no single object: only the customer's sum limits it."""


_LOCK_CUSTOMER = text(
    # NO KEY: other requests of this customer may still be claimed meanwhile; two reservations still exclude each other.
    "SELECT 1 FROM customers WHERE organisation = :organisation AND id = :customer_id FOR NO KEY UPDATE"
)
_LOCK_INVOICES = text(
    f"""
    WITH movements AS ({MOVEMENTS})
    SELECT i.id, i.currency, CASE WHEN i.status = 'paid' THEN i.total_amount ELSE 0 END
        - (SELECT coalesce(sum(m.amount), 0)::bigint FROM movements m WHERE m.subject = i.id) AS refundable
    FROM invoices i
    WHERE i.organisation = :organisation AND i.customer_id = :customer_id
        AND i.id = ANY(CAST(:subjects AS varchar[]))
    ORDER BY i.id FOR NO KEY UPDATE OF i
    """
)
_SPENT = text(
    f"""
    WITH movements AS ({MOVEMENTS})
    SELECT coalesce(sum(amount), 0)::bigint AS spent FROM movements WHERE reserved_at > :since
    """
)


async def check_money(
    session: Session,
    customer_id: CustomerId,
    amounts: Sequence[Amount],
    limits: ReservationLimits | None,
    at: datetime,
) -> None:
    """Holds the customer's and the invoices' locks until the transaction ends, then counts under them.

    Raises `ReservationRefused` with `details["reason"]`: `unknown_customer`, `unknown_invoice`, `currency_mismatch`,
    `exceeds_refundable` or `over_cumulative_limit`.
    """
    # The count must be a statement of its own: one that waited for the lock would count with an older snapshot.
    if await session.first(_LOCK_CUSTOMER, customer_id=customer_id) is None:
        raise _refused("unknown_customer")
    await _check_refundable(session, customer_id, [a for a in amounts if a.subject is not None])
    if limits is not None:
        row = await session.first(_SPENT, customer_id=customer_id, since=at - limits.period)
        assert row is not None
        if row.spent + sum(a.money.amount for a in amounts) > limits.cumulative:
            raise _refused("over_cumulative_limit")


async def _check_refundable(session: Session, customer_id: CustomerId, amounts: Sequence[Amount]) -> None:
    subjects = sorted({a.subject for a in amounts if a.subject is not None})
    if not subjects:
        return
    rows = await session.all(_LOCK_INVOICES, customer_id=customer_id, subjects=subjects)
    left = {row.id: Money.model_construct(amount=row.refundable, currency=row.currency) for row in rows}
    for amount in amounts:
        invoice = left.get(str(amount.subject))
        if invoice is None:
            raise _refused("unknown_invoice")
        if invoice.currency != amount.money.currency:
            raise _refused("currency_mismatch")
        if amount.money.amount > invoice.amount:
            raise _refused("exceeds_refundable")
        left[str(amount.subject)] = Money(amount=invoice.amount - amount.money.amount, currency=invoice.currency)


def _refused(reason: str) -> ReservationRefused:
    return ReservationRefused(f"the ledger refuses the reservation: {reason}", reason=reason)
