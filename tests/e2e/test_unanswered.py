"""A request that was taken in is answered, or fails where everybody sees it, although its caller never asks again."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from api.deps import Services
from api.intake import work_on
from api.main import make_services
from api.resuming import GIVEN_UP, LOOK_AGAIN, MOST_RESUMES, UNANSWERED_FOR, resume_unanswered
from schema.interactions import Interaction, InteractionRepository
from tests.house import DEMO, House
from tests.schema.given import request


@pytest.fixture
async def services(house: House) -> AsyncIterator[Services]:
    """Those of another process, in which long enough has passed."""
    made = await make_services(house.settings, house.temporal)
    later = datetime.now(UTC) + UNANSWERED_FOR + timedelta(seconds=1)
    yield replace(made, now=lambda: later)
    await made.db.close()


async def taken_in(house: House) -> Interaction:
    """On record, and the process that took it in is gone."""
    await house.customer("cust_anna")
    new = replace(request(), organisation=DEMO, message="the app crashes", created_at=datetime.now(UTC))
    async with house.db.transaction(DEMO) as session:
        return (await InteractionRepository(session).claim(new)).interaction


async def row(house: House) -> Any:
    async with house.db.transaction(DEMO) as session:
        return await session.first(text("SELECT * FROM interactions WHERE organisation = :organisation"))


async def test_a_request_nobody_works_on_is_taken_up_and_answered(house: House, services: Services) -> None:
    interaction = await taken_in(house)
    await resume_unanswered(services)
    shown = await house.until(interaction.id, lambda i: i["status"] != "running")
    assert shown["status"] in {"completed", "waiting_for_human"}
    assert (await row(house)).resumes == 1


async def test_a_young_one_is_left_to_whoever_asked(house: House, services: Services) -> None:
    """Negative control."""
    await taken_in(house)
    await resume_unanswered(replace(services, now=lambda: datetime.now(UTC)))
    assert (await row(house)).resumes == 0


async def test_what_is_worked_on_is_left_alone(house: House, services: Services) -> None:
    interaction = await taken_in(house)
    await work_on(replace(services, task_queue="nobody-listens"), DEMO, interaction)
    await resume_unanswered(services)
    kept = await row(house)
    assert (kept.resumes, kept.look_at) == (0, services.now() + LOOK_AGAIN)


async def test_what_cannot_be_worked_on_has_failed_visibly_in_the_end(house: House, services: Services) -> None:
    interaction = await taken_in(house)
    async with house.db.transaction(DEMO) as session:
        tried = text("UPDATE interactions SET resumes = :times WHERE organisation = :organisation")
        await session.run(tried, times=MOST_RESUMES)
    await resume_unanswered(services)
    shown = (await house.http.get(f"/interactions/{interaction.id}")).json()
    assert (shown["status"], shown["finishedAt"] is not None) == ("failed", True)
    assert [issue["code"] for issue in shown["verification"]["issues"]] == [GIVEN_UP]
    found = (await house.http.get("/audit", params={"subject": interaction.id})).json()["items"]
    assert [(event["action"], event["details"]["reason"]) for event in found] == [("interaction.failed", GIVEN_UP)]
    assert await house.db.unanswered_interactions(services.now(), services.now() + LOOK_AGAIN) == ()
