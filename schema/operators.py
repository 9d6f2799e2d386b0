"""Who can be asked to decide: the people behind the organisation's live keys."""

from datetime import datetime

from sqlalchemy import text

from schema.session import Session

_SCOPES = text(
    """
    SELECT scopes FROM api_keys
    WHERE organisation = :organisation AND name = :name AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > :at)
    """
)


async def scopes_of(session: Session, name: str, at: datetime) -> frozenset[str]:
    """What the person of this name may do at `at`; nothing if there is none, or not any more."""
    row = await session.first(_SCOPES, name=name, at=at)
    return frozenset() if row is None else frozenset(row.scopes)
