"""What signs for a webhook endpoint, and what must not be shown of one: sealed, several at a time, each with an end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from schema.base import OrganisationRow, UtcTime
from schema.session import Session

SecretPurpose = Literal["signing", "signing_key", "address"]
"""A shared secret, the private half of a key pair, a chat room's address."""


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
    public_key: bytes | None
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class SealedSecret:
    id: str
    sealed: bytes
    created_at: datetime
    expires_at: datetime | None


_KEEP = text(
    """
    INSERT INTO webhook_secrets (organisation, id, endpoint_id, purpose, sealed, public_key, created_at)
    VALUES (:organisation, :id, :endpoint_id, :purpose, :sealed, :public_key, :at)
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
_PUBLIC = text(
    """
    SELECT endpoint_id, public_key FROM webhook_secrets
    WHERE organisation = :organisation AND endpoint_id = ANY(CAST(:endpoint_ids AS varchar[]))
        AND purpose = 'signing_key' AND (expires_at IS NULL OR expires_at > :at)
    ORDER BY created_at DESC, id DESC
    """
)


class WebhookSecretRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def keep(
        self,
        endpoint_id: str,
        purpose: SecretPurpose,
        secret_id: str,
        sealed: bytes,
        at: datetime,
        *,
        public_key: bytes | None = None,
    ) -> None:
        """`public_key`: the other half of a `signing_key`, kept in clear."""
        await self._session.run(
            _KEEP, id=secret_id, endpoint_id=endpoint_id, purpose=purpose, sealed=sealed, public_key=public_key, at=at
        )

    async def expire_others(self, endpoint_id: str, purpose: SecretPurpose, but: str, expires_at: datetime) -> None:
        """The other ones of this purpose sign until then and not after."""
        await self._session.run(_EXPIRE, endpoint_id=endpoint_id, purpose=purpose, but=but, expires_at=expires_at)

    async def active(self, endpoint_id: str, purpose: SecretPurpose, at: datetime) -> tuple[SealedSecret, ...]:
        """Those in use at `at`, newest first."""
        rows = await self._session.all(_SECRETS, endpoint_id=endpoint_id, purpose=purpose, at=at)
        return tuple(SealedSecret(r.id, r.sealed, r.created_at, r.expires_at) for r in rows)

    async def public_keys(self, endpoint_ids: Sequence[str], at: datetime) -> dict[str, tuple[bytes, ...]]:
        """By endpoint, what checks its `v1a` signatures at `at`, newest first. Whoever has none is not in it."""
        found: dict[str, tuple[bytes, ...]] = {}
        for row in await self._session.all(_PUBLIC, endpoint_ids=list(endpoint_ids), at=at):
            found[row.endpoint_id] = (*found.get(row.endpoint_id, ()), row.public_key)
        return found
