"""The budget of keys and organisations: exact under a rush, back after a while, apart from each other."""

import asyncio
from datetime import UTC, datetime, timedelta

from domain.budget import Limits
from domain.values import OrganisationId
from schema.admitted import AdmittedKey
from schema.api_keys import ApiKeyRepository
from schema.customer_tokens import CustomerTokenRepository
from schema.customers import CustomerRepository
from schema.operators import OperatorRepository
from schema.organisations import OrganisationRepository
from schema.session import Database
from schema.sign_ins import SignInRepository
from tests.postgres import PostgresServer
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, account

LIMITS = Limits(most=20, key_percent=80, window=timedelta(hours=1))
"""One request in three minutes comes back: nothing does while a test runs."""


async def key(db: Database, organisation: OrganisationId, name: str) -> bytes:
    async with db.transaction(organisation) as session:
        await OrganisationRepository(session).put(organisation, NOW)
        await ApiKeyRepository(session).issue(name, ["admin"], f"{organisation} {name}".encode(), NOW)
    return f"{organisation} {name}".encode()


async def admit(db: Database, hashed: bytes, limits: Limits = LIMITS) -> AdmittedKey:
    found = await db.admit_api_key(hashed, limits)
    assert found is not None
    return found


async def refusals(db: Database, hashed: bytes, times: int) -> list[str | None]:
    return [found.refused_by for found in await asyncio.gather(*[admit(db, hashed) for _ in range(times)])]


async def test_T8_of_many_at_once_exactly_as_many_as_the_limit_says_get_in(database: Database) -> None:
    first, second = await key(database, ACME, "first"), await key(database, ACME, "second")
    other = await key(database, GLOBEX, "only")
    assert sorted(await refusals(database, first, 60), key=str) == [None] * 16 + ["key"] * 44
    assert sorted(await refusals(database, second, 10), key=str) == [None] * 4 + ["organisation"] * 6
    assert await refusals(database, other, 16) == [None] * 16


async def test_what_is_refused_costs_nothing_and_says_what_is_left(database: Database) -> None:
    hashed = await key(database, ACME, "first")
    assert (await admit(database, hashed)).budgets[0].standing.startswith('"key";r=15;')
    await refusals(database, hashed, 15)
    for _ in range(3):
        refused = await admit(database, hashed)
        assert [budget.name for budget in refused.budgets] == ["key"]  # the organisation was not asked
        assert refused.budgets[0].standing.startswith('"key";r=0;')
        assert 1 <= refused.budgets[0].retry_after_s <= 225


async def test_a_budget_comes_back_bit_by_bit_and_never_more_than_whole(
    postgres: PostgresServer, database_url_of_test: str, database: Database
) -> None:
    hashed = await key(database, ACME, "first")
    await refusals(database, hashed, 16)
    for passed, expected in ((226, 1), (225 * 3 + 1, 3), (10**7, 16)):
        with postgres.owner(database_url_of_test) as owner:
            owner.execute("UPDATE rate_limits SET spent_until = spent_until - make_interval(secs => %s)", [passed])
        assert (await refusals(database, hashed, 20)).count(None) == expected


async def test_an_organisation_may_have_a_limit_of_its_own(database: Database) -> None:
    hashed, other = await key(database, ACME, "first"), await key(database, GLOBEX, "first")
    async with database.transaction(ACME) as session:
        assert await OrganisationRepository(session).limit(5)
    async with database.transaction(OrganisationId("nobody")) as session:
        assert not await OrganisationRepository(session).limit(5)
    assert (await refusals(database, hashed, 20)).count(None) == 4
    assert (await refusals(database, other, 20)).count(None) == 16


async def test_a_key_that_is_not_valid_is_nobodys_and_counts_for_nobody(
    postgres: PostgresServer, database_url_of_test: str, database: Database
) -> None:
    await key(database, ACME, "first")
    assert await database.admit_api_key(b"unknown", LIMITS) is None
    with postgres.owner(database_url_of_test) as owner:
        assert owner.execute("SELECT count(*) FROM rate_limits").fetchone() == (0,)


async def test_where_nothing_can_be_written_nothing_is_counted_and_reads_go_on(
    postgres: PostgresServer, database_url_of_test: str, database: Database
) -> None:
    hashed = await key(database, ACME, "first")
    name = postgres.name(database_url_of_test)
    with postgres.owner(database_url_of_test) as owner:
        owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    standby = Database(database_url_of_test)
    found = await admit(standby, hashed, Limits(1, 100, timedelta(hours=1)))
    again = await admit(standby, hashed, Limits(1, 100, timedelta(hours=1)))
    await standby.close()
    assert (found.budgets, again.refused_by) == ((), None)


async def test_a_window_that_is_made_shorter_locks_nobody_out(database: Database) -> None:
    hashed = await key(database, ACME, "first")
    await refusals(database, hashed, 16)
    assert (await admit(database, hashed, Limits(20, 80, timedelta(seconds=1)))).refused_by is None


async def test_nothing_waits_for_a_disk(postgres: PostgresServer, database_url_of_test: str) -> None:
    """A transaction that writes nothing but an unlogged table is not flushed at its end."""
    with postgres.owner(database_url_of_test) as owner:
        kind = owner.execute("SELECT relpersistence::text FROM pg_class WHERE relname = 'rate_limits'").fetchone()
    assert kind == ("u",)


async def test_T8_sessions_and_tokens_spend_what_is_theirs_and_their_organisations(
    postgres: PostgresServer, database_url_of_test: str, database: Database
) -> None:
    """Exactly as many as the limit says, many at once; and what is counted names no customer."""
    hashed = await key(database, ACME, "first")
    async with database.transaction(ACME) as session:
        operator = await OperatorRepository(session).add("ana", "hash", {"operator"}, "ci", NOW)
        now = datetime.now(UTC)
        assert await SignInRepository(session).begin(operator.id, "hash", b"session", now)
        await CustomerRepository(session).put(account(), NOW)
        await CustomerTokenRepository(session).issue(ANNA, b"token", "ci", now, now + timedelta(hours=1))
    asked = await asyncio.gather(*[database.admit_customer_token(b"token", LIMITS) for _ in range(9)])
    assert sorted([found and found.refused_by for found in asked], key=str) == [None] * 2 + ["customer"] * 7
    sessions = await asyncio.gather(*[database.admit_session(b"session", LIMITS) for _ in range(20)])
    assert sorted([found and found.refused_by for found in sessions], key=str) == [None] * 16 + ["operator"] * 4
    assert sorted(await refusals(database, hashed, 3), key=str) == [None, None, "organisation"]
    assert await database.admit_session(b"unknown", LIMITS) is None
    assert await database.admit_customer_token(b"unknown", LIMITS) is None
    with postgres.owner(database_url_of_test) as owner:
        counted = [row[0] for row in owner.execute("SELECT id FROM rate_limits ORDER BY id").fetchall()]
    assert len(counted) == 4
    assert ANNA not in str(counted)
