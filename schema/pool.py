"""Connections to one Postgres, kept open and used again, the one used last first: what it planned and read is still in
the processor's cache. One is opened for the caller who needs it, so an outage is told at once and over when it is over.
Why not a library's pool: docs/decisions/0020-own-connection-pool.md.
"""

import asyncio
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from schema.failures import down, sqlstate
from schema.url import database_url

WAIT_S = 10.0
"""How long a transaction waits for a connection while all are in use."""
_FIRST_PLANS = 16
_BROKEN = {"no_answer", "57P01", "57P02", "57P03"}
"""The server went away, or is going."""


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that counts its uses."""

    uses: int = 0

    async def plan_anew(self) -> None:
        """At the 16th use, the 32nd, the 64th, …: throws away the plans it keeps.

        Postgres keeps the plan of a prepared statement, or of a foreign key's look-up, until the table is analysed. One
        made while a table was empty takes any index that begins with the organisation, and so reads all its rows.
        """
        if self.uses >= _FIRST_PLANS and self.uses & (self.uses - 1) == 0:
            await self.execute(b"DISCARD PLANS", prepare=False)


class Pool:
    """At most `size` connections, opened when needed. `on_connect` is the first thing each of them executes."""

    def __init__(self, url: str, size: int, on_connect: bytes) -> None:
        _, self._options = PGDialect_psycopg().create_connect_args(database_url(url))  # type: ignore[no-untyped-call]
        self._on_connect = on_connect
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._is_closed = False

    async def take(self) -> Connection:
        """A connection in autocommit, to be given back. Raises `DependencyDown`. A pooled one may turn out broken."""
        await self._wait_for_a_slot()
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
        except BaseException:
            self._slots.release()
            raise
        connection.uses += 1
        return connection

    async def give_back(self, connection: Connection) -> None:
        """To be used again, rolled back; closed if it cannot be. A cancelled caller cannot interrupt this."""
        if self._is_closed or not _is_idle(connection):
            await asyncio.shield(self._settle(connection))
        else:
            self._idle.append(connection)
            self._slots.release()

    async def close(self) -> None:
        """Closes what is idle now, and the rest as it comes back."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _wait_for_a_slot(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise down("pool_exhausted") from None

    async def _connect(self) -> Connection:
        try:
            connection = await Connection.connect(**self._options, autocommit=True, prepare_threshold=0)
            try:
                await connection.execute(self._on_connect, prepare=False)
            except BaseException:
                await asyncio.shield(connection.close())
                raise
        except (psycopg.Error, OSError) as error:
            raise down(sqlstate(error)) from None
        return connection

    async def _settle(self, connection: Connection) -> None:
        try:
            if connection.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
                await connection.rollback()
        except psycopg.Error:
            await connection.close()
        finally:
            if not self._is_closed and _is_idle(connection):
                self._idle.append(connection)
            else:
                await connection.close()
            self._slots.release()


def is_broken(connection: Connection, error: psycopg.OperationalError) -> bool:
    """Whether this came of a connection that broke while it lay in the pool: by a restart, by a cut."""
    return connection.uses > 1 and sqlstate(error) in _BROKEN


def _is_idle(connection: Connection) -> bool:
    wire = connection.pgconn
    return wire.transaction_status == TransactionStatus.IDLE and wire.pipeline_status == PipelineStatus.OFF
