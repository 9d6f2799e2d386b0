"""The keys of customers, wrapped. A customer's go with them: an erasure deletes the customer's row, and these with it.

A customer may have several: a process that takes in a message of somebody it does not know makes one instead of asking
first, which would be a round trip more for every such message."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from schema.base import OrganisationRow, UtcTime


class CustomerKeyRow(OrganisationRow, table=True):
    __tablename__ = "customer_keys"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "customer_id"], ["customers.organisation", "customers.id"], ondelete="CASCADE"
        ),
        Index("customer_keys_by_customer", "organisation", "customer_id", "made_at"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    wrapped: str
    made_at: datetime = Field(sa_type=UtcTime)


ADD = """
    INSERT INTO customer_keys (organisation, id, customer_id, wrapped, made_at)
    SELECT p.organisation, :key_id, p.customer_id, :wrapped, now() FROM place p
    WHERE CAST(:wrapped AS varchar) IS NOT NULL
    RETURNING id
"""
"""Stores a new key of the customer in `place`; nothing if there is none to store."""
STANDS = """
    (CAST(:key_id AS varchar) IS NULL OR EXISTS (SELECT FROM made) OR EXISTS (
        SELECT FROM customer_keys k
        WHERE k.organisation = :organisation AND k.id = :key_id AND k.customer_id = :customer_id))
"""
"""Whether the key that sealed the words is there: made just now, or not destroyed since it was met."""
NEWEST = text(
    """
    SELECT id, wrapped FROM customer_keys WHERE organisation = :organisation AND customer_id = :customer_id
    ORDER BY made_at DESC, id DESC LIMIT 1
    """
)
MAKE = text(f"WITH place AS (SELECT organisation, id AS customer_id FROM customers"
             f" WHERE organisation = :organisation AND id = :customer_id) {ADD}")  # fmt: skip
FIND = text(
    """
    SELECT id, customer_id, wrapped FROM customer_keys
    WHERE organisation = :organisation AND id = ANY(CAST(:ids AS varchar[]))
    """
)
AFTER = text(
    """
    SELECT id, customer_id, wrapped FROM customer_keys WHERE organisation = :organisation AND id > :after
    ORDER BY id LIMIT :most
    """
)
REWRAP = text("UPDATE customer_keys SET wrapped = :new WHERE organisation = :organisation AND id = :id")


def keys_of(organisation: str, *values: str) -> str:
    """SQL for the column `keys`: those that sealed any of these values, fetched with them. `sealed.opened` reads it."""
    ids = ", ".join(f"split_part({value}, '.', 3)" for value in values)
    return (
        f"(SELECT jsonb_agg(jsonb_build_array(k.id, k.customer_id, k.wrapped)) FROM customer_keys k"
        f" WHERE k.organisation = {organisation} AND k.id IN ({ids}))"
    )
