"""Organisations: the tenants. A transaction sees only the one it is bound to."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Field

from domain.values import OrganisationId
from schema.base import Row, UtcTime
from schema.session import Record, Session


class OrganisationTableRow(Row, table=True):
    __tablename__ = "organisations"

    id: str = Field(primary_key=True)
    name: str
    created_at: datetime = Field(sa_type=UtcTime)
    rate_limit: int | None


@dataclass(frozen=True, slots=True)
class Organisation:
    id: OrganisationId
    name: str
    created_at: datetime


_PUT = text(
    """
    INSERT INTO organisations (id, name, created_at) VALUES (:organisation, :name, :at)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name
    RETURNING id, name, created_at
    """
)
_LIMIT = text("UPDATE organisations SET rate_limit = :most WHERE id = :organisation")
_GET = text("SELECT id, name, created_at FROM organisations WHERE id = :organisation")


class OrganisationRepository:
    """The organisation of the transaction, and no other."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def put(self, name: str, at: datetime) -> Organisation:
        """Create it, or rename it."""
        row = await self._session.first(_PUT, name=name, at=at)
        assert row is not None
        return _organisation(row)

    async def limit(self, most: int | None) -> bool:
        """Let it ask so much in a window, from the next request on; None: what the installation grants. False if there
        is no such organisation."""
        return await self._session.run(_LIMIT, most=most) == 1

    async def find(self) -> Organisation | None:
        row = await self._session.first(_GET)
        return None if row is None else _organisation(row)


def _organisation(row: Record) -> Organisation:
    return Organisation(row.id, row.name, row.created_at)
