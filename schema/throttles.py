"""How often somebody failed to sign in, by account and by address. Both are keyed hashes and name nobody."""

from datetime import datetime
from typing import Literal

from sqlalchemy import Index, text
from sqlmodel import Field

from domain.signing_in import FORGET, FREE_TRIES, LONGEST_WAIT_S
from schema.base import OrganisationRow, UtcTime
from schema.session import Session

Kind = Literal["account", "address"]


class SignInThrottleRow(OrganisationRow, table=True):
    __tablename__ = "sign_in_throttles"
    __table_args__ = (Index("sign_in_throttles_by_time", "organisation", "last_at"),)

    kind: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    tries: int
    last_at: datetime = Field(sa_type=UtcTime)
    blocked_until: datetime = Field(sa_type=UtcTime)


_FORGET = text("DELETE FROM sign_in_throttles WHERE organisation = :organisation AND last_at < :before")
_TRY = text(
    """
    INSERT INTO sign_in_throttles AS t (organisation, kind, key, tries, last_at, blocked_until)
    VALUES (:organisation, :kind, :key, 1, :at, :at)
    ON CONFLICT (organisation, kind, key) DO UPDATE SET tries = t.tries + 1, last_at = excluded.last_at,
        blocked_until = excluded.last_at + CASE WHEN t.tries < CAST(:free AS integer) THEN interval '0'
            ELSE make_interval(secs => least(:longest, power(2, least(t.tries - CAST(:free AS integer), 20)))) END
    WHERE t.blocked_until <= excluded.last_at
    RETURNING t.blocked_until
    """
)
_BLOCKED = text(
    "SELECT blocked_until FROM sign_in_throttles WHERE organisation = :organisation AND kind = :kind AND key = :key"
)
_FORGIVE = text(
    """
    UPDATE sign_in_throttles
    SET tries = CASE kind WHEN 'account' THEN 0 ELSE greatest(tries - 1, 0) END,
        blocked_until = CASE kind WHEN 'account' THEN last_at ELSE blocked_until END
    WHERE organisation = :organisation AND kind = :kind AND key = :key
    """
)


class ThrottleRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def forget(self, at: datetime) -> None:
        """Those nobody tried for a day."""
        await self._session.run(_FORGET, before=at - FORGET)

    async def try_once(self, kind: Kind, key: str, at: datetime) -> tuple[bool, datetime]:
        """Counts a try before it is made, so that many at once are counted too. Whether it may be made, and until when
        the next one must wait."""
        free = FREE_TRIES[kind]
        row = await self._session.first(_TRY, kind=kind, key=key, at=at, free=free, longest=LONGEST_WAIT_S)
        if row is not None:
            return True, row.blocked_until
        return False, await self.blocked_until(kind, key) or at

    async def blocked_until(self, kind: Kind, key: str) -> datetime | None:
        """When the next try may be made; None if there was none."""
        row = await self._session.first(_BLOCKED, kind=kind, key=key)
        return None if row is None else row.blocked_until

    async def forgive(self, kind: Kind, key: str) -> None:
        """The try succeeded: the account's failures are over; at an address only this try is."""
        await self._session.run(_FORGIVE, kind=kind, key=key)
