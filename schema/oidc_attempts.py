"""Sign-ins that are under way at an identity provider. Each is good once, for ten minutes, in one browser.

Only hashes of what the browser brings back are stored, and what the provider is told is sealed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session

LASTS = timedelta(minutes=10)
KEPT = timedelta(days=1)
"""So long a used one is told apart from one that never was."""


class OidcAttemptRow(OrganisationRow, table=True):
    __tablename__ = "oidc_attempts"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "session_id"], ["sessions.organisation", "sessions.id"]),
        Index("oidc_attempts_by_time", "organisation", "expires_at"),
    )

    id: str = Field(primary_key=True)
    state_hash: bytes = Field(unique=True)
    browser_hash: bytes
    provider_id: str
    provider_version: int
    session_id: str | None
    return_to: str
    sealed: bytes
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    used_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Attempt:
    id: str
    browser_hash: bytes = field(repr=False)
    provider_id: str
    provider_version: int
    session_id: str | None
    """The session that is to be stepped up; None: a new one is to begin."""
    return_to: str
    """A path of ours."""
    sealed: bytes = field(repr=False)
    """Nonce and verifier."""
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


_COLUMNS = ", ".join(Attempt.__dataclass_fields__)
_BEGIN = text(
    f"""
    INSERT INTO oidc_attempts (organisation, state_hash, {_COLUMNS})
    VALUES (:organisation, :state_hash, :id, :browser_hash, :provider_id, :provider_version, :session_id, :return_to,
            :sealed, :created_at, :expires_at, NULL)
    """
)
_FIND = text(f"SELECT {_COLUMNS} FROM oidc_attempts WHERE organisation = :organisation AND state_hash = :state_hash")
_USE = text(
    """
    UPDATE oidc_attempts SET used_at = :at
    WHERE organisation = :organisation AND id = :id AND used_at IS NULL AND expires_at > :at
    """
)
_FORGET = text("DELETE FROM oidc_attempts WHERE organisation = :organisation AND expires_at < :before")


class AttemptRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin(self, attempt: Attempt, state_hash: bytes) -> None:
        """On record, and those of yesterday are not any more."""
        await self._session.run(_FORGET, before=attempt.created_at - KEPT)
        values = {name: getattr(attempt, name) for name in Attempt.__dataclass_fields__ if name != "used_at"}
        await self._session.run(_BEGIN, state_hash=state_hash, **values)

    async def find(self, state_hash: bytes) -> Attempt | None:
        row = await self._session.first(_FIND, state_hash=state_hash)
        return None if row is None else _attempt(row)

    async def use(self, attempt_id: str, at: datetime) -> bool:
        """Whether it could still be used. Of several at once one may."""
        return await self._session.run(_USE, id=attempt_id, at=at) == 1


def new_attempt_id() -> str:
    return new_id("oat")


def _attempt(row: Record) -> Attempt:
    values = {name: getattr(row, name) for name in Attempt.__dataclass_fields__}
    return Attempt(**{**values, "browser_hash": bytes(row.browser_hash), "sealed": bytes(row.sealed)})
