"""Signs of life: whose count, until when, and that they do not pile up."""

from collections.abc import AsyncIterator

import pytest

from domain.values import OrganisationId
from schema.heartbeats import Heartbeats
from schema.session import Database
from tests.postgres import PostgresServer
from tests.schema.test_tenants import as_app


@pytest.fixture
async def db(database_url_of_test: str) -> AsyncIterator[Database]:
    db = Database(database_url_of_test)
    yield db
    await db.close()


def aged(postgres: PostgresServer, url: str, age: str) -> None:
    """Every worker fell silent so long ago."""
    with postgres.owner(url) as owner:
        owner.execute("UPDATE worker_heartbeats SET at = clock_timestamp() - CAST(%s AS interval)", [age])


async def test_a_worker_is_alive_until_it_is_silent_for_too_long(
    db: Database, postgres: PostgresServer, database_url_of_test: str
) -> None:
    workers = Heartbeats(db, "q")
    assert not await workers.is_any_alive(60)
    await workers.beat("one")
    assert await workers.is_any_alive(60)
    aged(postgres, database_url_of_test, "61 seconds")
    assert not await workers.is_any_alive(60)
    await workers.beat("one")
    assert await workers.is_any_alive(60)


async def test_one_that_says_that_it_ends_is_missed_at_once_and_only_it(db: Database) -> None:
    workers = Heartbeats(db, "q")
    await workers.beat("one")
    await workers.beat("two")
    await workers.stop("one")
    assert await workers.is_any_alive(60)
    await workers.stop("two")
    assert not await workers.is_any_alive(60)


async def test_workers_of_another_queue_do_not_count(db: Database) -> None:
    await Heartbeats(db, "other").beat("one")
    assert not await Heartbeats(db, "q").is_any_alive(60)
    assert await Heartbeats(db, "other").is_any_alive(60)


@pytest.mark.parametrize(("age", "left"), [("25 hours", 1), ("1 hour", 4)])
async def test_the_long_dead_are_forgotten(
    db: Database, postgres: PostgresServer, database_url_of_test: str, age: str, left: int
) -> None:
    for queue, worker in [("q", "one"), ("q", "two"), ("other", "three"), ("q", "itself")]:
        await Heartbeats(db, queue).beat(worker)
    aged(postgres, database_url_of_test, age)
    await Heartbeats(db, "q").beat("itself")
    with postgres.owner(database_url_of_test) as owner:
        rows = owner.execute("SELECT worker_id FROM worker_heartbeats").fetchall()
    assert len(rows) == left
    assert ("itself",) in rows


@pytest.mark.parametrize("organisation", [None, "", "acme"])
async def test_who_is_bound_to_an_organisation_sees_no_worker(
    db: Database, postgres: PostgresServer, database_url_of_test: str, organisation: str | None
) -> None:
    await Heartbeats(db, "q").beat("one")
    with as_app(postgres, database_url_of_test, organisation) as connection:
        row = connection.execute("SELECT count(*) FROM worker_heartbeats").fetchone()
    assert row == (0 if organisation else 1,)


async def test_only_an_empty_hand_is_bound_to_nobody(db: Database) -> None:
    with pytest.raises(ValueError, match="organisation"):
        await db.one_by_one(OrganisationId(""), lambda session: Heartbeats(db, "q").is_any_alive(1))
