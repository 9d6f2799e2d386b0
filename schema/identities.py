"""Who an operator is at an identity provider: issuer and subject, which the provider never gives to anybody else."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint, text
from sqlmodel import Field

from domain.errors import Conflict, NotFound
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class OperatorIdentityRow(OrganisationRow, table=True):
    __tablename__ = "operator_identities"
    __table_args__ = (
        UniqueConstraint("organisation", "issuer", "subject"),
        UniqueConstraint("organisation", "operator_id", "issuer"),
        ForeignKeyConstraint(["organisation", "operator_id"], ["operators.organisation", "operators.id"]),
    )

    id: str = Field(primary_key=True)
    operator_id: str
    issuer: str
    subject: str
    linked_by: str
    linked_at: datetime = Field(sa_type=UtcTime)
    last_sign_in_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Identity:
    id: str
    operator_id: str
    issuer: str
    subject: str
    linked_by: str
    linked_at: datetime
    last_sign_in_at: datetime | None


_COLUMNS = ", ".join(Identity.__dataclass_fields__)
_LINK = text(
    f"""
    INSERT INTO operator_identities (organisation, id, operator_id, issuer, subject, linked_by, linked_at)
    VALUES (:organisation, :id, :operator_id, :issuer, :subject, :by, :at)
    ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
    """
)
_FIND = text(
    f"""
    SELECT {_COLUMNS} FROM operator_identities
    WHERE organisation = :organisation AND issuer = :issuer AND subject = :subject
    """
)
_OF = text(
    f"""
    SELECT {_COLUMNS} FROM operator_identities
    WHERE organisation = :organisation AND operator_id = :operator_id AND issuer = :issuer
    """
)
_UNLINK = text("DELETE FROM operator_identities WHERE organisation = :organisation AND id = :id")
_SEEN = text("UPDATE operator_identities SET last_sign_in_at = :at WHERE organisation = :organisation AND id = :id")
_ADMIN = text(
    """
    SELECT 1 FROM operator_identities i JOIN operators o ON o.organisation = i.organisation AND o.id = i.operator_id
    WHERE i.organisation = :organisation AND i.issuer = :issuer AND i.last_sign_in_at IS NOT NULL
        AND 'admin' = ANY (o.scopes) AND o.disabled_at IS NULL
    LIMIT 1
    """
)


class IdentityRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def link(self, operator_id: str, issuer: str, subject: str, by: str, at: datetime) -> Identity:
        """`Conflict` if the identity is somebody's, or the operator has another one there."""
        row = await self._session.first(
            _LINK, id=new_id("idn"), operator_id=operator_id, issuer=issuer, subject=subject, by=by, at=at
        )
        if row is None:
            raise Conflict("this identity is linked to an operator, or the operator to another one")
        return _identity(row)

    async def find(self, issuer: str, subject: str) -> Identity | None:
        row = await self._session.first(_FIND, issuer=issuer, subject=subject)
        return None if row is None else _identity(row)

    async def of(self, operator_id: str, issuer: str) -> Identity | None:
        """The operator's at this issuer."""
        row = await self._session.first(_OF, operator_id=operator_id, issuer=issuer)
        return None if row is None else _identity(row)

    async def unlink(self, identity_id: str) -> None:
        """Raises `NotFound`."""
        if not await self._session.run(_UNLINK, id=identity_id):
            raise NotFound("there is no such identity")

    async def seen(self, identity_id: str, at: datetime) -> None:
        """Somebody signed in by it."""
        await self._session.run(_SEEN, id=identity_id, at=at)

    async def has_admin(self, issuer: str) -> bool:
        """Whether an admin has signed in by this issuer, and still may."""
        return await self._session.first(_ADMIN, issuer=issuer) is not None


def _identity(row: Record) -> Identity:
    return Identity(**row._asdict())
