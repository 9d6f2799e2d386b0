"""Transactions bound to one organisation. Nothing else in the product opens a connection."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import Executable, TextClause, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import DependencyDown, HoldfastError
from domain.values import HandoffId, OrganisationId
from schema.failures import NOT_MIGRATED, down, sqlstate, translated
from schema.lookups import RESOLVE_API_KEY, UNTOLD_HANDOFFS, ResolvedKey, UntoldHandoff
from schema.statements import driver_statement
from schema.url import database_url

APP_ROLE = "holdfast_app"
"""Not the owner of anything, cannot log in, cannot bypass row-level security. Every connection becomes it."""

_ON_CONNECT = f"""
SET ROLE {APP_ROLE};
SET timezone = 'UTC';
SET jit = off;
SET statement_timeout = '30s';
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '60s'
"""


Record: TypeAlias = Any
"""A row as it came: a named tuple, read by attribute. Only repositories see one."""


@dataclass(frozen=True, slots=True)
class Session:
    """One open transaction of one organisation. Repositories are made from it and live no longer than it does."""

    organisation: OrganisationId
    connection: AsyncConnection
    driver: psycopg.AsyncConnection[Any]
    """The connection below `connection`: the hot path talks to it directly."""

    async def all(self, statement: Executable, **values: Any) -> Sequence[Record]:
        """Every row. `organisation` is given to the statement by the session, so no caller can name another."""
        if isinstance(statement, TextClause):
            return await (await self._execute(statement, values)).fetchall()
        return (await self.connection.execute(statement, {"organisation": self.organisation, **values})).all()

    async def first(self, statement: TextClause, **values: Any) -> Record | None:
        """The first row, or nothing."""
        return await (await self._execute(statement, values)).fetchone()

    async def run(self, statement: TextClause, **values: Any) -> int:
        """Runs a statement for its consequence; the number of rows it touched."""
        return (await self._execute(statement, values)).rowcount

    async def _execute(self, statement: TextClause, values: dict[str, Any]) -> psycopg.AsyncCursor[Any]:
        known = driver_statement(statement)
        cursor = self.driver.cursor(row_factory=namedtuple_row)
        # Of the caller's words only names and values reach the driver; the text is a constant of this package.
        return await cursor.execute(known.sql, known.bind({**values, "organisation": self.organisation}))


class Database:
    """A pool of connections to one Postgres. Make one per process and event loop."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        # Autocommit, because BEGIN and the binding travel together in `_begin`: one round trip instead of two.
        # No pre-ping: it would be a round trip for every transaction; `_begin` notices a broken connection.
        self._pool_size = pool_size
        self._engine: AsyncEngine = create_async_engine(
            database_url(url),
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=False,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "connect", _become_app_role)

    @asynccontextmanager
    async def transaction(self, organisation: OrganisationId) -> AsyncIterator[Session]:
        """One transaction that sees and writes only this organisation's rows.

        Commits at the end, rolls back on any error. Raises `DependencyDown` when Postgres is gone, full, read-only
        or not migrated; after a failed commit the caller does not know, and must repeat something idempotent.
        """
        if not organisation:
            raise ValueError("a transaction needs an organisation")
        async with self._bound(organisation) as session:
            yield session

    async def resolve_api_key(self, key_hash: bytes) -> ResolvedKey | None:
        """Whose key this is, unless it is unknown, expired or revoked."""
        async with self._bound(OrganisationId("")) as session:
            row = await session.first(RESOLVE_API_KEY, hash=key_hash)
        if row is None:
            return None
        return ResolvedKey(OrganisationId(row.organisation), row.key_id, row.name, tuple(row.scopes))

    async def untold_handoffs(self, limit: int = 100) -> tuple[UntoldHandoff, ...]:
        """Decided handoffs of every organisation whose workflows have not been told, oldest decision first."""
        async with self._bound(OrganisationId("")) as session:
            rows = await session.all(UNTOLD_HANDOFFS, limit=limit)
        return tuple(UntoldHandoff(OrganisationId(r.organisation), HandoffId(r.handoff_id)) for r in rows)

    async def ping(self) -> None:
        """Returns if a statement can be run; else `DependencyDown`."""
        async with self._bound(OrganisationId("")):
            pass

    async def at_head(self) -> bool:
        """Whether the tables are the ones this code was written for. `DependencyDown` if nothing can be read."""
        from schema.migrate import head_revision  # alembic takes a while to import and only readiness needs it

        try:
            async with self._bound(OrganisationId("")) as session:
                row = await session.first(text("SELECT version_num FROM alembic_version"))
        except DependencyDown as error:
            if error.details.get("reason") in NOT_MIGRATED:
                return False
            raise
        return row is not None and row.version_num == head_revision()

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _bound(self, organisation: OrganisationId) -> AsyncIterator[Session]:
        with translated():
            session = await self._begin(organisation)
            try:
                yield session
                # A body that swallowed a database error must not look committed: Postgres would just roll back.
                if session.driver.info.transaction_status is not TransactionStatus.INTRANS:
                    raise HoldfastError("a failed transaction cannot be committed")
                await session.driver.commit()
            finally:
                # Shielded: a cancelled request must still give its connection back, rolled back.
                await asyncio.shield(session.connection.close())

    async def _begin(self, organisation: OrganisationId) -> Session:
        """Begins on a connection that answers. Broken pooled ones (a restart, a cut) are dropped on the way."""
        begin = f"BEGIN; SELECT set_config('holdfast.organisation', {sql.quote(organisation)}, true)".encode()
        for left in range(self._pool_size, -1, -1):
            session = await self._open(organisation)
            try:
                await session.driver.execute(begin, prepare=False)
            except psycopg.OperationalError:
                await session.connection.invalidate()
                await session.connection.close()
                if not left:
                    raise
            except BaseException:
                await asyncio.shield(session.connection.close())
                raise
            else:
                return session
        raise AssertionError("the last attempt returns or raises")

    async def _open(self, organisation: OrganisationId) -> Session:
        connection = self._engine.connect()
        try:
            await connection.start()
        except (psycopg.Error, OSError) as error:
            raise down(sqlstate(error)) from None
        assert connection.sync_connection is not None
        driver: Any = connection.sync_connection.connection.driver_connection
        return Session(organisation, connection, driver)


def _become_app_role(connection: Any, _record: Mapping[str, Any]) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(_ON_CONNECT)
    finally:
        cursor.close()
