"""Migrations: any number of starts at once, up and down, and never out of step with the models."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, MetaData, String, create_engine

from schema import migrate
from schema.base import METADATA
from schema.session import Database
from schema.tables import ALL_ROWS
from schema.url import database_url
from tests.postgres import PostgresServer
from tests.schema.test_tenants import APPEND_ONLY


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[str]:
    """A database without any table."""
    url = postgres.create(template=None)
    yield url
    postgres.drop(url)


def tables(postgres: PostgresServer, url: str) -> set[str]:
    with postgres.owner(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_four_processes_migrate_at_once_and_all_succeed(empty: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=migrate.upgrade, args=(empty,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert migrate.at_head(empty)


async def test_readiness_follows_the_migrations(postgres: PostgresServer, empty: str) -> None:
    db = Database(empty)
    assert not await db.at_head()
    assert not migrate.at_head(empty)
    migrate.upgrade(empty)
    assert await db.at_head()
    migrate.upgrade(empty)
    with postgres.owner(empty) as owner:
        owner.execute("UPDATE alembic_version SET version_num = 'older'")
    assert not await db.at_head()
    await db.close()


def test_down_removes_everything_and_up_again_works(postgres: PostgresServer, empty: str) -> None:
    migrate.upgrade(empty)
    assert tables(postgres, empty) == {*METADATA.tables, "alembic_version"}
    migrate.downgrade(empty, "base")
    assert tables(postgres, empty) == {"alembic_version"}
    with postgres.owner(empty) as owner:
        assert owner.execute("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace").fetchall() == []
    migrate.upgrade(empty)
    assert migrate.at_head(empty)


def differences(connection: Connection, metadata: MetaData) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


@pytest.fixture
def migrated(database_url_of_test: str) -> Iterator[Connection]:
    engine = create_engine(database_url(database_url_of_test))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_models_and_migrations_agree(migrated: Connection) -> None:
    assert len(METADATA.tables) == len(ALL_ROWS)
    assert differences(migrated, METADATA) == []


@pytest.mark.parametrize("change", ["column", "type", "nullable", "index", "unique", "foreign key", "table"])
def test_a_model_that_runs_ahead_of_the_migrations_is_noticed(migrated: Connection, change: str) -> None:
    """Negative control: every kind of change is seen."""
    ahead = MetaData(naming_convention=METADATA.naming_convention)
    for table in METADATA.tables.values():
        table.to_metadata(ahead)
    interactions, deliveries = ahead.tables["interactions"], ahead.tables["deliveries"]
    match change:
        case "column":
            interactions.append_column(Column("mood", String))
        case "type":
            interactions.c.confidence.type = String()
        case "nullable":
            interactions.c.message.nullable = True
        case "index":
            interactions.indexes.pop()
        case "unique" | "foreign key":
            kind = "UniqueConstraint" if change == "unique" else "ForeignKeyConstraint"
            deliveries.constraints.remove(next(c for c in deliveries.constraints if type(c).__name__ == kind))
        case "table":
            ahead.remove(deliveries)
    assert differences(migrated, ahead) != []


def test_primary_keys_begin_with_the_organisation() -> None:
    others = {"organisations": "id", "worker_heartbeats": "task_queue"}
    for row in ALL_ROWS:
        first = next(iter(METADATA.tables[str(row.__tablename__)].primary_key.columns))
        assert first.name == others.get(str(row.__tablename__), "organisation")


def test_the_reference_describes_every_table_and_who_may_change_what() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/database.md").read_text()
    for name in METADATA.tables:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` ")]
        assert ("insert-only" in line) == (name in APPEND_ONLY)
