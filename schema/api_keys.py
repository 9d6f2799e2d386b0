"""API keys. Only the hash of a key is ever stored; `Database.resolve_api_key` finds whose it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Column, Index, String, text
from sqlmodel import Field

from domain.errors import Conflict
from schema.audit import AuditEvent, AuditRepository
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class ApiKeyRow(OrganisationRow, table=True):
    __tablename__ = "api_keys"
    __table_args__ = (
        Index("api_keys_by_name", "organisation", "name", unique=True, postgresql_where=text("revoked_at IS NULL")),
    )

    id: str = Field(primary_key=True)
    name: str
    key_hash: bytes = Field(unique=True)
    scopes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(sa_type=UtcTime)
    revoked_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


AT_THE_COMMAND_LINE = "command"
_COLUMNS = "id, name, scopes, created_at, expires_at, revoked_at"
_ISSUE = text(
    f"""
    INSERT INTO api_keys (organisation, id, name, key_hash, scopes, created_at, expires_at)
    VALUES (:organisation, :id, :name, :key_hash, CAST(:scopes AS varchar[]), :at, :expires_at)
    ON CONFLICT (organisation, name) WHERE revoked_at IS NULL DO NOTHING
    RETURNING {_COLUMNS}
    """
)
_REVOKE = text(
    "UPDATE api_keys SET revoked_at = :at WHERE organisation = :organisation AND id = :id AND revoked_at IS NULL"
    " RETURNING name"
)
_LIST = text(f"SELECT {_COLUMNS} FROM api_keys WHERE organisation = :organisation ORDER BY created_at DESC, id DESC")


class ApiKeyRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def issue(
        self,
        name: str,
        scopes: Iterable[str],
        key_hash: bytes,
        at: datetime,
        expires_at: datetime | None = None,
        by: str = AT_THE_COMMAND_LINE,
    ) -> ApiKey:
        """Store a new key by its SHA-256, on record in the audit. The key itself is shown once, by the caller.

        `Conflict` if a key of that name is in use: what people decide is recorded under the name."""
        row = await self._session.first(
            _ISSUE, id=new_id("key"), name=name, key_hash=key_hash, scopes=sorted(set(scopes)), at=at,
            expires_at=expires_at,
        )  # fmt: skip
        if row is None:
            raise Conflict("a key of this name is in use; revoke it first, or choose another name")
        issued = _api_key(row)
        details = {"name": name, "scopes": list(issued.scopes), "expiresAt": expires_at and expires_at.isoformat()}
        await AuditRepository(self._session).append(AuditEvent(at, by, "key.issued", issued.id, details))
        return issued

    async def revoke(self, key_id: str, at: datetime, by: str = AT_THE_COMMAND_LINE) -> bool:
        """From the next request on, the key is unknown; on record. False if there was nothing to revoke."""
        row = await self._session.first(_REVOKE, id=key_id, at=at)
        if row is None:
            return False
        await AuditRepository(self._session).append(AuditEvent(at, by, "key.revoked", key_id, {"name": row.name}))
        return True

    async def list(self) -> tuple[ApiKey, ...]:
        """Every key, newest first, revoked ones too."""
        return tuple(_api_key(row) for row in await self._session.all(_LIST))


def _api_key(row: Record) -> ApiKey:
    return ApiKey(row.id, row.name, tuple(row.scopes), row.created_at, row.expires_at, row.revoked_at)
