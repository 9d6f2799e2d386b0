"""Bringing the tables to where this code expects them. Safe to start from several processes at once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from schema.url import database_url

LOCK = 7_340_187_215_001
"""The advisory lock every migration takes, so that several starts at once happen one after the other."""

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
            try:
                work(_config(connection))
                connection.commit()
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
                connection.commit()
    finally:
        engine.dispose()
