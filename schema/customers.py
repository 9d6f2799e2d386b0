"""Customers: whom we serve. Each has one conversation for chat from the start, so that every message has a place."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Field

from domain.errors import CustomerNotFound
from domain.facts import Account
from domain.values import ConversationId, CustomerId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class CustomerRow(OrganisationRow, table=True):
    __tablename__ = "customers"

    id: str = Field(primary_key=True)
    name: str
    email: str | None
    phone: str | None
    plan: str
    status: str
    language: str | None
    time_zone: str | None
    region: str | None
    conversation_id: str
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Customer:
    account: Account
    conversation_id: ConversationId
    """Where messages go that name no conversation."""
    created_at: datetime
    updated_at: datetime


_COLUMNS = "id, name, email, phone, plan, status, language, time_zone, region, conversation_id, created_at, updated_at"
_PUT = text(
    f"""
    WITH customer AS (
        INSERT INTO customers (organisation, {_COLUMNS})
        VALUES (:organisation, :id, :name, :email, :phone, :plan, :status, :language, :time_zone, :region,
                :conversation_id, :at, :at)
        ON CONFLICT (organisation, id) DO UPDATE SET
            name = excluded.name, email = excluded.email, phone = excluded.phone, plan = excluded.plan,
            status = excluded.status, language = excluded.language, time_zone = excluded.time_zone,
            region = excluded.region, updated_at = excluded.updated_at
        RETURNING *
    ), conversation AS (
        INSERT INTO conversations (organisation, id, customer_id, channel, state, created_at)
        SELECT organisation, conversation_id, id, 'chat', 'open', :at FROM customer
        WHERE conversation_id = :conversation_id
    )
    SELECT {_COLUMNS} FROM customer
    """
)
_GET = text(f"SELECT {_COLUMNS} FROM customers WHERE organisation = :organisation AND id = :id")


class CustomerRepository:
    """Also the built-in `AccountGateway`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def put(self, account: Account, at: datetime) -> Customer:
        """Create the customer with its chat conversation, or replace every field of the account."""
        row = await self._session.first(
            _PUT,
            id=account.customer_id,
            conversation_id=new_id("cnv"),
            at=at,
            **account.model_dump(by_alias=False, exclude={"customer_id"}),
        )
        assert row is not None
        return _customer(row)

    async def find(self, customer_id: CustomerId) -> Customer | None:
        row = await self._session.first(_GET, id=customer_id)
        return None if row is None else _customer(row)

    async def get(self, customer_id: CustomerId) -> Customer:
        """The customer, or `CustomerNotFound`."""
        customer = await self.find(customer_id)
        if customer is None:
            raise CustomerNotFound("no such customer")
        return customer

    async def get_account(self, customer_id: CustomerId) -> Account:
        return (await self.get(customer_id)).account


def _customer(row: Record) -> Customer:
    account = Account(
        customer_id=row.id,
        name=row.name,
        email=row.email,
        phone=row.phone,
        plan=row.plan,
        status=row.status,
        language=row.language,
        time_zone=row.time_zone,
        region=row.region,
    )
    return Customer(account, ConversationId(row.conversation_id), row.created_at, row.updated_at)
