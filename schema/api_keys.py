"""API keys. Only the hash of a key is ever stored; `Database.resolve_api_key` finds whose it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Column, Index, String, text
from sqlmodel import Field

from domain.errors import Conflict, KeyNotFound
from schema.audit import AuditEvent, AuditRepository
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session


class ApiKeyRow(OrganisationRow, table=True):
    __tablename__ = "api_keys"
    __table_args__ = (
        Index(
            "api_keys_by_name",
            "organisation",
            "name",
            unique=True,
            postgresql_where=text("revoked_at IS NULL AND replaced_by IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    name: str
    key_hash: bytes = Field(unique=True)
    scopes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(sa_type=UtcTime)
    revoked_at: datetime | None = Field(sa_type=UtcTime)
    hint: str = Field(sa_column=Column(String, nullable=False, server_default=""))
    created_by: str | None
    last_used_at: datetime | None = Field(sa_type=UtcTime)
    replaced_by: str | None
    vouches: bool = Field(sa_column_kwargs={"server_default": text("true")})
    owner: str | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    hint: str = ""
    """How the key begins, to tell it from others; empty for a key from before there were hints."""
    created_by: str | None = None
    """Who issued it; None: whoever has the machine."""
    last_used_at: datetime | None = None
    """Give or take a minute."""
    replaced_by: str | None = None
    """The key that was issued in its place."""
    vouches: bool = True
    """Whether what it passes on counts as coming from the customer it names."""
    owner: str | None = None
    """The operator it was issued to: to a quorum they and their keys are one person."""


AT_THE_COMMAND_LINE = "command"
"""Who issued or revoked a key: whoever has the machine."""
_COLUMNS = ", ".join(ApiKey.__dataclass_fields__)
_ISSUE = text(
    f"""
    INSERT INTO api_keys (organisation, id, name, key_hash, scopes, created_at, expires_at, hint, created_by, vouches,
                          owner)
    VALUES (:organisation, :id, :name, :key_hash, CAST(:scopes AS varchar[]), :at, :expires_at, :hint, :created_by,
            :vouches, :owner)
    ON CONFLICT (organisation, name) WHERE revoked_at IS NULL AND replaced_by IS NULL DO NOTHING
    RETURNING {_COLUMNS}
    """
)
_REVOKE = text(
    "UPDATE api_keys SET revoked_at = :at WHERE organisation = :organisation AND id = :id AND revoked_at IS NULL"
    " RETURNING name"
)
_GET = text(f"SELECT {_COLUMNS} FROM api_keys WHERE organisation = :organisation AND id = :id")
_LOCK = text(f"SELECT {_COLUMNS} FROM api_keys WHERE organisation = :organisation AND id = :id FOR UPDATE")
_REPLACE = text(
    """
    UPDATE api_keys SET replaced_by = :by, expires_at = least(expires_at, CAST(:until AS timestamptz))
    WHERE organisation = :organisation AND id = :id
    """
)
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM api_keys
    WHERE organisation = :organisation AND (created_at, id) < (:before_at, :before_id)
    ORDER BY created_at DESC, id DESC LIMIT :limit
    """
)
_USED = text(
    """
    UPDATE api_keys SET last_used_at = :at
    WHERE organisation = :organisation AND id = :id AND (last_used_at IS NULL OR last_used_at < :at)
    """
)


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
        *,
        hint: str = "",
        by: str | None = None,
        vouches: bool = True,
        owner: str | None = None,
    ) -> ApiKey:
        """Store a new key by its SHA-256, on record in the audit. The key itself is shown once, by the caller.

        `Conflict` if a key of that name is in use: what people decide is recorded under the name."""
        issued = await self._store(new_id("key"), name, scopes, key_hash, at, expires_at, hint, by, vouches, owner)
        details = {"name": name, "scopes": list(issued.scopes), "expiresAt": expires_at and expires_at.isoformat()}
        await self._audit(at, by, "key.issued", issued.id, **details, **({} if vouches else {"vouches": False}))
        return issued

    async def replace(
        self, key_id: str, key_hash: bytes, at: datetime, until: datetime, expires_at: datetime | None,
        *, hint: str, by: str, owner: str | None = None,
    ) -> ApiKey:  # fmt: skip
        """A successor with the same name and scopes, on record; the old key works until `until`, or until it would have
        ended.

        Raises `KeyNotFound`, or `Conflict` if the key has ended or was replaced before."""
        row = await self._session.first(_LOCK, id=key_id)
        if row is None:
            raise KeyNotFound("there is no such key")
        old = _api_key(row)
        if old.revoked_at is not None or old.replaced_by is not None or (old.expires_at and old.expires_at <= at):
            raise Conflict("this key has ended or was rotated before", replaced_by=old.replaced_by)
        new_key_id = new_id("key")  # first the old one gives up the name
        await self._session.run(_REPLACE, id=key_id, by=new_key_id, until=until)
        ends, whose = expires_at or old.expires_at, owner or old.owner  # whoever is shown it
        new = await self._store(new_key_id, old.name, old.scopes, key_hash, at, ends, hint, by, old.vouches, whose)
        await self._audit(at, by, "key.rotated", new.id, replaces=key_id)
        return new

    async def revoke(self, key_id: str, at: datetime, by: str | None = None) -> bool:
        """From the next request on, the key is refused; on record. False if there was nothing to revoke."""
        row = await self._session.first(_REVOKE, id=key_id, at=at)
        if row is None:
            return False
        await self._audit(at, by, "key.revoked", key_id, name=row.name)
        return True

    async def _store(
        self, key_id: str, name: str, scopes: Iterable[str], key_hash: bytes, at: datetime,
        expires_at: datetime | None, hint: str, by: str | None, vouches: bool, owner: str | None,
    ) -> ApiKey:  # fmt: skip
        row = await self._session.first(
            _ISSUE, id=key_id, name=name, key_hash=key_hash, scopes=sorted(set(scopes)), at=at,
            expires_at=expires_at, hint=hint, created_by=by, vouches=vouches, owner=owner,
        )  # fmt: skip
        if row is None:
            raise Conflict("a key of this name is in use; revoke it first, or choose another name")
        return _api_key(row)

    async def _audit(self, at: datetime, by: str | None, action: str, key_id: str, **details: object) -> None:
        event = AuditEvent(at, by or AT_THE_COMMAND_LINE, action, key_id, details)
        await AuditRepository(self._session).append(event)

    async def get(self, key_id: str) -> ApiKey:
        """Raises `KeyNotFound`."""
        row = await self._session.first(_GET, id=key_id)
        if row is None:
            raise KeyNotFound("there is no such key")
        return _api_key(row)

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[ApiKey]:
        """Newest first, those that have ended too."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(_LIST, before_at=before.at, before_id=before.id, limit=checked_limit(limit))
        return page(rows, limit, _api_key, lambda row: Position(row.created_at, row.id))

    async def used(self, key_id: str, at: datetime) -> None:
        await self._session.run(_USED, id=key_id, at=at)


def _api_key(row: Record) -> ApiKey:
    return ApiKey(**{**row._asdict(), "scopes": tuple(row.scopes)})
