"""Webhook endpoints: where other systems listen, what for, and how what they get is signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Column, Index, String, TextClause, text
from sqlmodel import Field

from domain.errors import NotFound
from domain.signing import Signing
from domain.webhook import EndpointKind
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session


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
    signing: str = Field(sa_column_kwargs={"server_default": "v1"})
    version: int = Field(sa_column_kwargs={"server_default": text("1")})
    created_by: str
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)
    deleted_at: datetime | None = Field(sa_type=UtcTime)


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
    signing: Signing
    version: int
    """Grows with each change, whoever made it."""
    created_by: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


_COLUMNS = ", ".join(Endpoint.__dataclass_fields__)
_PUT = text(
    f"""
    INSERT INTO webhook_endpoints (organisation, {_COLUMNS})
    VALUES (:organisation, :id, :kind, :url, CAST(:event_types AS varchar[]), :description, true, NULL, :signing, 1,
            :by, :at, :at, NULL)
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
        UPDATE webhook_endpoints SET {assignments}, updated_at = :at, version = version + 1
        WHERE organisation = :organisation AND id = :id AND deleted_at IS NULL AND {condition} RETURNING {_COLUMNS}
        """
    )


_CHANGE = _change(
    """url = coalesce(CAST(:url AS varchar), url), description = coalesce(CAST(:description AS varchar), description),
       event_types = coalesce(CAST(:event_types AS varchar[]), event_types),
       enabled = coalesce(CAST(:enabled AS boolean), enabled), signing = coalesce(CAST(:signing AS varchar), signing),
       disabled_reason = CASE WHEN coalesce(CAST(:enabled AS boolean), enabled) THEN NULL
                         ELSE coalesce(disabled_reason, 'by_hand') END"""
)
_DISABLE = _change("enabled = false, disabled_reason = :reason", "enabled")
_DELETE = _change("enabled = false, disabled_reason = 'deleted', deleted_at = :at")


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
        signing: Signing = Signing.V1,
    ) -> Endpoint:
        row = await self._session.first(
            _PUT, id=endpoint_id, kind=kind, url=url, event_types=sorted(set(event_types)), description=description,
            by=by, at=at, signing=signing,
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
        signing: Signing | None = None,
    ) -> Endpoint:
        """What is None stays. `NotFound`."""
        wanted = None if event_types is None else sorted(set(event_types))
        row = await self._session.first(
            _CHANGE, id=endpoint_id, at=at, url=url, event_types=wanted, description=description, enabled=enabled,
            signing=signing,
        )  # fmt: skip
        if row is None:
            raise NotFound("no such webhook")
        return _endpoint(row)

    async def disable(self, endpoint_id: str, reason: str, at: datetime) -> bool:
        """Nothing is sent there any more until somebody enables it. False if it was disabled or deleted before."""
        return await self._session.first(_DISABLE, id=endpoint_id, reason=reason, at=at) is not None

    async def delete(self, endpoint_id: str, at: datetime) -> bool:
        """Out of sight and out of use; what it was sent stays on record. False if there is none."""
        return await self._session.first(_DELETE, id=endpoint_id, at=at) is not None


def new_endpoint_id() -> str:
    return new_id("whk")


def _endpoint(row: Record) -> Endpoint:
    values = {name: getattr(row, name) for name in Endpoint.__dataclass_fields__}
    return Endpoint(
        **{
            **values,
            "kind": EndpointKind(row.kind),
            "signing": Signing(row.signing),
            "event_types": tuple(row.event_types),
        }
    )
