"""A delivery's whole life in skipped time: days of schedule pass in moments."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.deliveries import PER_RECEIVER
from adapters.signing import verify
from domain.consent import Consent
from domain.delivery import DeliveryRef, DeliveryResult, DeliveryStatus
from domain.values import DeliveryId
from domain.webhook import EndpointKind, EventType
from schema.consents import ConsentRepository
from schema.dead_letters import DeadLetterRepository
from schema.deliveries import DeliveryFilters, DeliveryRepository
from schema.session import Database
from tests.outgoing import SECRET, Outgoing, outgoing, wall_clock
from tests.receiver import receiver
from tests.schema.given import ACME, ANNA
from tests.sealed import CODEC
from tests.temporal import temporal_server
from workflows import ids
from workflows.delivery import MANY, DeliveryWorkflow
from workflows.runtime import ensure_search_attributes, temporal_plugin

DELIVERED, DEAD, DISCARDED = DeliveryStatus.DELIVERED, DeliveryStatus.DEAD_LETTER, DeliveryStatus.DISCARDED
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server(plugins=[temporal_plugin(CODEC)]) as env:
        await ensure_search_attributes(env.client)
        yield env


@dataclass
class Office:
    env: WorkflowEnvironment
    post: Outgoing
    queue: str

    async def start(self, delivery_id: DeliveryId) -> WorkflowHandle[DeliveryWorkflow, DeliveryResult]:
        return await self.env.client.start_workflow(
            DeliveryWorkflow.run,
            DeliveryRef(organisation=ACME, delivery_id=delivery_id),
            id=ids.delivery(ACME, delivery_id),
            task_queue=self.queue,
        )

    async def redrive(self, handle: WorkflowHandle[DeliveryWorkflow, DeliveryResult], delivery_id: DeliveryId) -> None:
        async with self.post.db.transaction(ACME) as session:
            await DeadLetterRepository(session).redrive(delivery_id, "olga", wall_clock())
        await handle.signal(DeliveryWorkflow.decided)

    async def discard(self, handle: WorkflowHandle[DeliveryWorkflow, DeliveryResult], delivery_id: DeliveryId) -> None:
        async with self.post.db.transaction(ACME) as session:
            await DeadLetterRepository(session).discard(delivery_id, "old news", "olga", wall_clock())
        await handle.signal(DeliveryWorkflow.decided)


@pytest.fixture
async def office(skipping: WorkflowEnvironment, database: Database) -> AsyncIterator[Office]:
    queue = f"q-{secrets.token_hex(4)}"
    async with (
        outgoing(database) as post,
        Worker(
            skipping.client,
            task_queue=queue,
            workflows=[DeliveryWorkflow],
            activities=[post.activities.send, post.activities.give_up],
        ),
    ):
        yield Office(skipping, post, queue)


async def test_our_own_idea_waits_for_the_morning_by_a_timer_and_then_leaves(
    skipping: WorkflowEnvironment, database: Database
) -> None:
    """Quiet hours are over when the clock says so, not when the timer does."""
    clock = [datetime(2026, 11, 20, 23, 0, tzinfo=UTC)]
    queue = f"q-{secrets.token_hex(4)}"
    async with (
        outgoing(database, now=lambda: clock[0]) as post,
        Worker(skipping.client, task_queue=queue, workflows=[DeliveryWorkflow], activities=[post.activities.send]),
    ):
        office = Office(skipping, post, queue)
        async with database.transaction(ACME) as session:
            await ConsentRepository(session).say(ANNA, "email", Consent.GRANTED, "olga", clock[0])
        held = await post.reminder()
        handle = await office.start(held)
        await skipping.fast_forward(handle, timedelta(hours=8, minutes=59))
        assert (await handle.query(DeliveryWorkflow.status)).code == "quiet_hours"
        assert post.mails.accepted == []
        clock[0] += timedelta(hours=9)
        await skipping.fast_forward(handle, timedelta(minutes=2))
        assert (await handle.result()).status is DELIVERED
        assert [m["Auto-Submitted"] for m in post.mails.accepted] == ["auto-generated"]
        assert (await post.get(held)).attempts == 1


async def test_W4_a_receiver_that_hangs_does_not_fill_a_small_worker(
    skipping: WorkflowEnvironment, database: Database
) -> None:
    """Six places, twenty events for the one that hangs, for minutes: everybody else's arrive meanwhile."""
    queue, hung = f"q-{secrets.token_hex(4)}", EventType.HANDOFF_OPENED
    async with outgoing(database, patience=timedelta(minutes=2)) as post, receiver() as well:
        post.hook.always = "hang"
        await post.endpoint(hung)
        await post.endpoint(EventType.PING, url=well.url)
        office = Office(skipping, post, queue)
        async with Worker(
            skipping.client,
            task_queue=queue,
            workflows=[DeliveryWorkflow],
            activities=[post.activities.send, post.activities.give_up],
            max_concurrent_activities=6,
        ):
            stuck = [await office.start((await post.event(hung))[0]) for _ in range(20)]
            await post.hook.until(PER_RECEIVER)
            sent = [await office.start((await post.event())[0]) for _ in range(19)]
            assert len(await well.until(19)) == 19
            assert len(post.hook.heard) == PER_RECEIVER
            for handle in sent:
                assert (await handle.result()).status is DELIVERED
            for handle in stuck:
                await handle.terminate()


async def test_what_arrives_at_once_ends_at_once(office: Office) -> None:
    await office.post.endpoint()
    (delivery_id,) = await office.post.event()
    handle = await office.start(delivery_id)
    assert (await handle.result()).status is DELIVERED
    delivery = await office.post.get(delivery_id)
    assert (delivery.status, delivery.attempts) == (DELIVERED, 1)
    assert delivery.told_at is not None


async def test_W3_a_receiver_that_is_down_for_thirty_hours_gets_every_event_under_one_id(office: Office) -> None:
    await office.post.endpoint()
    office.post.hook.always = "503 Away"
    sent = [(await office.post.event())[0] for _ in range(3)]
    handles = [await office.start(delivery_id) for delivery_id in sent]
    for handle in handles:
        await office.env.fast_forward(handle, timedelta(hours=30))
    assert len(office.post.hook.heard) == 3 * 7  # the eighth attempt comes after 31 hours
    office.post.hook.always = None
    for handle in handles:
        await office.env.fast_forward(handle, DAY)
        assert (await handle.result()).status is DELIVERED
    heard = office.post.hook.heard
    assert sorted(str(h.id) for h in heard) == sorted(
        8 * [str(d.source_id) for d in [await office.post.get(i) for i in sent]]
    )
    for one in heard:
        assert verify([SECRET], one.headers, one.body, datetime.now(UTC)) == one.id


async def test_a_dead_letter_waits_for_months_and_is_redriven_under_its_id(office: Office) -> None:
    await office.post.endpoint()
    (delivery_id,) = await office.post.event()
    office.post.hook.always = "500 Oops"
    handle = await office.start(delivery_id)
    await office.env.fast_forward(handle, 120 * DAY)
    assert (await office.post.get(delivery_id)).status is DEAD
    assert (await handle.query(DeliveryWorkflow.status)).code == "attempts_used_up"
    before = len(office.post.hook.heard)
    assert before == 8
    office.post.hook.always = None
    await office.redrive(handle, delivery_id)
    assert (await handle.result()).status is DELIVERED
    assert len(office.post.hook.heard) == before + 1
    assert len({h.id for h in office.post.hook.heard}) == 1


async def test_a_discarded_one_ends_without_another_attempt(office: Office) -> None:
    await office.post.endpoint()
    (delivery_id,) = await office.post.event()
    office.post.hook.faults.append("410 Gone")
    handle = await office.start(delivery_id)
    await office.post.hook.until(1)
    await _until_dead(office, handle)
    await office.discard(handle, delivery_id)
    assert (await handle.result()).status is DISCARDED
    assert len(office.post.hook.heard) == 1


async def test_a_decision_it_was_not_told_about_is_seen_by_the_next_run(office: Office) -> None:
    """Its workflow was ended by somebody; the row knows how it stands."""
    await office.post.endpoint()
    (delivery_id,) = await office.post.event()
    office.post.mails.faults["rcpt"] = ["550 no"]
    mail_id = await office.post.reply()
    handle = await office.start(mail_id)
    await _until_dead(office, handle)
    await handle.terminate()
    async with office.post.db.transaction(ACME) as session:
        await DeadLetterRepository(session).redrive(mail_id, "olga", wall_clock())
    again = await office.start(mail_id)
    assert (await again.result()).status is DELIVERED
    assert len({m["Message-ID"] for m in office.post.mails.accepted}) == 1
    assert (await office.post.get(delivery_id)).status is DeliveryStatus.PENDING


async def test_being_told_for_nothing_changes_nothing(office: Office) -> None:
    mail_id = await office.post.reply()
    office.post.mails.faults["rcpt"] = ["550 no"]
    handle = await office.start(mail_id)
    await _until_dead(office, handle)
    for _ in range(5):
        await handle.signal(DeliveryWorkflow.decided)
    await _until_dead(office, handle)
    assert await office.post.kinds(mail_id) == ["attempting", "dead_letter"]
    await office.discard(handle, mail_id)
    assert (await handle.result()).status is DISCARDED


async def test_a_dead_letter_of_a_customers_is_told_to_who_subscribed(office: Office) -> None:
    await office.post.endpoint(EventType.DELIVERY_DEAD_LETTER)
    await office.post.endpoint(EventType.DELIVERY_DEAD_LETTER, kind=EndpointKind.CHAT)
    mail_id = await office.post.reply()
    office.post.mails.faults["rcpt"] = ["550 no such user"]
    handle = await office.start(mail_id)
    heard = await office.post.hook.until(2)
    assert sorted("webhook-id" in h.headers for h in heard) == [False, True]
    assert all(mail_id.encode() in h.body and b"smtp_550" in h.body for h in heard)
    assert not any(b"anna" in h.body for h in heard)
    await _until_dead(office, handle)
    await office.discard(handle, mail_id)
    await handle.result()


async def test_word_of_a_dead_webhook_does_not_become_the_next_dead_webhook(office: Office) -> None:
    await office.post.endpoint(EventType.PING, EventType.DELIVERY_DEAD_LETTER)
    (delivery_id,) = await office.post.event()
    office.post.hook.always = "500 Oops"
    handle = await office.start(delivery_id)
    await office.env.fast_forward(handle, 3 * DAY)
    async with office.post.db.transaction(ACME) as session:
        page = await DeliveryRepository(session).list(filters=DeliveryFilters())
    assert [d.id for d in page.items] == [delivery_id]
    await office.discard(handle, delivery_id)
    await handle.result()


async def test_its_history_stays_short_however_often_it_is_redriven(office: Office) -> None:
    mail_id = await office.post.reply()
    office.post.mails.faults["rcpt"] = ["550 no"] * (MANY + 5)
    handle = await office.start(mail_id)
    for n in range(MANY + 4):
        await _until_dead(office, handle, attempts=n + 1)
        await office.redrive(handle, mail_id)
    await _until_dead(office, handle, attempts=MANY + 5)
    first = await office.env.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id).describe()
    latest = await office.env.client.get_workflow_handle(handle.id).describe()
    assert first.run_id != latest.run_id
    assert latest.history_length < 200
    await office.redrive(handle, mail_id)
    ended = await office.env.client.get_workflow_handle(handle.id, result_type=DeliveryResult).result()
    assert ended.status is DELIVERED


async def test_nothing_of_what_is_sent_or_to_whom_stands_in_the_history(office: Office) -> None:
    """D-1"""
    mail_id = await office.post.reply(body="Dear Anna, here is your secret.")
    handle = await office.start(mail_id)
    await handle.result()
    history = (await handle.fetch_history()).to_json()
    import base64
    import re

    clear = history + "".join(
        base64.b64decode(data).decode(errors="replace") for data in re.findall(r'"data": "([^"]+)"', history)
    )
    assert mail_id in clear
    for private in ("anna@", "Anna", "secret"):
        assert private not in clear


async def _until_dead(
    office: Office, handle: WorkflowHandle[DeliveryWorkflow, DeliveryResult], attempts: int = 1
) -> None:
    """Returns when the workflow itself knows."""
    import asyncio

    latest: WorkflowHandle[DeliveryWorkflow, DeliveryResult] = office.env.client.get_workflow_handle(handle.id)
    async with asyncio.timeout(20):
        while True:
            shown = await latest.query(DeliveryWorkflow.status)
            if shown.status is DEAD and shown.attempts >= attempts:
                return
            await asyncio.sleep(0.02)
