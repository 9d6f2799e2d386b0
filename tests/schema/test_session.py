"""Transactions: all or nothing, alive after a restart, and honest when Postgres is not there."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given as over
from hypothesis import strategies as st
from sqlalchemy import text

from domain.errors import CustomerNotFound, DependencyDown, HoldfastError, RequestInvalid
from domain.values import CustomerId, OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.base import new_id
from schema.customers import CustomerRepository
from schema.interactions import InteractionRepository
from schema.page import Position, decode, encode
from schema.session import Database
from schema.url import database_url
from tests.postgres import PostgresServer, embedded_postgres
from tests.schema.given import ACME, ANNA, NOW, account, customer, request


async def customers(db: Database) -> int:
    async with db.transaction(ACME) as session:
        return int((await session.all(text("SELECT count(*) FROM customers")))[0][0])


async def put(db: Database, customer_id: str, error: BaseException | None = None) -> None:
    async with db.transaction(ACME) as session:
        await CustomerRepository(session).put(account(CustomerId(customer_id)), NOW)
        if error:
            raise error


class TestTransactions:
    async def test_what_ends_well_is_kept_and_what_does_not_is_not(self, database: Database) -> None:
        await put(database, "cust_kept")
        with pytest.raises(KeyError):
            await put(database, "cust_lost", KeyError("the body's own error passes through"))
        assert await customers(database) == 1

    async def test_a_cancelled_transaction_is_rolled_back_and_gives_its_connection_back(
        self, database_url_of_test: str
    ) -> None:
        db = Database(database_url_of_test, pool_size=1)
        inside = asyncio.Event()

        async def never_ends() -> None:
            async with db.transaction(ACME) as session:
                await CustomerRepository(session).put(account(), NOW)
                inside.set()
                await asyncio.Event().wait()

        for _ in range(3):
            task = asyncio.create_task(never_ends())
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            inside.clear()
        assert await customers(db) == 0
        await db.close()

    async def test_a_swallowed_database_error_cannot_look_committed(self, database: Database) -> None:
        async def swallowing() -> None:
            async with database.transaction(ACME) as session:
                await CustomerRepository(session).put(account(), NOW)
                with pytest.raises(Exception, match="division"):
                    await session.first(text("SELECT 1 / 0"))

        with pytest.raises(HoldfastError):
            await swallowing()
        assert await customers(database) == 0

    async def test_the_session_names_the_organisation_not_the_caller(self, database: Database) -> None:
        odd = OrganisationId("we%ird'\"; \\ organisation:x %s ü")
        async with database.transaction(odd) as session:
            await AuditRepository(session).append(AuditEvent(NOW, "a", "b.c", "d"))
            row = await session.first(text("SELECT organisation FROM audit_events WHERE organisation = :organisation"))
        assert row is not None
        assert row.organisation == odd


class TestOneByOne:
    """Single statements, each a transaction of its own in one round trip."""

    async def test_a_statement_is_bound_kept_and_the_binding_gone(self, database_url_of_test: str) -> None:
        db = Database(database_url_of_test, pool_size=1)
        await customer(db)
        claimed = await db.one_by_one(ACME, lambda session: InteractionRepository(session).claim(request()))
        assert claimed.created
        repeated = await db.one_by_one(ACME, lambda session: InteractionRepository(session).claim(request()))
        assert (repeated.created, repeated.interaction.id) == (False, claimed.interaction.id)
        bound = text("SELECT current_setting('holdfast.organisation', true) AS organisation")
        for organisation, found in ((ACME, 1), (OrganisationId("globex"), 0)):
            page = await db.one_by_one(organisation, lambda session: InteractionRepository(session).list())
            assert len(page.items) == found
            row = await db.one_by_one(organisation, lambda session: session.first(bound))
            assert row is not None
            assert row.organisation == organisation
        async with db.transaction(ACME) as session:
            await session.driver.commit()
            row = await (await session.driver.execute("SELECT current_setting('holdfast.organisation')")).fetchone()
            assert row == ("",)
            await session.driver.execute("BEGIN")
        await db.close()

    async def test_a_statement_that_fails_is_the_same_error_and_leaves_the_connection_usable(
        self, database_url_of_test: str
    ) -> None:
        db = Database(database_url_of_test, pool_size=1)
        for _ in range(2):
            with pytest.raises(RequestInvalid):
                await db.one_by_one(ACME, lambda session: session.first(text("SELECT 1 / 0")))
            with pytest.raises(CustomerNotFound):
                await db.one_by_one(ACME, lambda session: InteractionRepository(session).claim(request()))
        assert await customers(db) == 0
        await db.close()

    async def test_a_cancelled_one_gives_its_connection_back(self, database_url_of_test: str) -> None:
        db = Database(database_url_of_test, pool_size=1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await db.one_by_one(ACME, lambda session: session.first(text("SELECT pg_sleep(20)")))
        assert await customers(db) == 0
        await db.close()

    async def test_a_broken_pooled_connection_is_replaced_unnoticed(
        self, database: Database, database_url_of_test: str, postgres: PostgresServer
    ) -> None:
        await asyncio.gather(*(put(database, f"cust_{n}") for n in range(10)))
        with postgres.owner(database_url_of_test) as owner:
            owner.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        count = text("SELECT count(*) AS n FROM customers")
        row = await database.one_by_one(ACME, lambda session: session.first(count))
        assert row is not None
        assert row.n == 10

    async def test_it_names_an_organisation(self, database: Database) -> None:
        with pytest.raises(ValueError, match="organisation"):
            await database.one_by_one(OrganisationId(""), lambda session: session.first(text("SELECT 1")))


async def test_more_transactions_than_connections_wait_for_their_turn(database_url_of_test: str) -> None:
    db = Database(database_url_of_test, pool_size=2)
    await asyncio.gather(*(put(db, f"cust_{n}") for n in range(30)))
    assert await customers(db) == 30
    await db.close()


async def test_a_plan_made_while_a_table_was_empty_is_not_kept(
    database_url_of_test: str, postgres: PostgresServer
) -> None:
    """It would read every row of the organisation, again and again, until the table is analysed."""
    db = Database(database_url_of_test, pool_size=1)
    question = text("SELECT 1 FROM decisions d WHERE d.organisation = :organisation AND d.interaction_id = :id")

    async def plan_after(times: int) -> str:
        for _ in range(times):
            async with db.transaction(ACME) as session:
                await session.first(question, id="int_1")
        async with db.transaction(ACME) as session:
            search = "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%d.interaction_id = $%'"
            (name,) = await (await session.driver.execute(search, prepare=False)).fetchone() or ("",)
            explain = f"EXPLAIN EXECUTE {name} ('acme', 'int_1')".encode()
            return "\n".join(line for (line,) in await (await session.driver.execute(explain)).fetchall())

    assert "decisions_newest" in await plan_after(10), "the premise: an empty table has no better index than another"
    with postgres.owner(database_url_of_test) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            "INSERT INTO decisions (organisation, id, interaction_id, stage, mode, outcome, priority, intent,"
            " confidence, policy_version, digest, decision, proposal, facts, at)"
            " SELECT 'acme', n, n, 'first', 'live', 'proceed', 'normal', 'other', 0, 1, '', '{}', '{}', '{}', now()"
            " FROM generate_series(1, 3000) n"
        )
    assert "decisions_newest" in await plan_after(1)
    assert "decisions_organisation_interaction_id_stage_key" in await plan_after(20)
    await db.close()


class TestErrors:
    @pytest.mark.parametrize("statement", ["SELECT 1 / 0", "SELECT CAST('x' AS integer)"])
    async def test_bad_data_is_the_callers_error_and_carries_none_of_it(
        self, database: Database, statement: str
    ) -> None:
        with pytest.raises(RequestInvalid):
            async with database.transaction(ACME) as session:
                await session.first(text(statement))

    @pytest.mark.parametrize("message", ["secret\x00words", "secret\ud800words"])
    async def test_text_that_postgres_cannot_hold_is_refused_without_being_quoted(
        self, database: Database, message: str
    ) -> None:
        await customer(database)
        with pytest.raises(RequestInvalid) as refusal:
            async with database.transaction(ACME) as session:
                await InteractionRepository(session).claim(request(message=message))
        assert "secret" not in str(refusal.value) + repr(refusal.value.details)
        assert refusal.value.__suppress_context__

    async def test_a_bug_does_not_quote_the_row_it_met(self, database: Database) -> None:
        with pytest.raises(HoldfastError) as bug:
            async with database.transaction(ACME) as session:
                await session.first(
                    text(
                        "INSERT INTO invoices VALUES (:organisation, 'secret', 'i', 1, 'EUR', 'paid', null, '', now())"
                    )
                )
        assert type(bug.value) is HoldfastError
        assert bug.value.details == {"sqlstate": "23503"}
        assert "secret" not in str(bug.value)

    @pytest.mark.parametrize(
        ("trouble", "reason"),
        [
            ("ALTER DATABASE {} SET default_transaction_read_only = on", "25006"),
            ("REVOKE INSERT ON audit_events FROM holdfast_app", "42501"),
            ("DROP TABLE audit_events CASCADE", "42P01"),
        ],
    )
    async def test_a_database_that_cannot_be_written_to_is_down(
        self, database_url_of_test: str, postgres: PostgresServer, trouble: str, reason: str
    ) -> None:
        """R-12"""
        name = database_url(database_url_of_test).database or ""
        with postgres.owner(database_url_of_test) as owner:
            owner.execute(trouble.format(name).encode())
        db = Database(database_url_of_test)
        with pytest.raises(DependencyDown) as down:
            async with db.transaction(ACME) as session:
                await AuditRepository(session).append(AuditEvent(NOW, "a", "b.c", "d"))
        assert down.value.details == {"dependency": "postgres", "reason": reason}
        await db.close()

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://postgres:@/postgres?host=/nonexistent",
            "postgres://nobody:x@127.0.0.1:9/none?connect_timeout=2",
        ],
    )
    async def test_a_server_that_is_not_there_is_down(self, url: str) -> None:
        db = Database(url)
        for question in (db.ping, db.at_head, db.untold_handoffs):
            with pytest.raises(DependencyDown) as down:
                await question()
            assert down.value.details["dependency"] == "postgres"
        await db.close()

    async def test_a_database_that_was_never_made_is_down(self, postgres: PostgresServer) -> None:
        missing = Database(postgres.url("nobody_made_this"))
        with pytest.raises(DependencyDown):
            await missing.ping()
        await missing.close()


class TestSurviving:
    async def test_broken_pooled_connections_are_replaced_unnoticed(
        self, database: Database, database_url_of_test: str, postgres: PostgresServer
    ) -> None:
        await asyncio.gather(*(put(database, f"cust_{n}") for n in range(10)))
        with postgres.owner(database_url_of_test) as owner:
            killed = owner.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert killed is not None
        assert killed[0] > 1
        await asyncio.gather(*(put(database, f"cust_{n}") for n in range(10, 20)))
        assert await customers(database) == 20

    async def test_a_connection_that_breaks_inside_is_down_and_its_work_undone(
        self, database: Database, database_url_of_test: str, postgres: PostgresServer
    ) -> None:
        async def broken() -> None:
            async with database.transaction(ACME) as session:
                await CustomerRepository(session).put(account(), NOW)
                with postgres.owner(database_url_of_test) as owner:
                    owner.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                await CustomerRepository(session).get(ANNA)

        with pytest.raises(DependencyDown):
            await broken()
        assert await customers(database) == 0

    async def test_a_stopped_server_is_down_and_a_restarted_one_is_used_again(self) -> None:
        with embedded_postgres() as server:
            db = Database(server.url("holdfast_template"))
            await put(db, "cust_1")
            server.stop()
            with pytest.raises(DependencyDown):
                await put(db, "cust_2")
            with pytest.raises(DependencyDown):
                await db.ping()
            server.start()
            assert await customers(db) == 1
            await db.close()


class TestIds:
    def test_ids_sort_in_the_order_they_were_made(self) -> None:
        made = [new_id("int") for _ in range(10_000)]
        assert made == sorted(made)
        assert len(set(made)) == len(made)

    def test_an_id_is_a_prefix_and_a_uuid_of_version_7(self) -> None:
        prefix, digits = new_id("int").split("_")
        assert prefix == "int"
        assert len(digits) == 32
        assert digits[12] == "7"
        assert digits[16] in "89ab"


class TestCursors:
    @over(st.datetimes(timezones=st.just(UTC)), st.from_regex(r"[a-z]{3}_[0-9a-f]{32}", fullmatch=True))
    def test_a_cursor_reads_back(self, at: datetime, row_id: str) -> None:
        position = Position(at, row_id)
        assert decode(encode(position)) == position

    @over(st.text(max_size=80))
    def test_whatever_else_arrives_is_refused(self, cursor: str) -> None:
        with pytest.raises(RequestInvalid):
            decode(cursor)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:p@h:5433/d",
        "postgresql://u:p@h/d?sslmode=require",
        "postgresql+psycopg://u:p@h/d",
        "postgresql://postgres:@/postgres?host=/tmp/some%20where",
    ],
)
def test_every_spelling_of_a_postgres_url_is_understood(url: str) -> None:
    assert database_url(url).drivername == "postgresql+psycopg"
    assert database_url(url).query["connect_timeout"] == "5"


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://h/d"])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Postgres"):
        database_url(url)
