"""The database itself keeps organisations apart, and the ledger as it was written; with negative controls."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import text

from domain.budget import Limits
from domain.calendar import Calendar
from domain.consent import Consent
from domain.erasure import Tombstone
from domain.errors import Conflict
from domain.identity_provider import ProviderSettings
from domain.interaction import EffectState
from domain.retention import DataClass
from domain.values import DeliveryId, Money, OrganisationId, Priority, RequestId
from domain.webhook import DomainEvent, EndpointKind, EventType, NewNotification, NotificationKind
from schema.api_keys import ApiKeyRepository
from schema.approvals import ApprovalRepository, NewLink
from schema.audit import AuditEvent, AuditRepository
from schema.base import METADATA, new_id
from schema.calendars import CalendarRepository, NewCalendar
from schema.channels import ChannelRepository
from schema.codes import CodeRepository
from schema.consents import ConsentRepository
from schema.conversations import ConversationRepository
from schema.customer_tokens import CustomerTokenRepository
from schema.dead_letters import Correction, DeadLetterRepository
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.effect_list import list_effects
from schema.effects import EffectRepository
from schema.erasures import ErasureRepository
from schema.events import EventRepository
from schema.handoff_claims import HandoffClaims
from schema.identities import IdentityRepository
from schema.identity_providers import ProviderRepository
from schema.interactions import InteractionRepository
from schema.invoices import InvoiceRepository
from schema.legal_holds import LegalHoldRepository
from schema.notifications import NotificationRepository
from schema.oidc_attempts import Attempt, AttemptRepository
from schema.operators import OperatorRepository
from schema.organisations import OrganisationRepository
from schema.restored import RestoredRepository
from schema.retention import Batch, RetentionRepository
from schema.rollups import RollupRepository
from schema.session import APP_ROLE, Database, Session
from schema.sign_ins import SignInRepository
from schema.tables import ALL_ROWS
from schema.takeovers import TakeoverRepository
from schema.throttles import ThrottleRepository
from schema.tickets import TicketRepository
from schema.wakes import WakeRepository
from schema.webhook_secrets import WebhookSecretRepository
from schema.webhooks import WebhookRepository
from tests.postgres import PostgresServer, new_seals
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, customer, decided, everything_sealed, handoff, mail

APPEND_ONLY = (
    "audit_seals",
    "audit_batches",
    "decisions",
    "effects",
    "effect_events",
    "handoff_events",
    "handoff_revisions",
    "handoff_approvals",
    "conversation_events",
    "messages",
    "delivery_events",
    "delivery_versions",
    "webhook_events",
    "notifications",
    "notification_reads",
    "consents",
    "customer_keys",
    "audit_events",
    "calendars",
    "retention_policies",
    "identity_providers",
    "refunds",
    "tickets",
)


FORGOTTEN = {
    *("handoff_wakes", "sign_in_throttles", "customer_tokens", "customer_channels"),
    *("operator_identities", "oidc_attempts"),
}
"""A reminder is taken away when it was heard, failures to sign in after a day, a customer's token when it is over, an
address a customer does not use any more, who an operator is elsewhere when an admin says so: none records what was
done."""


async def something_in_every_table(db: Database, organisation: OrganisationId) -> None:
    await customer(db, organisation=organisation)
    async with db.transaction(organisation) as session:
        await OrganisationRepository(session).put(organisation.title(), NOW)
        await ApiKeyRepository(session).issue("ci", {"admin"}, organisation.encode(), NOW)
        await _somebody_signed_in(session)
        office = Calendar(id="office", opening_hours="Mo-Fr 09:00-17:00")
        channel = await ChannelRepository(session).add(ANNA, "email", "hash", "ci", NOW)
        await CodeRepository(session).ask(ANNA, channel.id, None, bound="b", nonce=b"n", at=NOW, expires_at=NOW)
        await CalendarRepository(session).publish(NewCalendar(office), by="ci", at=NOW)
        await WakeRepository(session).wake((await handoff(session)).id, NOW)
        await RestoredRepository(session).lose("interaction:lost", acted=True, at=NOW)
        ids = await decided(session)
        effects = EffectRepository(session)
        (effect_id,) = await effects.reserve([mail(ids)])
        await effects.settle_atomic(effect_id, EffectState.CONFIRMED, at=NOW)
        await InvoiceRepository(session).refund("key", ANNA, "inv_1", Money(amount=1, currency="EUR"))
        await TicketRepository(session).create_ticket("key", ANNA, "billing", Priority.LOW, ids[0])
        on_the_table = await handoff(session)
        approvals = ApprovalRepository(session)
        await approvals.give(on_the_table, "ana", ["operator"], via="key", note=None, at=NOW)
        await approvals.add_link(NewLink("lnk_1", on_the_table.id, "digest", "ana", "ana", NOW, NOW))
        await HandoffClaims(session).look(on_the_table.id, "ana", NOW)
        assert on_the_table.decision_id is not None
        await approvals.revise(
            on_the_table, on_the_table.decision_id, "other",
            proposed=[], changes=[], raises=False, by="ana", at=NOW,
        )  # fmt: skip
        here = (await ConversationRepository(session).list(ANNA)).items[0].id
        await ConversationRepository(session).hold(here, "ana", NOW + timedelta(hours=1), NOW)
        await TakeoverRepository(session).say(here, "ana", RequestId("r"), "hello", NOW)
        deliveries = DeliveryRepository(session)
        delivery_id = await deliveries.add(
            NewDelivery(
                interaction_id=ids[0], customer_id=ANNA, purpose="answer", channel="chat", body="Hello.", at=NOW
            )
        )
        await deliveries.mark(delivery_id, DeliveryStatus.DELIVERED, NOW)
        await AuditRepository(session).append(AuditEvent(NOW, "agent", "ticket.created", "tkt_1"))
        await _something_outgoing(session, delivery_id)
        await RollupRepository(session).roll(NOW + timedelta(days=2))
        await LegalHoldRepository(session).place(ANNA, "a dispute", by="ana", at=NOW, expires_at=NOW)
        await RetentionRepository(session).publish({DataClass.SIGN_INS: 1}, by="ana", at=NOW)
        await NotificationRepository(session).notify(
            NewNotification(NotificationKind.PING, "whk_0", NOW - timedelta(days=366))
        )
        assert await RetentionRepository(session).end_some(DataClass.NOTIFICATIONS, NOW, 9) == Batch(1, done=True)
    assert await db.admit_api_key(organisation.encode(), Limits(1000, 80, timedelta(seconds=10)))
    await everything_sealed(db, organisation)


async def _somebody_signed_in(session: Session) -> None:
    operator = await OperatorRepository(session).add("ana@example.com", "hash", {"operator"}, "ci", NOW, None)
    await SignInRepository(session).begin(operator.id, "hash", f"token {session.organisation}".encode(), NOW)
    await ThrottleRepository(session).try_once("account", "key", NOW)
    settings = ProviderSettings(issuer="https://idp.example.com", client_id="client")
    provider = await ProviderRepository(session).put("idp_1", 1, settings, b"sealed", "ci", NOW)
    await IdentityRepository(session).link(operator.id, settings.issuer, "subject", "ci", NOW)
    attempt = Attempt("oat_1", b"browser", provider.id, provider.version, None, "", b"sealed", NOW, NOW, None)
    await AttemptRepository(session).begin(attempt, f"state {session.organisation}".encode())
    await CustomerTokenRepository(session).issue(ANNA, f"ct {session.organisation}".encode(), "ci", NOW, NOW)


async def _something_outgoing(session: Session, delivered: DeliveryId) -> None:
    """An endpoint with its secret, an event, a notification somebody read, a consent, a corrected dead letter."""
    webhooks, notifications = WebhookRepository(session), NotificationRepository(session)
    await webhooks.create("whk_1", EndpointKind.WEBHOOK, "https://example.com/", ["ping"], "", "ci", NOW)
    await WebhookSecretRepository(session).keep("whk_1", "signing", "sec_1", b"sealed", NOW)
    await EventRepository(session).record(DomainEvent(EventType.PING, "whk_1", NOW))
    await notifications.notify(NewNotification(NotificationKind.PING, "whk_1", NOW))
    await notifications.mark_read((await notifications.list("ana")).items[0].id, "ana", NOW)
    stone = Tombstone(id=new_id("ers"), organisation=session.organisation, subject="hash", by="ana", at=NOW)
    await ErasureRepository(session).request(stone, ANNA, "hash")
    await ConsentRepository(session).say(ANNA, "email", Consent.GRANTED, "ana", NOW)
    await session.run(text("UPDATE deliveries SET message_id = '<1@x>' WHERE id = :id"), id=delivered)
    await DeliveryRepository(session).bounced("<1@x>", "dsn_5_1_1", "operators", NOW)
    await DeadLetterRepository(session).redrive(delivered, "ana", NOW, Correction(body="Hello!"))


@contextmanager
def as_app(postgres: PostgresServer, url: str, organisation: str | None) -> Iterator[psycopg.Connection]:
    """A connection as the application's role, with an organisation bound, or with nothing bound at all."""
    with postgres.owner(url) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APP_ROLE)))
        if organisation is not None:
            connection.execute("SELECT set_config('holdfast.organisation', %s, false)", [organisation])
        yield connection


def tables(connection: psycopg.Connection) -> list[str]:
    """Every table there is, from the catalogue: a table somebody forgets here cannot be forgotten there."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        # Nobody's tables: neither names an organisation.
        " AND relname NOT IN ('alembic_version', 'worker_heartbeats') ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]


def visible(connection: psycopg.Connection) -> dict[str, int]:
    counts = {}
    for name in tables(connection):
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
        assert row is not None
        counts[name] = row[0]
    return counts


@pytest.fixture(scope="module")
async def filled(postgres: PostgresServer) -> AsyncIterator[str]:
    """Something of Acme's in every table. For tests that change nothing, not even a right."""
    url = postgres.create()
    db = Database(url, seals=new_seals())
    await something_in_every_table(db, ACME)
    await db.close()
    yield url
    postgres.drop(url)


@pytest.fixture
def own_copy(postgres: PostgresServer, filled: str) -> Iterator[str]:
    """The same, for one test to spoil."""
    url = postgres.create(template=postgres.name(filled))
    yield url
    postgres.drop(url)


async def test_the_organisation_itself_sees_its_rows_in_every_table(postgres: PostgresServer, filled: str) -> None:
    """Negative control of the two below: there is something to hide everywhere."""
    with as_app(postgres, filled, ACME) as connection:
        assert [name for name, rows in visible(connection).items() if rows == 0] == []
    assert {row.__tablename__ for row in ALL_ROWS} == set(METADATA.tables)


@pytest.mark.parametrize("organisation", [None, "", GLOBEX, "%", "acme' OR '1'='1"])
async def test_nobody_else_sees_a_row_in_any_table(
    postgres: PostgresServer, filled: str, organisation: str | None
) -> None:
    """T-3"""
    with as_app(postgres, filled, organisation) as connection:
        assert [name for name, rows in visible(connection).items() if rows] == []


async def test_without_its_policy_a_table_would_be_seen(postgres: PostgresServer, own_copy: str) -> None:
    """Negative control: the check above notices each table whose protection is taken away."""
    with postgres.owner(own_copy) as owner:
        for name in tables(owner):
            owner.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(sql.Identifier(name)))
            with as_app(postgres, own_copy, GLOBEX) as connection:
                assert [table for table, rows in visible(connection).items() if rows] == [name]
            owner.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(sql.Identifier(name)))


async def test_every_table_forces_row_level_security_on_its_owner_too(postgres: PostgresServer, filled: str) -> None:
    with postgres.owner(filled) as owner:
        unforced = owner.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND relname <> 'alembic_version' AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
        owns = owner.execute("SELECT relname FROM pg_class WHERE relowner = %s::regrole", [APP_ROLE]).fetchall()
        powers = owner.execute(
            "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = %s",
            [APP_ROLE],
        ).fetchone()
    assert (unforced, owns, powers) == ([], [], (False,) * 5)


async def test_a_row_cannot_be_written_for_somebody_else(postgres: PostgresServer, filled: str) -> None:
    with (
        as_app(postgres, filled, GLOBEX) as connection,
        pytest.raises(errors.InsufficientPrivilege, match="row-level security"),
    ):
        connection.execute("INSERT INTO audit_events VALUES ('acme', 'aud_1', now(), 'eve', 'x.forged', 'y', '{}')")


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_the_ledger_cannot_be_rewritten(postgres: PostgresServer, filled: str, table: str) -> None:
    """A-4"""
    name = sql.Identifier(table)
    with as_app(postgres, filled, ACME) as connection:
        for statement in (
            "UPDATE {} SET organisation = organisation",
            "DELETE FROM {}",
            "TRUNCATE {}",
            "ALTER TABLE {} DISABLE TRIGGER ALL",
            "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
            "DROP TABLE {}",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL(statement).format(name))


async def test_nothing_at_all_can_be_deleted(postgres: PostgresServer, filled: str) -> None:
    with as_app(postgres, filled, ACME) as connection:
        for name in tables(connection):
            for statement in ("DELETE FROM {}", "TRUNCATE {}"):
                if name in FORGOTTEN and statement == "DELETE FROM {}":
                    continue
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("interactions", "message"),
        ("interactions", "fingerprint"),
        ("interactions", "request_id"),
        ("handoffs", "digest"),
        ("handoffs", "proposed"),
        ("handoffs", "expires_at"),
        ("handoffs", "on_expiry"),
        ("deliveries", "body"),
        ("deliveries", "effect_id"),
        ("webhook_secrets", "sealed"),
        ("webhook_endpoints", "created_by"),
        ("api_keys", "scopes"),
        ("api_keys", "key_hash"),
        ("customers", "id"),
        ("operators", "login"),
        ("operators", "created_by"),
        ("sessions", "operator_id"),
        ("sessions", "expires_at"),
    ],
)
async def test_what_was_said_asked_or_shown_cannot_be_changed_afterwards(
    postgres: PostgresServer, filled: str, table: str, column: str
) -> None:
    statement = sql.SQL("UPDATE {} SET {} = {}").format(*map(sql.Identifier, (table, column, column)))
    with as_app(postgres, filled, ACME) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


async def test_a_granted_right_would_be_noticed(postgres: PostgresServer, own_copy: str) -> None:
    """Negative control of the rewriting checks."""
    with postgres.owner(own_copy) as owner, as_app(postgres, own_copy, ACME) as connection:
        owner.execute(f"GRANT UPDATE ON audit_events TO {APP_ROLE}".encode())
        assert connection.execute("UPDATE audit_events SET actor = 'eve'").rowcount == 4


class TestLookups:
    async def test_a_key_names_its_organisation_until_it_is_revoked_or_expires(self, database: Database) -> None:
        now_ish = NOW + timedelta(days=36_500)
        async with database.transaction(ACME) as session:
            keys = ApiKeyRepository(session)
            live = await keys.issue("live", ["operator", "ingest", "ingest"], b"live", NOW, expires_at=now_ish)
            await keys.issue("old", ["admin"], b"old", NOW, expires_at=NOW.replace(year=2020))
            assert [key.name for key in (await keys.list()).items] == ["old", "live"]
        found = await database.resolve_api_key(b"live")
        assert found is not None
        assert (found.organisation, found.key_id, found.scopes) == (ACME, live.id, ("ingest", "operator"))
        old = await database.resolve_api_key(b"old")
        assert found.ended is None
        assert old is not None
        assert old.ended == "expired"
        assert await database.resolve_api_key(b"unknown") is None
        async with database.transaction(GLOBEX) as session:
            assert not await ApiKeyRepository(session).revoke(live.id, NOW)
        async with database.transaction(ACME) as session:
            assert await ApiKeyRepository(session).revoke(live.id, NOW)
            assert not await ApiKeyRepository(session).revoke(live.id, NOW)
        revoked = await database.resolve_api_key(b"live")
        assert revoked is not None
        assert revoked.ended == "revoked"

    async def test_two_keys_in_use_never_share_a_name(self, database: Database) -> None:
        """People's decisions are recorded under it."""
        async with database.transaction(ACME) as session:
            first = await ApiKeyRepository(session).issue("desk", ["operator"], b"1", NOW)
        async with database.transaction(ACME) as session:
            with pytest.raises(Conflict):
                await ApiKeyRepository(session).issue("desk", ["operator"], b"2", NOW)
            await ApiKeyRepository(session).revoke(first.id, NOW)
            await ApiKeyRepository(session).issue("desk", ["operator"], b"3", NOW)
        async with database.transaction(GLOBEX) as session:
            await ApiKeyRepository(session).issue("desk", ["operator"], b"4", NOW)

    async def test_the_lookup_role_reads_a_few_columns_of_two_tables_and_nothing_else(
        self, postgres: PostgresServer, filled: str
    ) -> None:
        with postgres.owner(filled) as connection:
            connection.execute("SET ROLE holdfast_lookup")
            for name in tables(connection):
                if name == "rate_limits":
                    continue  # it keeps these itself: a time per key, and nothing else
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
            assert connection.execute("SELECT count(*) FROM (SELECT id FROM api_keys) k").fetchone() == (1,)

    async def test_a_lookup_function_cannot_be_misled_by_a_table_of_the_same_name(
        self, postgres: PostgresServer, filled: str
    ) -> None:
        with as_app(postgres, filled, None) as connection:
            connection.execute("CREATE TEMP TABLE api_keys (organisation varchar)")
            connection.execute("SET search_path = pg_temp, public")
            rows = connection.execute("SELECT organisation FROM public.resolve_api_key('acme')").fetchall()
            admitted = connection.execute("SELECT organisation FROM public.admit_api_key('acme', 9, 80, 10)").fetchall()
        assert rows == admitted == [("acme",)]


async def test_every_repository_answers_nothing_about_another_organisation(database: Database) -> None:
    """T-3, through the repositories."""
    await something_in_every_table(database, ACME)
    async with database.transaction(GLOBEX) as session:
        assert (await InteractionRepository(session).list()).items == ()
        assert (await DeliveryRepository(session).list()).items == ()
        assert (await AuditRepository(session).list()).items == ()
        assert (await ApiKeyRepository(session).list()).items == ()
        assert await OrganisationRepository(session).find() is None
        assert await InvoiceRepository(session).list(ANNA) == ()
        assert (await list_effects(session, ANNA)).items == ()


async def test_a_transaction_without_an_organisation_does_not_begin(database: Database) -> None:
    with pytest.raises(ValueError, match="organisation"):
        async with database.transaction(OrganisationId("")):
            pass


async def test_the_binding_does_not_outlive_its_transaction(database: Database) -> None:
    """A connection that goes back to the pool still bound would show one tenant's rows to the next."""
    async with database.transaction(ACME) as session:
        assert await bound_to(session.driver) == ACME
    assert await bound_to(session.driver) == ""


async def bound_to(connection: psycopg.AsyncConnection[Any]) -> str:
    row = await (await connection.execute("SELECT current_setting('holdfast.organisation', true)")).fetchone()
    return str(row[0]) if row else ""
