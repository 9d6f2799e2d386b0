"""No export holds a row of another organisation: in no format, with no filter, also without row security."""

from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from api.exporting import as_csv, as_json
from domain.values import OrganisationId
from schema.exports import AuditFilters, ExportRepository
from schema.session import Database
from tests.postgres import PostgresServer
from tests.schema.given import ACME, ANNA, GLOBEX, NOW
from tests.schema.test_tenants import something_in_every_table, tables

TABLES = (
    "audit_events", "customers", "tickets", "interactions", "decisions", "handoffs", "handoff_events", "deliveries",
    "delivery_events", "effects",
)  # fmt: skip
"""What is exported and has ids of its own."""
LOST = "seal without its event"


class Both:
    """Two organisations with customers and invoices of the same ids."""

    def __init__(self, db: Database, owner: psycopg.Connection) -> None:
        self.db = db
        self.owner = owner

    def ids(self, organisation: OrganisationId, table: str) -> set[str]:
        words = sql.SQL("SELECT id FROM {} WHERE organisation = %s").format(sql.Identifier(table))
        return {row[0] for row in self.owner.execute(words, [organisation]).fetchall()}

    def only(self, organisation: OrganisationId, other: OrganisationId) -> dict[str, set[str]]:
        """Ids nobody else has, by table."""
        found = {table: self.ids(organisation, table) - self.ids(other, table) for table in TABLES}
        sealed = "SELECT event_id FROM audit_seals WHERE organisation = %s"
        lost = {row[0] for row in self.owner.execute(sealed, [organisation]).fetchall()}
        return {**found, LOST: lost - self.ids(organisation, "audit_events")}

    async def exports(self, organisation: OrganisationId, filters: AuditFilters) -> list[str]:
        """In every form there is."""
        as_files = [
            "".join([part async for part in as_json(self.db, organisation, filters, {}, NOW)]),
            "".join([part async for part in as_csv(self.db, organisation, filters)]),
        ]
        async with self.db.transaction(organisation) as session:
            page = await ExportRepository(session).newest(filters, limit=200, cursor=None)
        return [*as_files, str(page.items)]


@pytest.fixture
async def both(postgres: PostgresServer, database_url_of_test: str, database: Database) -> AsyncIterator[Both]:
    for organisation in (ACME, GLOBEX):
        await something_in_every_table(database, organisation)
    with postgres.owner(database_url_of_test) as owner:
        for organisation in (ACME, GLOBEX):  # somebody deleted one: its seal is shown all the same
            owner.execute(
                "DELETE FROM audit_events WHERE (organisation, id) IN (SELECT organisation, event_id FROM audit_seals"
                " WHERE organisation = %s AND sequence = 1)",
                [organisation],
            )
        yield Both(database, owner)


def selections(both: Both) -> list[AuditFilters]:
    """Nothing; each filter with what is ours, theirs and everybody's; and all that is theirs at once."""
    values: dict[str, set[object]] = {
        "since": {NOW - timedelta(days=1)},
        "until": {NOW + timedelta(days=400)},
        "actor": {"agent", "command", "system", "ana"},
        "action": {"ticket.created", "key.issued"},
        "customer_id": {ANNA, "%", "acme' OR '1'='1"},
        "customer_subject": {ANNA, "~" + "0" * 32},
    }
    for name, table in {"interaction_id": "interactions", "subject": "handoffs"}.items():
        values[name] = {min(both.ids(organisation, table)) for organisation in (ACME, GLOBEX)}
    values["subject"] |= {"tkt_1", min(both.ids(GLOBEX, "effects")), min(both.ids(GLOBEX, "deliveries"))}
    assert set(values) == {each.name for each in fields(AuditFilters)}, "every filter is tried"
    found = [AuditFilters(), AuditFilters(customer_id=ANNA, interaction_id=min(both.ids(GLOBEX, "interactions")))]
    for name, tried in values.items():
        found += [replace(AuditFilters(), **{name: value}) for value in tried]  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("row_security", [True, False])
async def test_T3_no_export_holds_a_row_of_another_organisation(both: Both, *, row_security: bool) -> None:
    """Without the database's rule by what the statements ask for alone."""
    if not row_security:
        for name in tables(both.owner):
            both.owner.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(sql.Identifier(name)))
    theirs = set().union(*both.only(GLOBEX, ACME).values())
    for filters in selections(both):
        for export in await both.exports(ACME, filters):
            assert {words for words in theirs if words in export} == set(), filters


async def test_negative_control_an_organisations_own_export_holds_a_row_of_each_kind(both: Both) -> None:
    document, table, _ = await both.exports(GLOBEX, AuditFilters())
    own = both.only(GLOBEX, ACME)
    shared = {name for name, found in own.items() if not found}
    assert shared == {"customers"}, "the same person in both"
    for name, found in own.items():
        assert [words for words in found if words not in document or words not in table] == [], name
