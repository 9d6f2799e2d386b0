"""D-6, without the house: organisations apart and in turn, class by class, counted before it is done, and how fast."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.retention import RetentionActivities
from adapters.failpoints import NoFailpoints
from domain.retention import RULES, DataClass, RetentionResult, ends_before
from domain.values import InteractionId, OrganisationId
from domain.webhook import NewNotification, NotificationKind
from schema.audit import AuditRepository
from schema.legal_holds import LegalHoldRepository
from schema.notifications import NotificationRepository
from schema.operators import OperatorRepository
from schema.retention import RetentionRepository
from schema.session import Database
from schema.sign_ins import SignInRepository
from schema.throttles import ThrottleRepository
from tests.postgres import PostgresServer
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, customer, decided, handoff, interaction

LATER = NOW + timedelta(days=400)
_FINISHED = text(
    "UPDATE interactions SET status = 'completed', finished_at = :at WHERE organisation = :organisation AND id = :id"
)
_LEFT = text("SELECT count(*) AS n FROM interactions WHERE organisation = :organisation AND message <> 'erased'")


async def finished(db: Database, organisation: OrganisationId = ACME, n: int = 1) -> list[InteractionId]:
    async with db.transaction(organisation) as session:
        made = [await interaction(session) for _ in range(n)]
        for each in made:
            await session.run(_FINISHED, id=each, at=NOW)
    return made


async def left(db: Database, organisation: OrganisationId = ACME) -> int:
    async with db.transaction(organisation) as session:
        row = await session.first(_LEFT)
    assert row is not None
    return int(row.n)


async def run(db: Database, *, batch: int = 250, days: float = 400) -> RetentionResult:
    at = NOW + timedelta(days=days)
    activities = RetentionActivities(db, now=lambda: at, failpoints=NoFailpoints(), batch=batch)
    return await ActivityEnvironment().run(activities.end)


async def done(db: Database, organisation: OrganisationId = ACME) -> dict[str, int]:
    async with db.transaction(organisation) as session:
        found = (await AuditRepository(session).list(limit=200)).items
    return {e.subject: e.details["rows"] for e in found if e.action == "retention.done"}


async def test_D6_organisations_are_kept_apart_and_take_turns(database: Database) -> None:
    for organisation in (ACME, GLOBEX):
        await customer(database, organisation=organisation)
    await finished(database, ACME, 9)
    await finished(database, GLOBEX, 2)
    async with database.transaction(GLOBEX) as session:
        await RetentionRepository(session).publish({DataClass.INTERACTIONS: 500}, by="ana", at=NOW)
    assert await run(database, batch=2) == RetentionResult(rows=9, done=True)
    assert (await left(database, ACME), await left(database, GLOBEX)) == (0, 2), "theirs is kept longer"
    assert (await done(database, ACME), await done(database, GLOBEX)) == ({"interactions": 9}, {})
    assert await run(database, batch=2, days=501) == RetentionResult(rows=2, done=True)
    assert await done(database, GLOBEX) == {"interactions": 2}


async def test_D6_where_one_organisation_fails_the_others_do_not(
    database: Database, postgres: PostgresServer, database_url_of_test: str
) -> None:
    for organisation in (ACME, GLOBEX):
        await customer(database, organisation=organisation)
        await finished(database, organisation)
    with postgres.owner(database_url_of_test) as owner:
        owner.execute("ALTER TABLE retention_runs ADD CHECK (organisation <> 'acme')")
    with pytest.raises(ApplicationError):
        await run(database)
    assert (await left(database, ACME), await left(database, GLOBEX)) == (1, 0)


async def test_D6_a_dry_run_counts_what_a_run_then_ends_and_changes_nothing(database: Database) -> None:
    await customer(database)
    await finished(database, n=3)
    async with database.transaction(ACME) as session:
        await interaction(session)  # never finished
        await handoff(session)  # undecided: neither it nor its interaction
        await NotificationRepository(session).notify(NewNotification(NotificationKind.PING, "whk_1", NOW))
        operator = await OperatorRepository(session).add("ana@example.com", "hash", {"operator"}, "ci", NOW, None)
        await SignInRepository(session).begin(operator.id, "hash", b"token", NOW)
        await ThrottleRepository(session).try_once("account", "key", NOW)
    async with database.transaction(ACME, frozen=True) as session:
        retention = RetentionRepository(session)
        due = {each: await retention.due(each, ends_before(rule.default, LATER), LATER) for each, rule in RULES.items()}
    assert due == {
        DataClass.MESSAGES: 0,
        DataClass.INTERACTIONS: 3,
        DataClass.HANDOFFS: 0,
        DataClass.DELIVERIES: 0,
        DataClass.NOTIFICATIONS: 1,
        DataClass.SIGN_INS: 2,
    }
    assert (await run(database)).rows == 6
    assert await done(database) == {each.value: n for each, n in due.items() if n}


async def test_D6_a_run_that_was_left_unfinished_is_gone_on_with_and_never_asks_for_more_than_today(
    database: Database,
) -> None:
    """A batch was done, then nobody went on; meanwhile the days were made more."""
    await customer(database)
    await finished(database, n=5)
    async with database.transaction(ACME) as session:
        first = await RetentionRepository(session).end_some(DataClass.INTERACTIONS, LATER, 2)
        await RetentionRepository(session).publish({DataClass.INTERACTIONS: 1_000}, by="ana", at=NOW)
    assert (first.rows, first.done) == (2, False)
    assert (await run(database)).rows == 0
    assert (await left(database), await done(database)) == (3, {"interactions": 2}), "it is over, with its count"
    assert (await run(database, days=1_001)).rows == 3


async def test_D6_a_message_of_a_conversation_where_something_is_open_stays(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        case, _ = await decided(session)
        told = (
            "INSERT INTO messages (organisation, id, conversation_id, customer_id, author, request_id, fingerprint,"
            " body, waits, at) SELECT organisation, 'msg_1', conversation_id, customer_id, 'ana', 'r', 'f', 'hello',"
            " false, created_at FROM interactions WHERE organisation = :organisation AND id = :id"
        )
        await session.run(text(told), id=case)
    assert (await run(database)).rows == 0
    async with database.transaction(ACME) as session:
        await session.run(_FINISHED, id=case, at=NOW)
    assert (await run(database)).rows == 2
    assert await done(database) == {"messages": 1, "interactions": 1}


async def test_D6_every_kind_of_a_class_is_held_with_the_customer(database: Database) -> None:
    await customer(database)
    await finished(database)
    async with database.transaction(ACME) as session:
        await LegalHoldRepository(session).place(ANNA, "a dispute", by="ana", at=NOW, expires_at=None)
        await NotificationRepository(session).notify(NewNotification(NotificationKind.PING, "whk_1", NOW))
    assert (await run(database)).rows == 1
    assert await done(database) == {"notifications": 1}, "nobody's: only everybody's hold keeps it"


async def test_D6_a_hundred_thousand_rows_end_in_bounded_batches(
    database: Database, postgres: PostgresServer, database_url_of_test: str, examples: int
) -> None:
    """`--examples 100000` is the figure of docs/reliability.md; fewer where nobody asks for it."""
    await customer(database)
    (one,) = await finished(database)
    with postgres.owner(database_url_of_test) as owner:
        owner.execute(
            "INSERT INTO interactions SELECT (jsonb_populate_record(i, jsonb_build_object('id', 'int_' || n,"
            " 'request_id', 'req_' || n, 'workflow_id', 'w' || n))).* FROM interactions i,"
            " generate_series(1, %s) n WHERE i.id = %s",
            [examples - 1, one],
        )
        owner.execute(
            "INSERT INTO decisions SELECT i.organisation, 'dec_' || i.id, i.id, 'first', 'live', 'proceed', 'normal',"
            ' \'other\', 0.9, 1, \'d\', \'{"reasons": [{"rule": "a", "code": "b", "says": "Anna"}]}\','
            ' \'{"actions": []}\', \'{"account": {"name": "Anna", "plan": "pro"}}\', i.created_at'
            " FROM interactions i"
        )
        owner.execute("ANALYZE interactions, decisions")
    begun = time.perf_counter()
    assert await run(database) == RetentionResult(rows=examples, done=True)
    took = time.perf_counter() - begun
    print(f"{examples} interactions with their decisions ended in {took:.1f} s")
    assert (await left(database), await done(database)) == (0, {"interactions": examples})


@pytest.fixture
def examples(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--examples") or 600)
