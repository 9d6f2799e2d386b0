"""One round of counting goes through every organisation, whatever is wrong with one of them."""

from datetime import datetime, timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.rollups import RollupActivities
from domain.dashboard import HOUR, Window
from domain.values import OrganisationId
from schema.dashboards import DashboardRepository
from schema.session import Database
from tests.postgres import PostgresServer
from tests.schema.given import ACME, GLOBEX, NOW, customer, interaction

LATER = NOW + timedelta(days=3)


async def counted_until(db: Database, organisation: OrganisationId) -> datetime | None:
    async with db.transaction(organisation, frozen=True) as session:
        window = Window(begin=NOW, end=NOW + HOUR)
        found = await DashboardRepository(session).show(window, LATER)
    assert found.interactions.received == 1
    return found.counted_until


async def round_of(db: Database) -> int:
    return await ActivityEnvironment().run(RollupActivities(db, now=lambda: LATER).roll)


async def test_a_round_catches_up_with_days_for_everybody(database: Database) -> None:
    for organisation in (ACME, GLOBEX):
        await customer(database, organisation=organisation)
        async with database.transaction(organisation) as session:
            await interaction(session)
    assert await round_of(database) == 2
    for organisation in (ACME, GLOBEX):
        until = await counted_until(database, organisation)
        assert until is not None
        assert LATER - until < timedelta(minutes=1)


async def test_an_organisation_that_cannot_be_counted_keeps_no_other_from_it(
    database: Database, postgres: PostgresServer, database_url_of_test: str
) -> None:
    for organisation in (ACME, GLOBEX):
        await customer(database, organisation=organisation)
        async with database.transaction(organisation) as session:
            await interaction(session)
    with postgres.owner(database_url_of_test) as owner:
        owner.execute("ALTER TABLE metric_hours ADD CHECK (organisation <> 'acme')")
    with pytest.raises(ApplicationError):
        await round_of(database)
    assert await counted_until(database, ACME) is None
    assert await counted_until(database, GLOBEX) is not None
