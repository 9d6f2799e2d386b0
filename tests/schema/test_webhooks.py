"""Events and dead letters in the database: recorded with the change they tell of, decided once."""

import asyncio
import contextlib
import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from domain.consent import Consent
from domain.errors import Conflict, NotFound
from domain.handoff import HandoffKind
from domain.values import DeliveryId
from domain.webhook import DomainEvent, EndpointKind, EventType, NewNotification, NotificationKind
from schema.consents import ConsentRepository
from schema.dead_letters import Correction, DeadLetterRepository, Settled
from schema.deliveries import DeliveryRepository, DeliveryStatus
from schema.delivery_attempts import AttemptRepository
from schema.events import EventRepository
from schema.notifications import NotificationRepository
from schema.session import Database, Session
from schema.webhooks import WebhookRepository, new_endpoint_id
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, customer, handoff

OPENED = EventType.HANDOFF_OPENED


async def endpoint(session: Session, *events: str, kind: EndpointKind = EndpointKind.WEBHOOK) -> str:
    endpoint_id = new_endpoint_id()
    await WebhookRepository(session).create(
        endpoint_id, kind, "https://example.com/hook", events or (OPENED,), "", "olga", NOW
    )
    return endpoint_id


async def dead_letter(db: Database, kind: EventType = OPENED) -> DeliveryId:
    async with db.transaction(ACME) as session:
        at = await endpoint(session, kind)
        event = DomainEvent(kind, "hnd_1", NOW)
        (delivery_id,) = await EventRepository(session).record_for(event, await WebhookRepository(session).get(at))
        await AttemptRepository(session).refuse(delivery_id, "gone", "builders", NOW)
    return delivery_id


class Killed(Exception):
    """The process ends here."""


async def test_W5_a_change_and_its_event_stand_or_fall_together(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        await endpoint(session)

    async def change(at: str) -> None:
        async with database.transaction(ACME) as session:
            if at == "before":
                raise Killed
            opened = await handoff(session, decision_id=None, kind=HandoffKind.TAKEOVER)
            if at == "between":
                raise Killed
            await EventRepository(session).record(DomainEvent(OPENED, opened.id, NOW))
            if at == "after":
                raise Killed

    for n in range(200):
        with contextlib.suppress(Killed):
            await change(("before", "between", "after", "never")[n % 4])
    async with database.transaction(ACME) as session:
        opened = {row.id for row in await session.all(text("SELECT id FROM handoffs"))}
        sent = {json.loads(d.body)["data"]["id"] for d in (await DeliveryRepository(session).list(limit=200)).items}
        events = {row.subject for row in await session.all(text("SELECT subject FROM webhook_events"))}
    assert opened == sent == events
    assert len(sent) == 50


async def test_an_event_recorded_again_is_the_first_one_with_its_deliveries(database: Database) -> None:
    async with database.transaction(ACME) as session:
        for _ in range(2):
            await endpoint(session)
        await endpoint(session, EventType.PING)
        events = EventRepository(session)
        first = await events.record(DomainEvent(OPENED, "hnd_1", NOW, {"priority": "high"}))
        assert len(first) == 2
        assert await events.record(DomainEvent(OPENED, "hnd_1", NOW + timedelta(hours=1))) == first
        other = await events.record(DomainEvent(OPENED, "hnd_1", NOW, key="again"))
        assert not set(other) & set(first)
        deliveries = [await DeliveryRepository(session).get(d) for d in (*first, *other)]
    bodies = [json.loads(d.body) for d in deliveries]
    assert [b["data"]["sequence"] for b in bodies] == [1, 1, 2, 2]
    assert bodies[0] == {
        "type": "handoff.opened",
        "timestamp": "2026-11-20T12:00:00.000Z",
        "data": {"id": "hnd_1", "sequence": 1, "priority": "high"},
    }


@pytest.mark.parametrize("words", ["Anna Example", "anna@example.com", "+49 30 1234", "x" * 200, "", "é"])
def test_an_event_carries_no_words(words: str) -> None:
    with pytest.raises(ValueError, match="never words"):
        DomainEvent(OPENED, "hnd_1", NOW, {"reason": words})
    with pytest.raises(ValueError, match="never words"):
        NewNotification(NotificationKind.PING, "hnd_1", NOW, {"reason": words})


async def test_only_enabled_subscribers_of_the_kind_are_told(database: Database) -> None:
    async with database.transaction(ACME) as session:
        webhooks = WebhookRepository(session)
        on, off, gone = [await endpoint(session) for _ in range(3)]
        room = await endpoint(session, kind=EndpointKind.CHAT)
        assert await webhooks.disable(off, "gone", NOW)
        assert not await webhooks.disable(off, "gone", NOW)
        assert await webhooks.delete(gone, NOW)
        assert [e.id for e in await webhooks.subscribed(EndpointKind.WEBHOOK, OPENED)] == [on]
        assert [e.id for e in await webhooks.subscribed(EndpointKind.CHAT, OPENED)] == [room]
        assert [e.id for e in (await webhooks.list()).items] == [room, off, on]
        with pytest.raises(NotFound):
            await webhooks.get(gone)
        (told,) = await NotificationRepository(session).notify(
            NewNotification(NotificationKind.HANDOFF_OPENED, "hnd_1", NOW)
        )
        assert (await DeliveryRepository(session).get(told)).endpoint_id == room


async def test_of_fifty_people_redriving_at_once_one_does(database: Database) -> None:
    delivery_id = await dead_letter(database)

    async def redrive(n: int) -> Settled:
        async with database.transaction(ACME) as session:
            return await DeadLetterRepository(session).redrive(delivery_id, f"operator_{n}", NOW)

    answers = await asyncio.gather(*(redrive(n) for n in range(50)), return_exceptions=True)
    (winner,) = [a for a in answers if isinstance(a, Settled)]
    losers = [a for a in answers if isinstance(a, Conflict)]
    assert len(losers) == 49
    assert winner.first
    assert {(e.details["by"], e.details["at"]) for e in losers} == {(winner.record.decided_by, NOW)}
    assert (winner.record.round, winner.record.status, winner.record.told_at) == (1, DeliveryStatus.PENDING, None)
    by = winner.record.decided_by or ""
    again = await redrive(int(by.removeprefix("operator_")))
    assert (again.first, again.record) == (False, winner.record)


async def test_redriving_and_discarding_exclude_each_other(database: Database) -> None:
    for kind in EventType:
        delivery_id = await dead_letter(database, kind)

        async def redrive(delivery_id: DeliveryId = delivery_id) -> None:
            async with database.transaction(ACME) as session:
                await DeadLetterRepository(session).redrive(delivery_id, "ana", NOW, Correction(body="other"))

        async def discard(delivery_id: DeliveryId = delivery_id) -> None:
            async with database.transaction(ACME) as session:
                await DeadLetterRepository(session).discard(delivery_id, "note", "ben", NOW)

        results = await asyncio.gather(redrive(), discard(), return_exceptions=True)
        assert [type(r) for r in results if r is not None] == [Conflict]
        async with database.transaction(ACME) as session:
            delivery = await DeliveryRepository(session).get(delivery_id)
            kinds = [e.status for e in await DeliveryRepository(session).events(delivery_id)]
        assert kinds == ["dead_letter", delivery.decision]


async def test_what_is_no_dead_letter_cannot_be_redriven_or_discarded(database: Database) -> None:
    async with database.transaction(ACME) as session:
        await endpoint(session)
        (delivery_id,) = await EventRepository(session).record(DomainEvent(OPENED, "hnd_1", NOW))
        letters = DeadLetterRepository(session)
        for question in (letters.redrive(delivery_id, "ana", NOW), letters.discard(delivery_id, "n", "ana", NOW)):
            with pytest.raises(Conflict):
                await question
        with pytest.raises(NotFound):
            await letters.redrive(DeliveryId("dlv_none"), "ana", NOW)


async def test_who_was_not_told_is_found_after_a_moment_and_not_before(database: Database) -> None:
    delivery_id = await dead_letter(database)
    assert [u.delivery_id for u in await database.untold_deliveries()] == [delivery_id]
    async with database.transaction(ACME) as session:
        deliveries = DeliveryRepository(session)
        await deliveries.tell_later(delivery_id, NOW + timedelta(days=36_500))
    assert await database.untold_deliveries() == ()
    async with database.transaction(ACME) as session:
        await DeadLetterRepository(session).redrive(delivery_id, "ana", NOW)
    (untold,) = await database.untold_deliveries()
    assert untold.organisation == ACME
    async with database.transaction(ACME) as session:
        await DeliveryRepository(session).mark_told(delivery_id, NOW)
    assert await database.untold_deliveries() == ()


async def test_another_organisation_sees_and_changes_nothing_of_it(database: Database) -> None:
    """T-3"""
    delivery_id = await dead_letter(database)
    async with database.transaction(ACME) as session:
        (endpoint_id,) = [e.id for e in (await WebhookRepository(session).list()).items]
        await NotificationRepository(session).notify(NewNotification(NotificationKind.PING, "whk_1", NOW))
        (note,) = (await NotificationRepository(session).list("ana")).items
    async with database.transaction(GLOBEX) as session:
        assert (await WebhookRepository(session).list()).items == ()
        assert (await NotificationRepository(session).list("ana")).items == ()
        assert not await WebhookRepository(session).disable(endpoint_id, "gone", NOW)
        for question in (
            DeliveryRepository(session).get(delivery_id, lock=True),
            DeadLetterRepository(session).redrive(delivery_id, "eve", NOW),
            WebhookRepository(session).change(endpoint_id, NOW, enabled=False),
            NotificationRepository(session).mark_read(note.id, "eve", NOW),
        ):
            with pytest.raises(NotFound):
                await question


async def test_the_last_word_about_a_channel_counts(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        consents = ConsentRepository(session)
        assert await consents.current(ANNA, "email") is None
        for n, state in enumerate((Consent.GRANTED, Consent.BLOCKED, Consent.WITHDRAWN)):
            await consents.say(ANNA, "email", state, "olga", NOW + timedelta(seconds=n))
            assert await consents.current(ANNA, "email") is state
        assert await consents.current(ANNA, "sms") is None
