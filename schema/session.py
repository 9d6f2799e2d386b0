"""Transactions bound to one organisation. Nothing else in the product opens a connection."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from sqlalchemy import Executable, event, text
from sqlalchemy.engine import Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import DependencyDown, HoldfastError
from domain.values import HandoffId, OrganisationId
from schema.failures import NOT_MIGRATED, down, sqlstate, translated
from schema.lookups import RESOLVE_API_KEY, UNTOLD_HANDOFFS, ResolvedKey, UntoldHandoff
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


@dataclass(frozen=True, slots=True)
class Session:
    """One open transaction of one organisation. Repositories are made from it and live no longer than it does."""

    organisation: OrganisationId
    connection: AsyncConnection

    async def all(self, statement: Executable, **values: Any) -> Sequence[Row[Any]]:
        """Every row. `organisation` is given to the statement by the session, so no caller can name another."""
        result = await self.connection.execute(statement, {"organisation": self.organisation, **values})
        return result.all()

    async def first(self, statement: Executable, **values: Any) -> Row[Any] | None:
        """The first row, or nothing."""
        result = await self.connection.execute(statement, {"organisation": self.organisation, **values})
        return result.first()

    async def run(self, statement: Executable, **values: Any) -> int:
        """Runs a statement for its consequence; the number of rows it touched."""
        result = await self.connection.execute(statement, {"organisation": self.organisation, **values})
        return int(getattr(result, "rowcount", 0))


class Database:
    """A pool of connections to one Postgres. Make one per process and event loop."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        # Autocommit, because BEGIN and the binding travel together in `_begin`: one round trip instead of two.
        # No pre-ping: a broken pooled connection is noticed by `_begin`, which is repeated once.
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
            connection = await self._begin(organisation)
            try:
                yield Session(organisation, connection)
                _check_alive(connection)
                await connection.commit()
            finally:
                # Shielded: a cancelled request must still give its connection back, rolled back.
                await asyncio.shield(connection.close())

    async def _begin(self, organisation: OrganisationId) -> AsyncConnection:
        begin = f"BEGIN; SELECT set_config('holdfast.organisation', {sql.quote(organisation)}, true)"
        try:
            return await self._open(begin)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # The pooled connection was dead (a restart, a cut): the pool has dropped its generation, so this one is new.
        return await self._open(begin)

    async def _open(self, begin: str) -> AsyncConnection:
        connection = self._engine.connect()
        try:
            await connection.start()
        except (psycopg.Error, OSError) as error:
            raise down(sqlstate(error)) from None
        try:
            await connection.exec_driver_sql(begin, execution_options={"no_parameters": True})
        except BaseException:
            await connection.close()
            raise
        return connection


def _check_alive(connection: AsyncConnection) -> None:
    """A body that swallowed a database error must not look committed: Postgres would answer COMMIT by rolling back."""
    assert connection.sync_connection is not None
    driver: Any = connection.sync_connection.connection.driver_connection
    if driver.info.transaction_status is not TransactionStatus.INTRANS:
        raise HoldfastError("a failed transaction cannot be committed")


def _become_app_role(connection: Any, _record: Mapping[str, Any]) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(_ON_CONNECT)
    finally:
        cursor.close()
