"""Webhook endpoints: where other systems listen, what for, and the sealed secrets that sign."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ARRAY, Column, ForeignKeyConstraint, Index, String, TextClause, text
from sqlmodel import Field

from domain.errors import NotFound
from domain.webhook import EndpointKind
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session

SecretPurpose = Literal["signing", "address"]


class WebhookEndpointRow(OrganisationRow, table=True):
    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        Index(
            "webhook_endpoints_newest",
            "organisation",
            "created_at",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    kind: str
    url: str
    event_types: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    description: str
    enabled: bool
    disabled_reason: str | None
    created_by: str
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)
    deleted_at: datetime | None = Field(sa_type=UtcTime)


class WebhookSecretRow(OrganisationRow, table=True):
    __tablename__ = "webhook_secrets"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "endpoint_id"], ["webhook_endpoints.organisation", "webhook_endpoints.id"]
        ),
        Index("webhook_secrets_by_endpoint", "organisation", "endpoint_id", "created_at"),
    )

    id: str = Field(primary_key=True)
    endpoint_id: str
    purpose: str
    sealed: bytes
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Endpoint:
    id: str
    kind: EndpointKind
    url: str
    """Of a chat room only the beginning: the rest is a secret."""
    event_types: tuple[str, ...]
    description: str
    enabled: bool
    disabled_reason: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class SealedSecret:
    id: str
    sealed: bytes
    created_at: datetime
    expires_at: datetime | None


_COLUMNS = ", ".join(Endpoint.__dataclass_fields__)
_PUT = text(
    f"""
    INSERT INTO webhook_endpoints (organisation, {_COLUMNS})
    VALUES (:organisation, :id, :kind, :url, CAST(:event_types AS varchar[]), :description, true, NULL, :by, :at, :at,
            NULL)
    RETURNING {_COLUMNS}
    """
)
_GET = text(
    f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE organisation = :organisation AND id = :id AND deleted_at IS NULL"
)
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE organisation = :organisation AND deleted_at IS NULL AND (created_at, id) < (:before_at, :before_id)
    ORDER BY created_at DESC, id DESC LIMIT :limit
    """
)
_SUBSCRIBED = text(
    f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE organisation = :organisation AND deleted_at IS NULL AND enabled AND kind = :kind
        AND :wanted = ANY (event_types)
    ORDER BY id
    """
)


def _change(assignments: str, condition: str = "true") -> TextClause:
    return text(
        f"""
        UPDATE webhook_endpoints SET {assignments}, updated_at = :at
        WHERE organisation = :organisation AND id = :id AND deleted_at IS NULL AND {condition} RETURNING {_COLUMNS}
        """
    )


_CHANGE = _change(
    """url = coalesce(CAST(:url AS varchar), url), description = coalesce(CAST(:description AS varchar), description),
       event_types = coalesce(CAST(:event_types AS varchar[]), event_types),
       enabled = coalesce(CAST(:enabled AS boolean), enabled),
       disabled_reason = CASE WHEN coalesce(CAST(:enabled AS boolean), enabled) THEN NULL
                         ELSE coalesce(disabled_reason, 'by_hand') END"""
)
_DISABLE = _change("enabled = false, disabled_reason = :reason", "enabled")
_DELETE = _change("enabled = false, disabled_reason = 'deleted', deleted_at = :at")
_KEEP = text(
    """
    INSERT INTO webhook_secrets (organisation, id, endpoint_id, purpose, sealed, created_at)
    VALUES (:organisation, :id, :endpoint_id, :purpose, :sealed, :at)
    """
)
_EXPIRE = text(
    """
    UPDATE webhook_secrets SET expires_at = :expires_at
    WHERE organisation = :organisation AND endpoint_id = :endpoint_id AND purpose = :purpose AND id <> :but
        AND (expires_at IS NULL OR expires_at > :expires_at)
    """
)
_SECRETS = text(
    """
    SELECT id, sealed, created_at, expires_at FROM webhook_secrets
    WHERE organisation = :organisation AND endpoint_id = :endpoint_id AND purpose = :purpose
        AND (expires_at IS NULL OR expires_at > :at)
    ORDER BY created_at DESC, id DESC
    """
)


class WebhookRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(
        self,
        endpoint_id: str,
        kind: EndpointKind,
        url: str,
        event_types: Sequence[str],
        description: str,
        by: str,
        at: datetime,
    ) -> Endpoint:
        row = await self._session.first(
            _PUT, id=endpoint_id, kind=kind, url=url, event_types=sorted(set(event_types)), description=description,
            by=by, at=at,
        )  # fmt: skip
        assert row is not None
        return _endpoint(row)

    async def get(self, endpoint_id: str) -> Endpoint:
        """The endpoint, or `NotFound`; a deleted one is not found."""
        endpoint = await self.find(endpoint_id)
        if endpoint is None:
            raise NotFound("no such webhook")
        return endpoint

    async def find(self, endpoint_id: str) -> Endpoint | None:
        row = await self._session.first(_GET, id=endpoint_id)
        return None if row is None else _endpoint(row)

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Endpoint]:
        """Newest first, deleted ones left out."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(_LIST, before_at=before.at, before_id=before.id, limit=checked_limit(limit))
        return page(rows, limit, _endpoint, lambda row: Position(row.created_at, row.id))

    async def subscribed(self, kind: EndpointKind, wanted: str) -> tuple[Endpoint, ...]:
        """The enabled ones that want to hear of this."""
        return tuple(_endpoint(row) for row in await self._session.all(_SUBSCRIBED, kind=kind, wanted=wanted))

    async def change(
        self,
        endpoint_id: str,
        at: datetime,
        *,
        url: str | None = None,
        event_types: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """What is None stays. `NotFound`."""
        wanted = None if event_types is None else sorted(set(event_types))
        row = await self._session.first(
            _CHANGE, id=endpoint_id, at=at, url=url, event_types=wanted, description=description, enabled=enabled
        )
        if row is None:
            raise NotFound("no such webhook")
        return _endpoint(row)

    async def disable(self, endpoint_id: str, reason: str, at: datetime) -> bool:
        """Nothing is sent there any more until somebody enables it. False if it was disabled or deleted before."""
        return await self._session.first(_DISABLE, id=endpoint_id, reason=reason, at=at) is not None

    async def delete(self, endpoint_id: str, at: datetime) -> bool:
        """Out of sight and out of use; what it was sent stays on record. False if there is none."""
        return await self._session.first(_DELETE, id=endpoint_id, at=at) is not None

    async def keep_secret(
        self, endpoint_id: str, purpose: SecretPurpose, secret_id: str, sealed: bytes, at: datetime
    ) -> None:
        await self._session.run(_KEEP, id=secret_id, endpoint_id=endpoint_id, purpose=purpose, sealed=sealed, at=at)

    async def expire_others(self, endpoint_id: str, purpose: SecretPurpose, but: str, expires_at: datetime) -> None:
        """The older secrets of this purpose sign until then and not after."""
        await self._session.run(_EXPIRE, endpoint_id=endpoint_id, purpose=purpose, but=but, expires_at=expires_at)

    async def secrets(self, endpoint_id: str, purpose: SecretPurpose, at: datetime) -> tuple[SealedSecret, ...]:
        """Those in use at `at`, newest first."""
        rows = await self._session.all(_SECRETS, endpoint_id=endpoint_id, purpose=purpose, at=at)
        return tuple(SealedSecret(r.id, r.sealed, r.created_at, r.expires_at) for r in rows)


def new_endpoint_id() -> str:
    return new_id("whk")


def _endpoint(row: Record) -> Endpoint:
    values = {name: getattr(row, name) for name in Endpoint.__dataclass_fields__}
    return Endpoint(**{**values, "kind": EndpointKind(row.kind), "event_types": tuple(row.event_types)})
