"""Operators: people who sign in. Their login is personal and stands here only; everywhere else they are their id."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Column, Index, String, UniqueConstraint, text
from sqlmodel import Field

from domain.approval import Approver
from domain.errors import Conflict, OperatorNotFound
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Record, Session


class OperatorRow(OrganisationRow, table=True):
    __tablename__ = "operators"
    __table_args__ = (
        UniqueConstraint("organisation", "login"),
        Index("operators_newest", "organisation", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    login: str
    password_hash: str
    one_time_until: datetime | None = Field(sa_type=UtcTime)
    scopes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    created_by: str
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)
    disabled_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Operator:
    id: str
    login: str
    """Lower case."""
    scopes: tuple[str, ...]
    one_time_until: datetime | None
    """Until when the password works that somebody else handed out; None: it is the operator's own."""
    created_by: str
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None


_COLUMNS = ", ".join(Operator.__dataclass_fields__)
_SCOPES = text(
    """
    SELECT scopes, owner, created_at FROM api_keys
    WHERE organisation = :organisation AND name = :name AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > :at)
    UNION ALL
    SELECT scopes, id, created_at FROM operators
    WHERE organisation = :organisation AND id = :name AND disabled_at IS NULL
    ORDER BY created_at DESC LIMIT 1
    """
)
_ADD = text(
    f"""
    INSERT INTO operators (organisation, id, login, password_hash, one_time_until, scopes, created_by, created_at,
                           updated_at)
    VALUES (:organisation, :id, :login, :password_hash, :one_time_until, CAST(:scopes AS varchar[]), :by, :at, :at)
    ON CONFLICT (organisation, login) DO NOTHING RETURNING {_COLUMNS}
    """
)
_BY_LOGIN = text(
    f"SELECT {_COLUMNS}, password_hash FROM operators WHERE organisation = :organisation AND login = :login"
)
_GET = text(f"SELECT {_COLUMNS}, password_hash FROM operators WHERE organisation = :organisation AND id = :id")
_ANY = text("SELECT 1 FROM operators WHERE organisation = :organisation LIMIT 1")
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM operators WHERE organisation = :organisation AND (created_at, id) < (:before_at, :before_id)
    ORDER BY created_at DESC, id DESC LIMIT :limit
    """
)
_CHANGE = text(
    f"""
    UPDATE operators SET scopes = coalesce(CAST(:scopes AS varchar[]), scopes), updated_at = :at,
        disabled_at = CASE CAST(:enabled AS boolean) WHEN true THEN NULL WHEN false THEN coalesce(disabled_at, :at)
                      ELSE disabled_at END
    WHERE organisation = :organisation AND id = :id RETURNING {_COLUMNS}
    """
)
_PASSWORD = text(
    f"""
    UPDATE operators SET password_hash = :password_hash, one_time_until = :one_time_until, updated_at = :at
    WHERE organisation = :organisation AND id = :id
        AND (CAST(:instead_of AS varchar) IS NULL OR password_hash = :instead_of) RETURNING {_COLUMNS}
    """
)


async def scopes_of(session: Session, name: str, at: datetime) -> frozenset[str]:
    """What the person of this name may do at `at`: an operator by id, or whoever holds the key of that name; nothing
    if there is none, or not any more."""
    row = await session.first(_SCOPES, name=name, at=at)
    return frozenset() if row is None else frozenset(row.scopes)


async def approver_of(session: Session, name: str, at: datetime) -> Approver:
    """The person of this name as one who approves: whose key it is, and what they may do at `at`."""
    row = await session.first(_SCOPES, name=name, at=at)
    return Approver(name, frozenset()) if row is None else Approver(name, frozenset(row.scopes), row.owner)


class OperatorRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(
        self,
        login: str,
        password_hash: str,
        scopes: Iterable[str],
        by: str,
        at: datetime,
        one_time_until: datetime | None = None,
    ) -> Operator:
        """`Conflict` if the login is in use, by a disabled operator too."""
        row = await self._session.first(
            _ADD, id=new_id("opr"), login=login, password_hash=password_hash, one_time_until=one_time_until,
            scopes=sorted(set(scopes)), by=by, at=at,
        )  # fmt: skip
        if row is None:
            raise Conflict("an operator with this login exists")
        return _operator(row)

    async def by_login(self, login: str) -> tuple[Operator, str] | None:
        """With the password's hash."""
        row = await self._session.first(_BY_LOGIN, login=login)
        return None if row is None else (_operator(row), row.password_hash)

    async def get(self, operator_id: str) -> tuple[Operator, str]:
        """With the password's hash. Raises `OperatorNotFound`."""
        row = await self._session.first(_GET, id=operator_id)
        return _found(row), row.password_hash if row else ""

    async def is_there_any(self) -> bool:
        return await self._session.first(_ANY) is not None

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Operator]:
        """Newest first, disabled ones too."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(_LIST, before_at=before.at, before_id=before.id, limit=checked_limit(limit))
        return page(rows, limit, _operator, lambda row: Position(row.created_at, row.id))

    async def change(
        self, operator_id: str, at: datetime, *, scopes: Iterable[str] | None = None, enabled: bool | None = None
    ) -> Operator:
        """What is None stays; from the next request on, in sessions that go on too. Raises `OperatorNotFound`."""
        wanted = None if scopes is None else sorted(set(scopes))
        return _found(await self._session.first(_CHANGE, id=operator_id, scopes=wanted, enabled=enabled, at=at))

    async def set_password(
        self, operator_id: str, password_hash: str, at: datetime, *,
        one_time_until: datetime | None = None, instead_of: str | None = None,
    ) -> Operator:  # fmt: skip
        """`instead_of`: only if that hash is still the one on record. Raises `OperatorNotFound`."""
        return _found(
            await self._session.first(
                _PASSWORD, id=operator_id, password_hash=password_hash, one_time_until=one_time_until, at=at,
                instead_of=instead_of,
            )
        )  # fmt: skip


def _found(row: Record | None) -> Operator:
    if row is None:
        raise OperatorNotFound("there is no such operator")
    return _operator(row)


def _operator(row: Record) -> Operator:
    values = {name: getattr(row, name) for name in Operator.__dataclass_fields__}
    return Operator(**{**values, "scopes": tuple(row.scopes)})
