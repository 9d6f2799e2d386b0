"""A handoff's time is kept: warned, breached once with its notice, given back, escalated, and the customer told."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.clocks import ClockActivities
from adapters.failpoints import NoFailpoints
from domain.calendar import Calendar
from domain.clock import ClockKind, ClockState
from domain.handoff import HandoffDecision, HandoffInput, HandoffStatus, KeepTimeInput, TimeKept
from domain.sla import SlaPolicy
from domain.values import Plan, Priority
from domain.webhook import EndpointKind, EventType, NotificationKind
from schema.calendars import CalendarRepository, NewCalendar
from schema.clocks import ClockRepository, Timekeeping
from schema.deliveries import DeliveryRepository
from schema.handoff_claims import HandoffClaims
from schema.handoffs import Handoff, HandoffRepository
from schema.notifications import NotificationRepository
from schema.session import Database
from schema.wakes import WakeRepository
from schema.webhooks import WebhookRepository, new_endpoint_id
from tests.schema.given import ACME, NOW, customer, handoff

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SLA = SlaPolicy.shipped()


class Desk:
    """One open handoff of a pro customer, opened at `NOW`: an hour to claim, two to answer, eight to resolve."""

    def __init__(self, db: Database, opened: Handoff) -> None:
        self.db = db
        self.opened = opened
        self.clocks = ClockActivities(db, failpoints=NoFailpoints())

    async def look(self, at: datetime) -> TimeKept:
        looked = KeepTimeInput(handoff=HandoffInput(organisation=ACME, handoff_id=self.opened.id), at=at)
        kept: TimeKept = await ActivityEnvironment().run(self.clocks.keep_time, looked)
        return kept

    async def now(self) -> Handoff:
        async with self.db.transaction(ACME) as session:
            return await HandoffRepository(session).get(self.opened.id)

    async def kept(self) -> Timekeeping:
        async with self.db.transaction(ACME) as session:
            return await ClockRepository(session, SLA).load(await self.now())

    async def events(self) -> Counter[str]:
        async with self.db.transaction(ACME) as session:
            return Counter(e.kind for e in await HandoffRepository(session).events(self.opened.id))

    async def told(self) -> Counter[str]:
        async with self.db.transaction(ACME) as session:
            return Counter(n.kind for n in (await NotificationRepository(session).list("anybody")).items)

    async def decide(self, at: datetime) -> None:
        async with self.db.transaction(ACME) as session:
            await HandoffRepository(session).decide(self.opened.id, HandoffDecision.REJECTED, by="olga", at=at)

    async def claim(self, at: datetime) -> None:
        async with self.db.transaction(ACME) as session:
            await HandoffClaims(session).claim(self.opened.id, "olga", at)


@pytest.fixture
async def desk(database: Database) -> Desk:
    await customer(database)
    async with database.transaction(ACME) as session:
        return Desk(database, await handoff(session, plan=Plan.PRO))


async def test_nothing_is_done_early_and_the_next_moment_is_known(desk: Desk) -> None:
    kept = await desk.look(NOW + 47 * MINUTE)
    assert (kept.look_at, kept.until, kept.breached) == (NOW + 48 * MINUTE, "claim@0.8", False)
    assert await desk.events() == {"opened": 1}


async def test_it_warns_before_it_is_late(desk: Desk) -> None:
    kept = await desk.look(NOW + 48 * MINUTE)
    assert (kept.look_at, kept.until) == (NOW + HOUR, "claim@1")
    assert await desk.told() == {"handoff.due_soon": 1}
    assert (await desk.now()).priority is Priority.NORMAL


async def test_S3_a_breach_and_its_notice_are_one_fact_and_happen_once_however_often_one_looks(desk: Desk) -> None:
    for _ in range(3):
        await desk.look(NOW + HOUR)
    record, events, told = await desk.now(), await desk.events(), await desk.told()
    assert (record.breached_at, record.priority) == (NOW + HOUR, Priority.HIGH)
    assert (events["breached"], events["clock_step"], told["handoff.breached"]) == (1, 2, 1)


async def test_S2_one_that_was_late_while_nobody_worked_is_dated_when_it_was_due(desk: Desk) -> None:
    await desk.look(NOW + 3 * HOUR)
    async with desk.db.transaction(ACME) as session:
        (first, second) = [e for e in await HandoffRepository(session).events(desk.opened.id) if e.kind == "breached"]
    assert (first.details["clock"], first.details["dueAt"]) == ("claim", (NOW + HOUR).isoformat())
    assert (second.details["clock"], second.details["detectedAt"]) == ("first_response", (NOW + 3 * HOUR).isoformat())


@pytest.mark.parametrize("jump", [-24 * HOUR, -HOUR, MINUTE])
async def test_S6_a_time_that_jumps_fires_nothing_twice_and_nothing_early(desk: Desk, jump: timedelta) -> None:
    """A workflow's time comes from Temporal's server, whose successor may be behind; a worker's own is not asked."""
    for at in (NOW + 47 * MINUTE, NOW + HOUR, NOW + HOUR + jump, NOW + HOUR, NOW + HOUR + jump):
        await desk.look(at)
    events, told = await desk.events(), await desk.told()
    assert (events["breached"], events["clock_step"]) == (1, 2)
    assert (told["handoff.due_soon"], told["handoff.breached"]) == (1, 1)


async def test_S4_a_late_decision_does_not_undo_that_it_was_late(desk: Desk) -> None:
    await desk.decide(NOW + HOUR + MINUTE)
    kept = await desk.look(NOW + 9 * HOUR)
    assert (kept.look_at, kept.standing is not None) == (None, True)
    assert (await desk.now()).breached_at == NOW + HOUR
    assert (await desk.events())["breached"] == 1


async def test_a_decision_in_time_owes_nothing(desk: Desk) -> None:
    await desk.decide(NOW + 59 * MINUTE)
    assert (await desk.look(NOW + 9 * HOUR)).look_at is None
    assert (await desk.now()).breached_at is None


async def test_a_claim_that_runs_out_goes_back_and_its_clock_runs_on(desk: Desk) -> None:
    await desk.claim(NOW + 10 * MINUTE)
    assert ((await desk.look(NOW + 11 * MINUTE)).until, (await desk.now()).assignee) == ("lease", "olga")
    kept = await desk.look(NOW + 30 * MINUTE)
    record = await desk.now()
    assert (record.status, record.assignee) == (HandoffStatus.OPEN, None)
    # Ten minutes passed before the claim, which held for fifteen: fifty are left.
    assert kept.look_at == NOW + (25 + 38) * MINUTE
    assert (await desk.kept()).clocks[0].due_at == NOW + 75 * MINUTE


async def test_the_ladder_gives_it_back_pages_and_tells_the_customer(desk: Desk) -> None:
    await desk.look(NOW + 4 * HOUR)
    events, told = await desk.events(), await desk.told()
    assert told["handoff.paged"] == 2  # claim and first response took twice as long as they may
    async with desk.db.transaction(ACME) as session:
        sent = [d for d in (await DeliveryRepository(session).list()).items if d.purpose.startswith("delay_notice")]
    assert sorted(d.channel for d in sent) == ["chat", "email"]
    assert events["clock_step"] == 8


async def test_who_subscribed_hears_of_every_step_once(desk: Desk) -> None:
    """A program and a chat room that want to hear of everything there is."""
    async with desk.db.transaction(ACME) as session:
        for kind, wanted in ((EndpointKind.WEBHOOK, EventType), (EndpointKind.CHAT, NotificationKind)):
            await WebhookRepository(session).create(
                new_endpoint_id(), kind, "https://example.com/hook", [str(w) for w in wanted], "", "olga", NOW
            )
    starts = {d for hours in (1, 4, 4) for d in (await desk.look(NOW + hours * HOUR)).starts}
    async with desk.db.transaction(ACME) as session:
        sent = [await DeliveryRepository(session).get(delivery_id) for delivery_id in starts]
    heard = Counter((d.channel, d.purpose) for d in sent if d.endpoint_id)
    assert heard == {
        ("webhook", "handoff.breached"): 2,  # claim and first response
        ("chat_webhook", "handoff.due_soon"): 2,
        ("chat_webhook", "handoff.breached"): 4,  # once more at half as late again
        ("chat_webhook", "handoff.paged"): 2,
    }


async def test_an_approval_whose_time_is_over_is_told_as_decided(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        await WebhookRepository(session).create(
            new_endpoint_id(), EndpointKind.WEBHOOK, "https://example.com/hook", ["handoff.decided"], "", "olga", NOW
        )
        late = Desk(database, await handoff(session, expires_at=NOW + MINUTE))
    assert (await late.look(NOW)).starts == ()
    (told,) = (await late.look(NOW + 2 * MINUTE)).starts
    async with database.transaction(ACME) as session:
        body = (await DeliveryRepository(session).get(told)).body
    assert '"decision":"expired"' in body
    assert (await late.look(NOW + 3 * MINUTE)).starts == ()


async def test_waiting_for_the_customer_stops_the_clock(desk: Desk) -> None:
    async with desk.db.transaction(ACME) as session:
        clocks = ClockRepository(session, SLA)
        await clocks.note(desk.opened, "waiting_for_customer", NOW + HOUR / 2, {})
        await clocks.note(desk.opened, "customer_answered", NOW + 100 * HOUR, {})
    resolution = (await desk.kept()).clocks[2]
    assert (resolution.kind, resolution.due_at) == (ClockKind.RESOLUTION, NOW + 107.5 * HOUR)


async def test_another_priority_and_another_calendar_move_what_is_due(desk: Desk) -> None:
    async with desk.db.transaction(ACME) as session:
        assert await ClockRepository(session, SLA).reprioritise(desk.opened, Priority.URGENT, "olga", NOW + MINUTE)
    assert (await desk.look(NOW + MINUTE)).look_at == NOW + 12 * MINUTE
    assert (await desk.now()).sla_due_at == NOW + 15 * MINUTE
    monday = Calendar(id="office", opening_hours="Mo-Fr 13:00-17:00")  # NOW is a Friday, 12:00
    async with desk.db.transaction(ACME) as session:
        await CalendarRepository(session).publish(NewCalendar(monday), by="bea", at=NOW)
        await WakeRepository(session).wake_all(NOW + 2 * MINUTE)
    assert (await desk.look(NOW + 2 * MINUTE)).look_at == NOW + HOUR + 10 * MINUTE
    assert [c.state(NOW + 3 * MINUTE) for c in (await desk.kept()).clocks] == [ClockState.RUNNING] * 3


async def test_what_changed_is_told_until_the_workflow_has_looked(desk: Desk) -> None:
    await desk.claim(datetime.now(UTC) - MINUTE)
    assert [c.handoff_id for c in await desk.db.changed_handoffs()] == [desk.opened.id]
    await desk.look(NOW + MINUTE)
    assert await desk.db.changed_handoffs() == ()
