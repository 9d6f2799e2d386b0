"""Transactions bound to one organisation. Nothing else in the product opens a connection."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import Executable, TextClause, text

from domain.errors import DependencyDown, HoldfastError
from domain.values import OrganisationId
from schema.failures import NOT_MIGRATED, down, translated
from schema.lookups import LookUps
from schema.pool import Connection, Pool, is_broken
from schema.seals import CustomerKey, Seals
from schema.statements import built_statement, driver_statement

APP_ROLE = "holdfast_app"
"""Not the owner of anything, cannot log in, cannot bypass row-level security. Every connection becomes it."""

_ON_CONNECT = """
SET timezone = 'UTC';
SET jit = off;
SET statement_timeout = '30s';
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '60s'
"""
ANSWER_S = 15.0
"""How long a server that lives may take to begin a transaction, or for a single statement, locks included."""
PATIENCE_S = 40.0
"""The same for any statement. The server ends one after 30 s itself, unless it hangs."""
_BIND = b"SELECT set_config('holdfast.organisation', %s, true)"

Record: TypeAlias = Any
"""A row as it came: a named tuple, read by attribute. Only repositories see one."""
T = TypeVar("T")


async def _in_time(answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await answer
    except TimeoutError:
        raise down("no_answer") from None


@dataclass(frozen=True, slots=True)
class Session:
    """One open transaction of one organisation. Repositories are made from it and live no longer than it does."""

    organisation: OrganisationId
    driver: psycopg.AsyncConnection[Any]
    seals: Seals | None = field(default=None, kw_only=True)
    """None: customers' words are stored in clear, and sealed ones cannot be read."""
    keys: dict[str, CustomerKey | None] = field(default_factory=dict, kw_only=True)
    """Customers' keys met in this transaction, by id; None for one that is not there."""

    async def all(self, statement: Executable, **values: Any) -> Sequence[Record]:
        """Every row. `organisation` is given to a textual statement by the session, so no caller can name another."""
        if isinstance(statement, TextClause):
            return await (await self._execute(statement, values)).fetchall()
        # Built for this one question: preparing it would push out what is asked all the time.
        return await (await self._send(*built_statement(statement), prepare=False)).fetchall()

    async def first(self, statement: TextClause, **values: Any) -> Record | None:
        """The first row, or nothing."""
        return await (await self._execute(statement, values)).fetchone()

    async def run(self, statement: TextClause, **values: Any) -> int:
        """Runs a statement for its consequence; the number of rows it touched."""
        return (await self._execute(statement, values)).rowcount

    async def stream(
        self, statement: TextClause, *, at_once: int = 500, **values: Any
    ) -> AsyncGenerator[list[Record], None]:
        """Every row, some at a time: however many there are, only those are in memory. In a transaction only, and
        inside `aclosing`: closed later it would speak on a connection that is somebody else's by then."""
        known = driver_statement(statement)
        async with self.driver.cursor(name=f"s_{secrets.token_hex(4)}", row_factory=namedtuple_row) as cursor:
            await _in_time(cursor.execute(known.sql, known.bind({**values, "organisation": self.organisation})))
            while rows := await _in_time(cursor.fetchmany(at_once)):
                yield rows

    async def _execute(self, statement: TextClause, values: dict[str, Any]) -> psycopg.AsyncCursor[Any]:
        known = driver_statement(statement)
        # Of the caller's words only names and values reach the driver; the text is a constant of this package.
        return await self._send(known.sql, known.bind({**values, "organisation": self.organisation}))

    async def _send(
        self, words: bytes, values: dict[str, Any], *, prepare: bool | None = None
    ) -> psycopg.AsyncCursor[Any]:
        return await _in_time(self.driver.cursor(row_factory=namedtuple_row).execute(words, values, prepare=prepare))


@dataclass(frozen=True, slots=True)
class _OneByOne(Session):
    """Every statement is a transaction of its own. Binding and statement travel together: one round trip."""

    async def _send(
        self, words: bytes, values: dict[str, Any], *, prepare: bool | None = None
    ) -> psycopg.AsyncCursor[Any]:
        # Between two syncs of a pipeline Postgres sees one transaction, begun and committed without being asked.
        async with self.driver.pipeline():
            await self.driver.execute(_BIND, (self.organisation,))
            return await Session._send(self, words, values, prepare=prepare)


class Database(LookUps):
    """A pool of connections to one Postgres. Make one per process and event loop."""

    def __init__(self, url: str, pool_size: int = 10, seals: Seals | None = None, role: str = APP_ROLE) -> None:
        self._seals = seals
        self._pool = Pool(url, pool_size, f"SET ROLE {role}; {_ON_CONNECT}".encode())

    @asynccontextmanager
    async def transaction(self, organisation: OrganisationId, *, frozen: bool = False) -> AsyncIterator[Session]:
        """One transaction that sees and writes only this organisation's rows. `frozen`: it writes nothing, and all of
        its statements see the same moment.

        Commits at the end, rolls back on any error. Raises `DependencyDown` when Postgres is gone, full, read-only
        or not migrated; after a failed commit the caller does not know, and must repeat something idempotent.
        """
        with translated():
            connection = await self._begin(_named(organisation), _FROZEN if frozen else "BEGIN")
            try:
                yield Session(organisation, connection, seals=self._seals)
                # A body that swallowed a database error must not look committed: Postgres would just roll back.
                if connection.info.transaction_status is not TransactionStatus.INTRANS:
                    raise HoldfastError("a failed transaction cannot be committed")
                await connection.commit()
            finally:
                await self._pool.give_back(connection)

    async def one_by_one(self, organisation: OrganisationId | None, work: Callable[[Session], Awaitable[T]]) -> T:
        """What `work` returns; each of its statements is a transaction of its own, bound like any; None: to nobody.

        For single statements: one round trip instead of three. They must be safe to repeat, for that is what happens
        to them on a pooled connection that broke meanwhile. Errors are those of `transaction`.
        """
        return await self._one_by_one(_NOBODY if organisation is None else _named(organisation), work)

    async def ping(self) -> None:
        """Returns if a statement can be run; else `DependencyDown`."""
        await self._one_by_one(_NOBODY, lambda session: session.first(_PING))

    async def at_head(self) -> bool:
        """Whether the tables are the ones this code was written for. `DependencyDown` if nothing can be read, or
        nothing written: a standby, or an operator's switch."""
        from schema.migrate import head_revision  # alembic takes a while to import and only readiness needs it

        try:
            row = await self._one_by_one(_NOBODY, lambda session: session.first(_REVISION))
        except DependencyDown as error:
            if error.details.get("reason") in NOT_MIGRATED:
                return False
            raise
        if row is not None and row.is_read_only:
            raise down("25006")
        return row is not None and row.version_num == head_revision()

    async def close(self) -> None:
        await self._pool.close()

    async def _look_up(self, question: TextClause, **values: Any) -> Sequence[Record]:
        return await self._one_by_one(_NOBODY, lambda session: session.all(question, **values))

    async def _one_by_one(self, organisation: OrganisationId, work: Callable[[Session], Awaitable[T]]) -> T:
        with translated():
            while True:
                connection = await self._pool.take()
                try:
                    async with asyncio.timeout(ANSWER_S):
                        await connection.plan_anew()
                        return await work(_OneByOne(organisation, connection, seals=self._seals))
                except TimeoutError:
                    await connection.close()
                    raise down("no_answer") from None
                except psycopg.OperationalError as error:
                    if not is_broken(connection, error):
                        raise
                    await connection.close()
                finally:
                    await self._pool.give_back(connection)

    async def _begin(self, organisation: OrganisationId, words: str) -> Connection:
        """Begins on a connection that answers. Broken pooled ones (a restart, a cut) are dropped on the way.

        No ping before: it would be a round trip for every transaction. BEGIN and the binding are one.
        """
        begin = f"{words}; SELECT set_config('holdfast.organisation', {sql.quote(organisation)}, true)".encode()
        while True:
            connection = await self._pool.take()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await connection.plan_anew()
                    await connection.execute(begin, prepare=False)
            except BaseException as error:
                again = isinstance(error, psycopg.OperationalError) and is_broken(connection, error)
                if again or isinstance(error, TimeoutError):
                    await connection.close()
                await self._pool.give_back(connection)
                if isinstance(error, TimeoutError):
                    raise down("no_answer") from None
                if not again:
                    raise
            else:
                return connection


_NOBODY = OrganisationId("")
"""Bound to nobody: row-level security shows nothing, and only the look-ups across organisations answer."""
_FROZEN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PING = text("SELECT 1")
_REVISION = text(
    "SELECT version_num, current_setting('transaction_read_only') = 'on' AS is_read_only FROM alembic_version"
)


def _named(organisation: OrganisationId) -> OrganisationId:
    if not organisation:
        raise ValueError("a transaction needs an organisation")
    return organisation
