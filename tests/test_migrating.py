"""V-3: two releases on one database, which is migrated up and down under their load; and a migration that is killed."""

import asyncio
import contextlib
import io
import multiprocessing
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import sql

from schema import migrate
from tests.house import House
from tests.postgres import PostgresServer
from tests.processes import ROOT, data_folder, processes
from tests.temporal import DevServer

VERSIONS = "schema/migrations/versions"


@dataclass(frozen=True)
class Older:
    """The release before the last two migrations: its code, and the revision it was written for."""

    code: Path
    revision: str


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def revisions() -> list[tuple[str, str]]:
    """Every migration with its file, newest first."""
    script = ScriptDirectory(str(ROOT / "schema" / "migrations"))
    return [(revision.revision, Path(revision.path).name) for revision in script.walk_revisions()]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Older:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("the older release comes from the history of this checkout")
    newest = revisions()
    last_two = [f"{VERSIONS}/{name}" for _, name in newest[:2]]
    added = git("log", "--format=%H", "--diff-filter=A", "--", *last_two).decode().split()
    if not added:
        pytest.skip("the history does not reach back that far")
    # Down to the last migration that code has itself: they may have come together, or in another order.
    code, before = tmp_path_factory.mktemp("older"), f"{added[-1]}^"
    with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", before))) as archive:
        archive.extractall(code, filter="data")
    had = {path.name for path in (code / VERSIONS).glob("r*.py")}
    return Older(code, next(revision for revision, name in newest if name in had))


@pytest.fixture
def models(tmp_path: Path, learnt: Path, older: Older) -> Path:
    """A data folder with what either release has learnt: a worker that must train first is not ready for long."""
    train = (
        "from pathlib import Path; from adapters.llm.embedded import EmbeddedIntentModel;"
        "from domain.understanding.intents import EXAMPLES;"
        f"EmbeddedIntentModel(EXAMPLES, Path({str(learnt)!r})).warm()"
    )
    subprocess.run([sys.executable, "-c", train], cwd=older.code, check=True)
    return data_folder(tmp_path / "data", learnt)


@dataclass
class Load:
    """A caller after the other, for as long as it is asked to."""

    house: House
    name: str
    answers: Counter[str] = field(default_factory=Counter)
    completed: list[str] = field(default_factory=list)
    asked: int = 0

    async def run(self) -> None:
        await self.house.customer(f"cust_{self.name}")
        while True:
            await self.once()

    async def once(self) -> None:
        self.asked += 1
        answer = await self.house.chat(
            "the app crashes whenever I log in", customer_id=f"cust_{self.name}", requestId=f"{self.name}{self.asked}"
        )
        listed = await self.house.http.get(f"/interactions?customerId=cust_{self.name}&limit=5")
        self.answers.update(answer.json().get("code", "fine") for answer in (answer, listed))
        if answer.status_code == 200:
            self.completed.append(answer.json()["interactionId"])


@contextlib.asynccontextmanager
async def loaded(house: House, name: str) -> AsyncIterator[Load]:
    load = Load(house, name)
    running = asyncio.create_task(load.run())
    try:
        yield load
        assert not running.done(), running
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def goes_on(*loads: Load, by: int = 5) -> None:
    """Once each has had so many more answers."""
    wanted = [len(load.completed) + by for load in loads]
    async with asyncio.timeout(60):
        while any(len(load.completed) < n for load, n in zip(loads, wanted, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.fixture
def older_database(postgres: PostgresServer, older: Older) -> Iterator[str]:
    url = postgres.create(template=None)
    migrate.upgrade(url, older.revision)
    yield url
    postgres.drop(url)


async def test_V3_two_releases_work_on_one_database_that_is_migrated_up_and_down_under_them(
    older: Older, older_database: str, temporal: DevServer, tmp_path: Path, models: Path
) -> None:
    old_folder, new_folder = tmp_path / "old", tmp_path / "new"
    old_folder.mkdir()
    new_folder.mkdir()
    async with (
        processes(older_database, temporal, old_folder, models, older.code) as (_, old),
        loaded(old, "old") as before,
    ):
        await goes_on(before)
        await asyncio.to_thread(migrate.upgrade, older_database)
        async with (
            processes(older_database, temporal, new_folder, models, HOLDFAST_CUSTOMER_PLAINTEXT="true") as (_, new),
            loaded(new, "new") as beside,
        ):
            await goes_on(before, beside)
        assert await old.count("interactions") >= len(before.completed) + len(beside.completed)
        for _ in range(2):
            await asyncio.to_thread(migrate.downgrade, older_database, older.revision)
            await goes_on(before)
            await asyncio.to_thread(migrate.upgrade, older_database)
            await goes_on(before)
    for load in (before, beside):
        assert set(load.answers) == {"fine"}, load.answers
        assert len(set(load.completed)) == len(load.completed)


def test_V3_a_migration_that_is_killed_has_done_nothing_and_the_next_one_does_it_all(
    older: Older, older_database: str, postgres: PostgresServer
) -> None:
    """Held up at its last word, where everything but the new number is written, and killed there."""
    with psycopg.connect(older_database) as holding:
        holding.execute("SELECT version_num FROM alembic_version FOR UPDATE")
        process = multiprocessing.get_context("spawn").Process(target=migrate.upgrade, args=(older_database,))
        process.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
        with postgres.owner(older_database) as owner:
            name = postgres.name(older_database)
            while (owner.execute(waiting, [name]).fetchone() or (0,))[0] == 0:
                assert process.is_alive()
                time.sleep(0.02)
            process.kill()
            process.join(timeout=30)
            # A server notices that its client is gone when it next speaks to it.
            owner.execute(waiting.replace("count(*)", "pg_terminate_backend(pid)"), [name])
    with postgres.owner(older_database) as owner:
        (stands,) = owner.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    assert stands == older.revision
    migrate.upgrade(older_database)
    assert migrate.at_head(older_database)


async def test_V3_a_migration_that_must_wait_for_a_table_lets_requests_through_and_is_done_when_it_is_free(
    postgres: PostgresServer,
) -> None:
    url = postgres.create()
    try:
        migrate.downgrade(url, revisions()[1][0])
        with postgres.owner(url) as reader, postgres.owner(url) as request:
            reader.autocommit = False
            named = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            everything = [
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
                for (name,) in reader.execute(named).fetchall()
            ]
            for question in everything:  # an open transaction: a report, or a backup
                reader.execute(question)
            migration = asyncio.create_task(asyncio.to_thread(migrate.upgrade, url))
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
            async with asyncio.timeout(30):
                while (request.execute(waiting, [request.info.dbname]).fetchone() or (0,))[0] == 0:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            # Whoever comes after a migration that waits for ever waits for ever too.
            request.execute("SET lock_timeout = '5s'")
            for question in everything:
                await asyncio.to_thread(request.execute, question)
            assert not migration.done()
            reader.rollback()
            await migration
        assert migrate.at_head(url)
    finally:
        postgres.drop(url)
