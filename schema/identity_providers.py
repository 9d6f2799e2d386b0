"""An organisation's own identity provider. A change is the next version; what was said before stays on record."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.errors import Conflict
from domain.identity_provider import ProviderSettings
from domain.values import Json
from schema.base import OrganisationRow, UtcTime, json_values, new_id
from schema.session import Record, Session


class IdentityProviderRow(OrganisationRow, table=True):
    __tablename__ = "identity_providers"

    version: int = Field(primary_key=True)
    id: str
    body: Json = Field(sa_type=JSONB)
    sealed_secret: bytes | None
    created_at: datetime = Field(sa_type=UtcTime)
    created_by: str


@dataclass(frozen=True, slots=True)
class Provider:
    id: str
    """The same in every version."""
    version: int
    settings: ProviderSettings
    sealed_secret: bytes | None = field(repr=False)
    """None: a client without a secret."""
    created_at: datetime
    created_by: str


_COLUMNS = "id, version, body, sealed_secret, created_at, created_by"
_PUT = text(
    f"""
    INSERT INTO identity_providers (organisation, {_COLUMNS})
    VALUES (:organisation, :id, :version, :body, :sealed_secret, :at, :by)
    ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
    """
).bindparams(*json_values("body"))
_NEWEST = text(
    f"SELECT {_COLUMNS} FROM identity_providers WHERE organisation = :organisation ORDER BY version DESC LIMIT 1"
)


class ProviderRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def newest(self) -> Provider | None:
        """As it is now, enabled or not; None: there never was one."""
        row = await self._session.first(_NEWEST)
        return None if row is None else _provider(row)

    async def put(
        self, provider_id: str, version: int, settings: ProviderSettings, sealed: bytes | None, by: str, at: datetime
    ) -> Provider:
        """That version. `Conflict` if somebody else made it first."""
        body = settings.model_dump(mode="json", by_alias=False)
        row = await self._session.first(
            _PUT, id=provider_id, version=version, body=body, sealed_secret=sealed, by=by, at=at
        )
        if row is None:
            raise Conflict("the identity provider was changed meanwhile")
        return _provider(row)


def new_provider_id() -> str:
    return new_id("idp")


def _provider(row: Record) -> Provider:
    settings = ProviderSettings.model_validate(row.body)
    sealed = None if row.sealed_secret is None else bytes(row.sealed_secret)
    return Provider(row.id, row.version, settings, sealed, row.created_at, row.created_by)
