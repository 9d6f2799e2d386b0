"""Tokens of end customers: short-lived, for one customer each. Only their hash is stored;
`Database.resolve_customer_token` finds whose one is."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from domain.errors import CustomerNotFound
from domain.values import CustomerId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Session


class CustomerTokenRow(OrganisationRow, table=True):
    __tablename__ = "customer_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "customer_id"], ["customers.organisation", "customers.id"]),
        Index("customer_tokens_by_customer", "organisation", "customer_id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    token_hash: bytes = Field(unique=True)
    created_by: str
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)


_ISSUE = text(
    """
    INSERT INTO customer_tokens (organisation, id, customer_id, token_hash, created_by, created_at, expires_at)
    SELECT organisation, :id, id, :token_hash, :by, :at, :expires_at FROM customers
    WHERE organisation = :organisation AND id = :customer_id
    """
)
_FORGET = text(
    """
    DELETE FROM customer_tokens
    WHERE organisation = :organisation AND customer_id = :customer_id AND (:whole OR expires_at <= :at)
    """
)
_KNOWN = text("SELECT 1 FROM customers WHERE organisation = :organisation AND id = :customer_id")


class CustomerTokenRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def issue(
        self, customer_id: CustomerId, token_hash: bytes, by: str, at: datetime, expires_at: datetime
    ) -> str:
        """Its id. What this customer had and is over is forgotten on the way. Raises `CustomerNotFound`."""
        await self._session.run(_FORGET, customer_id=customer_id, at=at, whole=False)
        token_id = new_id("ctk")
        values = {"id": token_id, "token_hash": token_hash, "by": by, "at": at, "expires_at": expires_at}
        if await self._session.run(_ISSUE, customer_id=customer_id, **values) == 0:
            raise CustomerNotFound("no such customer")
        return token_id

    async def end_all(self, customer_id: CustomerId, at: datetime) -> int:
        """Every token of the customer, from the next request on; how many that were. Raises `CustomerNotFound`."""
        if await self._session.first(_KNOWN, customer_id=customer_id) is None:
            raise CustomerNotFound("no such customer")
        return await self._session.run(_FORGET, customer_id=customer_id, at=at, whole=True)
