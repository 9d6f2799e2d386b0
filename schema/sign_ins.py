"""Sessions of operators. Only the hash of a session's token is stored; `Database.admit_session` finds whose it is."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from domain.signing_in import IDLE, LONGEST
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class SignInRow(OrganisationRow, table=True):
    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "operator_id"], ["operators.organisation", "operators.id"]),
        Index("sessions_by_operator", "organisation", "operator_id", postgresql_where=text("ended_at IS NULL")),
    )

    id: str = Field(primary_key=True)
    operator_id: str
    token_hash: bytes = Field(unique=True)
    created_at: datetime = Field(sa_type=UtcTime)
    last_seen_at: datetime = Field(sa_type=UtcTime)
    idle_until: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    stepped_up_at: datetime | None = Field(sa_type=UtcTime)
    ended_at: datetime | None = Field(sa_type=UtcTime)
    identity_id: str | None


@dataclass(frozen=True, slots=True)
class SignIn:
    id: str
    operator_id: str
    created_at: datetime
    idle_until: datetime
    """Over then, if it is not used before."""
    expires_at: datetime
    """Over then at the latest."""
    stepped_up_at: datetime | None
    """When the operator last proved again who they are."""
    identity_id: str | None
    """By which identity at the organisation's provider it began; None: with a password."""


_COLUMNS = ", ".join(SignIn.__dataclass_fields__)
_BEGIN = text(
    f"""
    INSERT INTO sessions (organisation, id, operator_id, token_hash, created_at, last_seen_at, idle_until, expires_at)
    SELECT organisation, :id, id, :token_hash, :at, :at, :idle_until, :expires_at FROM operators
    WHERE organisation = :organisation AND id = :operator_id AND disabled_at IS NULL AND password_hash = :password_hash
    FOR SHARE
    RETURNING {_COLUMNS}
    """
)
_BEGIN_BY = text(
    f"""
    INSERT INTO sessions (organisation, id, operator_id, token_hash, created_at, last_seen_at, idle_until, expires_at,
                          identity_id)
    SELECT o.organisation, :id, o.id, :token_hash, :at, :at, :idle_until, :expires_at, i.id
    FROM operator_identities i JOIN operators o ON o.organisation = i.organisation AND o.id = i.operator_id
    WHERE i.organisation = :organisation AND i.id = :identity_id AND o.disabled_at IS NULL
    FOR SHARE
    RETURNING {_COLUMNS}
    """
)
_GET = text(f"SELECT {_COLUMNS} FROM sessions WHERE organisation = :organisation AND id = :id")
_SEEN = text(
    """
    UPDATE sessions SET last_seen_at = :at, idle_until = least(expires_at, CAST(:idle_until AS timestamptz))
    WHERE organisation = :organisation AND id = :id AND ended_at IS NULL AND idle_until > :at AND last_seen_at < :at
    """
)
_STEP_UP = text(
    f"""
    UPDATE sessions SET stepped_up_at = :at, token_hash = :token_hash
    WHERE organisation = :organisation AND id = :id AND ended_at IS NULL AND idle_until > :at AND expires_at > :at
    RETURNING {_COLUMNS}
    """
)
_END = text("UPDATE sessions SET ended_at = :at WHERE organisation = :organisation AND id = :id AND ended_at IS NULL")
_END_ALL = text(
    """
    UPDATE sessions SET ended_at = :at
    WHERE organisation = :organisation AND operator_id = :operator_id AND ended_at IS NULL AND id <> :but
    """
)
_END_PASSWORDS = text(
    """
    UPDATE sessions SET ended_at = :at
    WHERE organisation = :organisation AND identity_id IS NULL AND ended_at IS NULL AND id <> :but
    """
)
_END_OF = text(
    """
    UPDATE sessions SET ended_at = :at
    WHERE organisation = :organisation AND identity_id = :identity_id AND ended_at IS NULL
    """
)


class SignInRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin(self, operator_id: str, password_hash: str, token_hash: bytes, at: datetime) -> SignIn | None:
        """A new session; None if the operator was disabled, or the password changed, since it was checked."""
        row = await self._session.first(
            _BEGIN, id=new_id("ses"), operator_id=operator_id, password_hash=password_hash, token_hash=token_hash,
            at=at, idle_until=at + IDLE, expires_at=at + LONGEST,
        )  # fmt: skip
        return None if row is None else _sign_in(row)

    async def begin_by(self, identity_id: str, token_hash: bytes, at: datetime) -> SignIn | None:
        """The same by an identity; None if it was taken away, or the operator disabled."""
        row = await self._session.first(
            _BEGIN_BY, id=new_id("ses"), identity_id=identity_id, token_hash=token_hash, at=at, idle_until=at + IDLE,
            expires_at=at + LONGEST,
        )  # fmt: skip
        return None if row is None else _sign_in(row)

    async def find(self, session_id: str) -> SignIn | None:
        row = await self._session.first(_GET, id=session_id)
        return None if row is None else _sign_in(row)

    async def seen(self, session_id: str, at: datetime) -> None:
        await self._session.run(_SEEN, id=session_id, at=at, idle_until=at + IDLE)

    async def step_up(self, session_id: str, token_hash: bytes, at: datetime) -> SignIn | None:
        """The password was given again: the session goes on under a new token. None if it has ended."""
        row = await self._session.first(_STEP_UP, id=session_id, token_hash=token_hash, at=at)
        return None if row is None else _sign_in(row)

    async def end(self, session_id: str, at: datetime) -> bool:
        """From the next request on. False if it had ended."""
        return await self._session.run(_END, id=session_id, at=at) == 1

    async def end_all(self, operator_id: str, at: datetime, *, but: str = "") -> int:
        """Every session of an operator but one; how many that were."""
        return await self._session.run(_END_ALL, operator_id=operator_id, at=at, but=but)

    async def end_all_by_password(self, at: datetime, *, but: str = "") -> int:
        """Every session that began with a password but one; how many that were."""
        return await self._session.run(_END_PASSWORDS, at=at, but=but)

    async def end_of(self, identity_id: str, at: datetime) -> int:
        """Every session an identity began; how many that were."""
        return await self._session.run(_END_OF, identity_id=identity_id, at=at)


def _sign_in(row: Record) -> SignIn:
    return SignIn(**row._asdict())
