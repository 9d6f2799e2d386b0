"""Customers: whom we serve. Each has one conversation for chat from the start, so that every message has a place."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Field

from domain.errors import CustomerNotFound
from domain.facts import Account
from domain.values import ConversationId, CustomerId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.customer_keys import ADD, keys_of
from schema.sealed import Place, opened_one, sealed_with
from schema.seals import CustomerKey
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
SEALED = {"name": "customers.name", "email": "customers.email", "phone": "customers.phone"}
_KEYS = keys_of("customers.organisation", *SEALED)
_PUT = text(
    f"""
    WITH customer AS (
        INSERT INTO customers (organisation, {_COLUMNS})
        VALUES (:organisation, :customer_id, :name, :email, :phone, :plan, :status, :language, :time_zone, :region,
                :conversation_id, :at, :at)
        ON CONFLICT (organisation, id) DO UPDATE SET
            name = excluded.name, email = excluded.email, phone = excluded.phone, plan = excluded.plan,
            status = excluded.status, language = excluded.language, time_zone = excluded.time_zone,
            region = excluded.region, updated_at = excluded.updated_at
        RETURNING *
    ), place AS (SELECT organisation, id AS customer_id FROM customer),
    made AS ({ADD}),
    conversation AS (
        INSERT INTO conversations (organisation, id, customer_id, channel, state, created_at)
        SELECT organisation, conversation_id, id, 'chat', 'open', :at FROM customer
        WHERE conversation_id = :conversation_id
    )
    SELECT {_COLUMNS} FROM customer
    """
)
# Locked, so that the key found is there until the words it seals are.
_HELD = text(
    """
    SELECT k.id, k.wrapped FROM customers c LEFT JOIN LATERAL (
        SELECT x.id, x.wrapped FROM customer_keys x WHERE x.organisation = c.organisation AND x.customer_id = c.id
        ORDER BY x.made_at DESC, x.id DESC LIMIT 1
    ) k ON true
    WHERE c.organisation = :organisation AND c.id = :customer_id FOR NO KEY UPDATE OF c
    """
)
_GET = text(f"SELECT {_COLUMNS}, {_KEYS} AS keys FROM customers WHERE organisation = :organisation AND id = :id")


class CustomerRepository:
    """Also the built-in `AccountGateway`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def put(self, account: Account, at: datetime) -> Customer:
        """Create the customer with its chat conversation, or replace every field of the account."""
        key, is_new = await self._key(account.customer_id)
        fields = account.model_dump(by_alias=False)
        words = {
            name: sealed_with(self._session, key, Place(column, account.customer_id), fields[name])
            for name, column in SEALED.items()
        }
        row = await self._session.first(
            _PUT,
            conversation_id=new_id("cnv"),
            at=at,
            key_id=key and key.id,
            wrapped=key.wrapped if key and is_new else None,
            **{**fields, **words},
        )
        assert row is not None
        return replace(_customer(row), account=account)

    async def _key(self, customer_id: CustomerId) -> tuple[CustomerKey | None, bool]:
        """What seals the customer's words, and whether it is yet to be stored."""
        seals = self._session.seals
        if seals is None or not seals.writes:
            return None, False
        row = await self._session.first(_HELD, customer_id=customer_id)
        if row is None or row.id is None:
            seals.keep(key := seals.new(self._session.organisation, customer_id))
            return key, True
        return seals.unwrapped(self._session.organisation, customer_id, row.id, row.wrapped), False

    async def find(self, customer_id: CustomerId) -> Customer | None:
        row = await self._session.first(_GET, id=customer_id)
        return None if row is None else _customer(await opened_one(self._session, row, SEALED))

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
