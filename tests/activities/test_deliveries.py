"""One step of a delivery at a time: what is on record before and after, whatever the other side does."""

import asyncio
import contextlib
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from temporalio.testing import ActivityEnvironment

from activities.deliveries import PER_RECEIVER
from adapters.signing import SignatureInvalid, verify
from domain.consent import Consent
from domain.delivery import DeliveryRef, DeliveryStatus, SendResult
from domain.errors import ToolFailure, ToolOutcomeUnknown
from domain.interaction import EffectState
from domain.ports import Ports
from domain.tools import TOOLS
from domain.tools.send_email import send_email
from domain.tools.tool import AnyTool, ToolCall
from domain.values import Json, Value
from domain.webhook import EndpointKind, EventType, secret_context
from schema.consents import ConsentRepository
from schema.dead_letters import Correction, DeadLetterRepository
from schema.deliveries import DeliveryRepository
from schema.delivery_attempts import AttemptRepository
from schema.effects import EffectRepository
from schema.notifications import NotificationRepository
from schema.session import Database
from schema.webhook_secrets import WebhookSecretRepository
from schema.webhooks import WebhookRepository
from tests.outgoing import BOX, SECRET, Outgoing, outgoing, wall_clock
from tests.receiver import Heard, receiver
from tests.schema.given import ACME, ANNA

PENDING, DELIVERED, DEAD = DeliveryStatus.PENDING, DeliveryStatus.DELIVERED, DeliveryStatus.DEAD_LETTER


@pytest.fixture
async def post(database: Database) -> AsyncIterator[Outgoing]:
    async with outgoing(database) as office:
        yield office


async def redrive(post: Outgoing, delivery_id: object, correction: Correction | None = None) -> None:
    async with post.db.transaction(ACME) as session:
        await DeadLetterRepository(session).redrive(delivery_id, "olga", wall_clock(), correction)  # type: ignore[arg-type]


class TestWebhooks:
    async def test_W3_every_attempt_carries_the_same_id_and_a_fresh_stamp(self, post: Outgoing) -> None:
        await post.endpoint()
        (delivery_id,) = await post.event()
        post.hook.faults += ["500 Oops", "302 Found", "drop"]
        waits = [(await post.send(delivery_id)).wait for _ in range(3)]
        assert (await post.send(delivery_id)).status is DELIVERED
        assert [w.total_seconds() for w in waits if w] == [5, 30, 120]
        assert len({h.id for h in post.hook.heard}) == 1
        assert len({h.body for h in post.hook.heard}) == 1
        for heard in post.hook.heard:
            assert verify([SECRET], heard.headers, heard.body, datetime.now(UTC)) == heard.id
        told = [(e.status, e.attempt, e.code, e.response_status) for e in await post.events(delivery_id)]
        assert told == [
            ("attempting", 1, None, None), ("retry", 1, "http_500", 500),
            ("attempting", 2, None, None), ("retry", 2, "http_302", 302),
            ("attempting", 3, None, None), ("retry", 3, "connection_lost", None),
            ("attempting", 4, None, None), ("delivered", 4, None, 204),
        ]  # fmt: skip

    async def test_W3_a_receiver_that_asks_for_time_gets_it(self, post: Outgoing) -> None:
        await post.endpoint()
        (delivery_id,) = await post.event()
        post.hook.faults += [
            "429 Slow\r\nRetry-After: 90",
            "503 Away\r\nRetry-After: 31536000",
            "503 Away\r\nRetry-After: 1",
        ]
        waits = [(await post.send(delivery_id)).wait for _ in range(3)]
        assert waits == [timedelta(seconds=90), timedelta(hours=24), timedelta(seconds=120)]
        delivery = await post.get(delivery_id)
        last = (await post.events(delivery_id))[-1]
        assert delivery.next_attempt_at == last.at + timedelta(seconds=120)

    async def test_after_its_last_attempt_it_waits_for_a_person_and_a_redrive_begins_anew(self, post: Outgoing) -> None:
        endpoint_id = await post.endpoint()
        (delivery_id,) = await post.event()
        post.hook.always = "500 Oops"
        results = [await post.send(delivery_id) for _ in range(8)]
        assert [r.status for r in results] == [PENDING] * 7 + [DEAD]
        dead = await post.get(delivery_id)
        assert (dead.reason, dead.owner) == ("attempts_used_up", "builders")
        assert (await post.send(delivery_id)).status is DEAD
        assert len(post.hook.heard) == 8
        async with post.db.transaction(ACME) as session:
            notes = (await NotificationRepository(session).list("olga")).items
        assert [(n.kind, n.subject) for n in notes] == [("delivery.dead_letter", endpoint_id)]

        await redrive(post, delivery_id)
        assert (await post.send(delivery_id)).wait == timedelta(seconds=5)
        post.hook.always = None
        assert (await post.send(delivery_id)).status is DELIVERED
        assert len({h.id for h in post.hook.heard}) == 1

    async def test_W3_410_switches_the_endpoint_off_for_everything_that_waits(self, post: Outgoing) -> None:
        endpoint_id = await post.endpoint()
        (first,), (second,) = await post.event(), await post.event()
        post.hook.faults.append("410 Gone")
        assert (await post.send(first)).code == "gone"
        assert (await post.send(second)).code == "endpoint_disabled"
        assert len(post.hook.heard) == 1
        assert await post.event() == ()
        async with post.db.transaction(ACME) as session:
            assert (await WebhookRepository(session).get(endpoint_id)).disabled_reason == "gone"

    async def test_events_of_one_thing_are_numbered_without_gaps(self, post: Outgoing) -> None:
        await post.endpoint()
        sent = await asyncio.gather(*(post.event(subject="int_7") for _ in range(20)))
        for (delivery_id,) in sent:
            await post.send(delivery_id)
        import json

        numbers = [json.loads(h.body)["data"]["sequence"] for h in post.hook.heard]
        assert sorted(numbers) == list(range(1, 21))

    async def test_an_old_secret_signs_beside_the_new_one_until_it_expires(self, post: Outgoing) -> None:
        endpoint_id, new, at = await post.endpoint(), b"n" * 32, wall_clock()
        async with post.db.transaction(ACME) as session:
            secrets = WebhookSecretRepository(session)
            sealed = BOX.seal(new, secret_context(ACME, "signing", "sec_new"))
            await secrets.keep(endpoint_id, "signing", "sec_new", sealed, at)
            await secrets.expire_others(endpoint_id, "signing", "sec_new", at + timedelta(hours=24))

        async def signers() -> list[bytes]:
            (delivery_id,) = await post.event()
            assert (await post.send(delivery_id)).status is DELIVERED
            heard = post.hook.heard[-1]
            return [s for s in (SECRET, new) if _verifies(s, heard)]

        assert await signers() == [SECRET, new]
        async with post.db.transaction(ACME) as session:
            await WebhookSecretRepository(session).expire_others(endpoint_id, "signing", "sec_new", wall_clock())
        assert await signers() == [new]

    async def test_without_a_secret_nothing_leaves_unsigned(self, post: Outgoing) -> None:
        endpoint_id = await post.endpoint()
        async with post.db.transaction(ACME) as session:
            await WebhookSecretRepository(session).expire_others(endpoint_id, "signing", "none", wall_clock())
        (delivery_id,) = await post.event()
        result = await post.send(delivery_id)
        assert (result.status, result.code) == (DEAD, "secret_missing")
        assert post.hook.connections == 0

    async def test_W4_a_receiver_that_hangs_holds_four_places_and_no_more(self, database: Database) -> None:
        async with outgoing(database, patience=timedelta(seconds=2)) as post:
            await post.endpoint()
            ids = [(await post.event())[0] for _ in range(10)]
            post.hook.always = "hang"
            began = time.monotonic()
            results = await asyncio.gather(*(post.send(i) for i in ids))
            codes = Counter(r.code for r in results)
            assert codes == {"busy": 6, "timed_out": 4}
            assert post.hook.connections == 4
            assert time.monotonic() - began < 6
            busy = next(r for r in results if r.is_busy)
            assert (busy.attempts, busy.status) == (0, PENDING)
            later = [(await post.send(ids[0], busy=n)).wait for n in (0,)]
            assert later  # the places are free again: this was an attempt

    async def test_W4_one_of_twenty_that_hangs_slows_nobody_else_down(self, database: Database) -> None:
        """The other 19 are served at the pace they have without it, while its own events come back later."""
        async with outgoing(database, patience=timedelta(seconds=4)) as post, contextlib.AsyncExitStack() as stack:
            kinds = [EventType.HANDOFF_OPENED, EventType.PING]
            well = [await stack.enter_async_context(receiver()) for _ in range(19)]
            for one in well:
                await post.endpoint(kinds[1], url=one.url)
            post.hook.always = "hang"
            await post.endpoint(kinds[0])
            alone = [await _timed(post, i) for _ in range(3) for i in await post.event(kinds[1])]
            stuck = [(await post.event(kinds[0]))[0] for _ in range(20)]
            hanging = [asyncio.create_task(post.send(i)) for i in stuck]
            await post.hook.until(PER_RECEIVER)
            beside = [await _timed(post, i) for _ in range(3) for i in await post.event(kinds[1])]
            assert not any(task.done() and not task.result().is_busy for task in hanging), "it hung all the time"
            results = await asyncio.gather(*hanging)
        assert [len(one.heard) for one in well] == [6] * 19
        assert sum(r.is_busy for r in results) == 20 - PER_RECEIVER
        p95 = [statistics.quantiles(times, n=20)[-1] for times in (alone, beside)]
        assert p95[1] <= max(1.5 * p95[0], 0.25), p95

    async def test_a_chat_room_is_posted_to_at_its_sealed_address(self, post: Outgoing) -> None:
        await post.endpoint(EventType.HANDOFF_BREACHED, kind=EndpointKind.CHAT, url=post.hook.url + "/secret")
        from domain.webhook import NewNotification, NotificationKind

        note = NewNotification(NotificationKind.HANDOFF_BREACHED, "hnd_1", wall_clock(), {"priority": "high"})
        async with post.db.transaction(ACME) as session:
            (delivery_id,) = await NotificationRepository(session).notify(note)
            assert await NotificationRepository(session).notify(note) == (delivery_id,)
        assert (await post.send(delivery_id)).status is DELIVERED
        (heard,) = post.hook.heard
        assert heard.path == "/hook/secret"
        assert heard.body == b'{"text":"A handoff passed its due time: hnd_1 (priority high)"}'


async def _timed(post: Outgoing, delivery_id: object) -> float:
    began = time.monotonic()
    assert (await post.send(delivery_id)).status is DELIVERED  # type: ignore[arg-type]
    return time.monotonic() - began


def _verifies(secret: bytes, heard: Heard) -> bool:
    try:
        return verify([secret], heard.headers, heard.body, datetime.now(UTC)) == heard.id
    except SignatureInvalid:
        return False


class TestMail:
    async def test_R9_a_greylisted_mail_arrives_later_once_and_its_effect_is_confirmed(self, post: Outgoing) -> None:
        delivery_id = await post.reply()
        post.mails.faults["rcpt"] = ["450 greylisted", "451 still greylisted"]
        results = [await post.send(delivery_id) for _ in range(3)]
        assert [(r.status, r.code) for r in results] == [
            (PENDING, "smtp_450"), (PENDING, "smtp_451"), (DELIVERED, None),
        ]  # fmt: skip
        (arrived,) = post.mails.accepted
        delivery, standing = await post.get(delivery_id), await post.effect(delivery_id)
        assert arrived["Message-ID"] == delivery.message_id
        assert standing.state is EffectState.CONFIRMED
        assert standing.result is not None
        assert standing.result["messageId"] == delivery.message_id

    async def test_R9_a_5xx_is_never_tried_again_and_a_person_may_correct_the_address(self, post: Outgoing) -> None:
        delivery_id = await post.reply()
        post.mails.faults["rcpt"] = ["550 no such user"]
        dead = await post.send(delivery_id)
        assert (dead.status, dead.code) == (DEAD, "smtp_550")
        assert (await post.send(delivery_id)).status is DEAD
        assert post.mails.accepted == []
        assert (await post.effect(delivery_id)).state is EffectState.RESERVED, "it certainly was not sent"
        await redrive(post, delivery_id, Correction(recipient="anna.new@example.com"))
        assert (await post.send(delivery_id)).status is DELIVERED
        (arrived,) = post.mails.accepted
        delivery = await post.get(delivery_id)
        assert (arrived["To"], arrived["Message-ID"]) == ("anna.new@example.com", delivery.message_id)
        assert (delivery.version, delivery.round) == (2, 1)
        assert "Your money is on its way." in arrived.get_content()
        assert (await post.effect(delivery_id)).state is EffectState.CONFIRMED

    async def test_a_corrected_text_is_a_new_version_and_the_first_one_stays(self, post: Outgoing) -> None:
        delivery_id = await post.reply()
        for n, text in enumerate(("Second words.", "Third words.")):
            post.mails.faults["dot"] = ["554 no"]
            assert (await post.send(delivery_id)).code == "smtp_554"
            await redrive(post, delivery_id, Correction(body=text, recipient="a@example.com" if n == 0 else None))
        assert (await post.send(delivery_id)).status is DELIVERED
        (arrived,) = post.mails.accepted
        assert "Third words." in arrived.get_content()
        assert arrived["To"] == "a@example.com", "a correction stays until it is corrected"
        delivery = await post.get(delivery_id)
        assert (delivery.body, delivery.version) == ("Your money is on its way.", 3)

    async def test_R9_an_answer_lost_after_250_is_repeated_under_the_same_message_id(self, post: Outgoing) -> None:
        delivery_id = await post.reply()
        post.mails.faults["dot"] = ["drop"]
        lost = await post.send(delivery_id)
        assert (lost.status, lost.code) == (PENDING, "tool_outcome_unknown")
        assert (await post.effect(delivery_id)).state is EffectState.DISPATCHED
        assert (await post.send(delivery_id)).status is DELIVERED
        assert len(post.mails.accepted) == 2
        assert len({m["Message-ID"] for m in post.mails.accepted}) == 1

    async def test_R9_over_300_mails_with_random_faults_one_message_id_each(self, post: Outgoing) -> None:
        """Duplicates at most one per lost 250, never after a 4xx or 5xx; what was refused for good is not repeated."""
        dice, lost, refused = Random(9), 0, 0
        for _ in range(300):
            delivery_id = await post.reply()
            chosen = dice.choices(
                ["", "rcpt 450 grey", "dot 451 later", "dot drop", "data 421 busy", "rcpt 550 no"], [4, 1, 1, 1, 1, 1]
            )[0]
            step, _, answer = chosen.partition(" ")
            if step:
                post.mails.faults[step] = [answer]
            lost += answer == "drop"
            result = await post.send(delivery_id)
            if chosen.startswith("rcpt 550"):
                refused += 1
                assert result.status is DEAD
                continue
            if result.status is PENDING:
                result = await post.send(delivery_id)
            assert result.status is DELIVERED
        per_id = Counter(m["Message-ID"] for m in post.mails.accepted)
        assert len(per_id) == 300 - refused
        assert sum(per_id.values()) - len(per_id) <= lost
        assert lost > 10
        assert refused > 10

    async def test_mails_of_one_conversation_are_one_thread(self, post: Outgoing) -> None:
        for _ in range(3):
            assert (await post.send(await post.reply())).status is DELIVERED
        first, second, third = post.mails.accepted
        assert first["In-Reply-To"] is None
        assert second["In-Reply-To"] == first["Message-ID"]
        assert third["References"].split() == [first["Message-ID"], second["Message-ID"]]

    async def test_a_bounce_turns_a_delivered_mail_into_a_dead_letter(self, post: Outgoing) -> None:
        delivery_id = await post.reply()
        await post.send(delivery_id)
        message_id = (await post.get(delivery_id)).message_id
        assert message_id is not None
        async with post.db.transaction(ACME) as session:
            repository = DeliveryRepository(session)
            assert await repository.bounced("<other@x>", "dsn_5_1_1", "operators", wall_clock()) is None
            found = await repository.bounced(message_id, "dsn_5_1_1", "operators", wall_clock())
            assert await repository.bounced(message_id, "dsn_5_1_1", "operators", wall_clock()) is None
        assert found is not None
        assert (found.status, found.reason, found.delivered_at, found.told_at) == (DEAD, "bounced", None, None)
        assert (await post.kinds(delivery_id))[-1] == "bounced"
        assert (await post.send(delivery_id)).code == "bounced", "its workflow looks, and tells operators"
        async with post.db.transaction(ACME) as session:
            notes = (await NotificationRepository(session).list("olga")).items
        assert [n.subject for n in notes] == [delivery_id]
        await redrive(post, delivery_id, Correction(recipient="anna.new@example.com"))
        assert (await post.send(delivery_id)).status is DELIVERED
        assert [m["To"] for m in post.mails.accepted][1:] == ["anna.new@example.com"], "redriven means sent again"
        assert (await post.send(delivery_id)).status is DELIVERED
        assert len({m["Message-ID"] for m in post.mails.accepted}) == 1
        assert len(post.mails.accepted) == 2
        assert (await post.effect(delivery_id)).state is EffectState.CONFIRMED

    @pytest.mark.parametrize(
        ("may_have_happened", "closed"), [(True, EffectState.UNKNOWN), (False, EffectState.FAILED)]
    )
    async def test_a_refusal_does_not_forget_an_attempt_that_may_have_happened(
        self, post: Outgoing, may_have_happened: bool, closed: EffectState
    ) -> None:
        delivery_id = await post.reply()
        if may_have_happened:  # a worker died between its attempt and the word of it
            async with post.db.transaction(ACME) as session:
                delivery = await DeliveryRepository(session).get(delivery_id, lock=True)
                await AttemptRepository(session).begin(delivery, wall_clock())
                assert delivery.effect_id is not None
                await EffectRepository(session).dispatch(delivery.effect_id, idempotent=True, at=wall_clock())
        post.mails.faults["rcpt"] = ["550 5.1.1 No such user"]
        assert (await post.send(delivery_id)).status is DEAD
        standing = await post.effect(delivery_id)
        assert standing.state is (EffectState.DISPATCHED if may_have_happened else EffectState.RESERVED)
        async with post.db.transaction(ACME) as session:
            surely_not = standing.state is EffectState.RESERVED  # as `discard` decides it
            state = EffectState.FAILED if surely_not else EffectState.UNKNOWN
            await EffectRepository(session).close(standing, state, "discarded", wall_clock())
        assert (await post.effect(delivery_id)).state is closed

    async def test_our_own_idea_needs_a_yes_and_waits_for_the_morning(self, database: Database) -> None:
        night = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
        async with outgoing(database, now=lambda: night) as post:
            refused = await post.reminder()
            assert (await post.send(refused)).code == "consent_missing"
            async with database.transaction(ACME) as session:
                await ConsentRepository(session).say(ANNA, "email", Consent.GRANTED, "olga", night)
            held = await post.reminder()
            result = await post.send(held)
            assert (result.status, result.code, result.wait) == (PENDING, "quiet_hours", timedelta(hours=9))
            assert (await post.get(held)).attempts == 0
            answer = await post.send(await post.reply())
            assert answer.status is DELIVERED, "an answer is not held"
            assert len(post.mails.accepted) == 1

    async def test_who_said_no_to_everything_gets_not_even_an_answer(self, post: Outgoing) -> None:
        async with post.db.transaction(ACME) as session:
            await ConsentRepository(session).say(ANNA, "email", Consent.BLOCKED, "olga", wall_clock())
        result = await post.send(await post.reply())
        assert (result.status, result.code) == (DEAD, "channel_blocked")
        assert post.mails.seen == []


async def _unsure(arguments: Value, call: ToolCall, ports: Ports) -> Json:
    ports.extra  # noqa: B018 - it speaks to nobody
    CALLS.append(call.key)
    if FAILURES:
        raise FAILURES.pop(0)
    return {"sent": True}


CALLS: list[str] = []
FAILURES: list[ToolFailure] = []
UNSURE: dict[str, AnyTool] = {
    **TOOLS,
    "send_letter": replace(send_email, name="send_letter", run=_unsure, idempotent=False),
}


class TestWhatRecognisesNoRepeats:
    """An outlet whose second call would be a second letter."""

    @pytest.fixture
    async def post(self, database: Database) -> AsyncIterator[Outgoing]:
        CALLS.clear()
        FAILURES.clear()
        async with outgoing(database, tools=UNSURE) as office:
            yield office

    async def test_what_may_have_arrived_waits_for_a_person_and_is_not_repeated(self, post: Outgoing) -> None:
        delivery_id = await post.reply(tool="send_letter")
        FAILURES.append(ToolOutcomeUnknown("the line went dead"))
        dead = await post.send(delivery_id)
        assert (dead.status, dead.code) == (DEAD, "outcome_unknown")
        assert (await post.effect(delivery_id)).state is EffectState.UNKNOWN
        for _ in range(3):
            assert (await post.send(delivery_id)).status is DEAD
        assert len(CALLS) == 1
        await redrive(post, delivery_id)  # a person takes it upon themselves
        assert (await post.send(delivery_id)).status is DELIVERED
        assert len(CALLS) == 2
        assert len(set(CALLS)) == 1, "under the same key"

    async def test_an_attempt_whose_worker_died_is_not_repeated(self, post: Outgoing) -> None:
        delivery_id = await post.reply(tool="send_letter")
        async with post.db.transaction(ACME) as session:
            delivery = await DeliveryRepository(session).get(delivery_id, lock=True)
            await AttemptRepository(session).begin(delivery, wall_clock())
        dead = await post.send(delivery_id)
        assert (dead.status, dead.code, CALLS) == (DEAD, "outcome_unknown", [])
        assert (await post.effect(delivery_id)).state is EffectState.UNKNOWN

    async def test_negative_control_what_recognises_repeats_is_sent_again(self, post: Outgoing) -> None:
        delivery_id = await post.reply()
        async with post.db.transaction(ACME) as session:
            delivery = await DeliveryRepository(session).get(delivery_id, lock=True)
            await AttemptRepository(session).begin(delivery, wall_clock())
        assert (await post.send(delivery_id)).status is DELIVERED
        assert await post.kinds(delivery_id) == ["attempting", "lost", "attempting", "delivered"]


class TestFencing:
    async def test_an_attempt_that_was_overtaken_changes_nothing(self, post: Outgoing) -> None:
        await post.endpoint()
        (delivery_id,) = await post.event()
        post.hook.always = "hang"
        slow = asyncio.create_task(post.send(delivery_id))
        await post.hook.until(1)
        post.hook.always = None
        assert (await post.send(delivery_id)).status is DELIVERED
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        async with post.db.transaction(ACME) as session:
            from domain.delivery import Failure

            late = await AttemptRepository(session).retry(
                delivery_id, 1, Failure(), wall_clock(), timedelta(0), timedelta(hours=1)
            )
        assert not late
        assert (await post.get(delivery_id)).status is DELIVERED
        assert (await post.kinds(delivery_id))[-1] == "late"

    async def test_giving_up_says_whether_it_may_have_arrived(self, post: Outgoing) -> None:
        await post.endpoint()
        (first,), (second,) = await post.event(), await post.event()
        async with post.db.transaction(ACME) as session:
            delivery = await DeliveryRepository(session).get(second, lock=True)
            await AttemptRepository(session).begin(delivery, wall_clock())

        async def give_up(delivery_id: object) -> SendResult:
            ref = DeliveryRef.model_validate({"organisation": ACME, "delivery_id": delivery_id})
            return await ActivityEnvironment().run(post.activities.give_up, ref)

        assert (await give_up(first)).code == "internal"
        assert (await give_up(second)).code == "outcome_unknown"
        assert (await give_up(second)).status is DEAD
