"""Bringing the tables to where this code expects them. Safe to start from several processes at once."""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from schema.failures import sqlstate
from schema.url import database_url

LOCK = 7_340_187_215_001
"""The advisory lock every migration takes, so that several starts at once happen one after the other."""

LOCK_TIMEOUT = "100ms"
"""A migration that must wait for a table gives up what it holds and begins anew. Longer than Postgres's
`deadlock_timeout` (1 s) it would be a request, not the migration, that loses when the two wait for each other; and
everybody who comes after a waiting migration waits behind it."""
PATIENCE_S = 300.0
"""For so long it tries again. Raises the last error then: somebody has held a table all that time."""
AGAIN_S = 0.2
_IN_THE_WAY = {
    "55P03",  # lock not available
    "40P01",  # deadlock detected
}

_VERSIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_VERSIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate up. `url` must log in as the owner of the database; the application's own role cannot do this."""
    _locked(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Migrate down, losing what the newer tables hold. `base` removes everything."""
    _locked(url, lambda config: command.downgrade(config, revision))


def at_head(url: str) -> bool:
    """Whether every migration has been applied."""
    engine = create_engine(database_url(url))
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == head_revision()
    finally:
        engine.dispose()


@cache
def head_revision() -> str:
    """The newest revision in this code."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _locked(url: str, work: Callable[[Config], None]) -> None:
    engine = create_engine(database_url(url), hide_parameters=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
            connection.commit()
            connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.commit()
            try:
                _until_nobody_is_in_the_way(connection, work)
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
                connection.commit()
    finally:
        engine.dispose()


def _until_nobody_is_in_the_way(connection: Connection, work: Callable[[Config], None]) -> None:
    """What is done stays done: each migration is a transaction."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            work(_config(connection))
            connection.commit()
            return
        except OperationalError as error:
            connection.rollback()
            if sqlstate(error.orig) not in _IN_THE_WAY or time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)
