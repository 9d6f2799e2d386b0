"""Counting: every fact once, in the hour it happened, whoever counts, however often, and whenever somebody looks."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from bench.dashboard import fill
from domain.clock import ClockKind
from domain.dashboard import Dashboard, Window
from domain.decision import Decision, Issue, Outcome, Reason
from domain.delivery import Failure, FailureKind, Receipt
from domain.handoff import HandoffDecision
from domain.interaction import EffectState, InteractionStatus
from domain.sla import DueStep, SlaAction, SlaPolicy, Step
from domain.values import DecisionId, Intent, InteractionId, Mode, OrganisationId
from schema.clocks import ClockRepository
from schema.dashboards import COUNTED, WAITING, DashboardRepository
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.delivery_attempts import AttemptRepository
from schema.effects import Dispatched, EffectRepository
from schema.handoff_claims import HandoffClaims
from schema.handoffs import HandoffRepository
from schema.interactions import InteractionRepository
from schema.rollups import SETTLED, RollupRepository, count_replay
from schema.session import Database, Session
from schema.statements import driver_statement
from tests.postgres import PostgresServer
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, customer, decided, handoff, interaction, mail

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LATER = NOW + DAY


async def roll(db: Database, at: datetime, organisation: OrganisationId = ACME) -> None:
    """Everything up to now, as a run of the schedule does."""
    done = False
    while not done:
        async with db.transaction(organisation) as session:
            done = (await RollupRepository(session).roll(at)).done


async def shown(
    db: Database, now: datetime, organisation: OrganisationId = ACME, *, begin: datetime | None = None
) -> Dashboard:
    window = Window.around(begin or NOW - DAY, now + HOUR)
    async with db.transaction(organisation, frozen=True) as session:
        return await DashboardRepository(session).show(window, now)


async def answered(
    session: Session,
    at: datetime,
    outcome: Outcome = Outcome.PROCEED,
    *,
    took: timedelta = timedelta(seconds=2),
    mode: Mode = Mode.LIVE,
    confidence: float = 0.95,
) -> InteractionId:
    interaction_id = await interaction(session, mode=mode, created_at=at - took)
    waits = outcome is Outcome.ASK_HUMAN
    await InteractionRepository(session).answer(
        interaction_id,
        status=InteractionStatus.WAITING_FOR_HUMAN if waits else InteractionStatus.COMPLETED,
        intent=Intent.REFUND_REQUEST,
        confidence=confidence,
        outcome=outcome,
        reply="Done.",
        answer={"reply": "Done."},
        at=at,
        ends=mode is Mode.SHADOW,
    )
    return interaction_id


async def a_bit_of_everything(db: Database) -> None:
    """Facts of every kind, in several hours after `NOW`."""
    await customer(db)
    async with db.transaction(ACME) as session:
        await answered(session, NOW)
        await answered(session, NOW + HOUR, took=timedelta(minutes=2), confidence=0.4)
        await answered(session, NOW, mode=Mode.SHADOW)
        await answered(session, NOW, Outcome.ASK_HUMAN, mode=Mode.SHADOW)
        asked = await answered(session, NOW, Outcome.ASK_HUMAN)
        await InteractionRepository(session).finish(asked, InteractionStatus.COMPLETED, "By hand.", NOW + 5 * HOUR)
        await answered(session, NOW, Outcome.ASK_HUMAN)
        issue = Issue(code="amount_not_backed", check="amounts")
        reason = Reason(code="over_auto_limit", rule="refund")
        await decided(session, Decision(outcome=Outcome.ASK_HUMAN, reasons=(reason,), issues=(issue, issue)))
        ids = await decided(session)
        await _effects(session, ids)
        await _handoffs(session)
        await _deliveries(session, ids[0])


async def _effects(session: Session, ids: tuple[InteractionId, DecisionId]) -> None:
    effects = EffectRepository(session)
    sure, unsure = await effects.reserve([mail(ids), mail(ids, 1)])
    await effects.settle_atomic(sure, EffectState.CONFIRMED, at=NOW)
    begun = await effects.dispatch(unsure, at=NOW, idempotent=False)
    assert isinstance(begun, Dispatched)
    await effects.settle(unsure, begun.attempt, EffectState.UNKNOWN, at=NOW + HOUR)


async def _handoffs(session: Session) -> None:
    """One claimed twice, late and decided; one nobody touched."""
    claims, handoffs = HandoffClaims(session), HandoffRepository(session)
    on_the_table = await handoff(session)
    await claims.claim(on_the_table.id, "ana", NOW + timedelta(minutes=3))
    await claims.release(on_the_table.id, "ana", NOW + timedelta(minutes=4))
    await claims.claim(on_the_table.id, "bob", NOW + timedelta(minutes=90))
    step = Step(at=1, do=(SlaAction.BREACH,))
    due = DueStep(clock=ClockKind.RESOLUTION, step=step, at=NOW + timedelta(minutes=50))
    await ClockRepository(session, SlaPolicy.shipped()).breach(on_the_table, due, NOW + HOUR)
    await handoffs.decide(
        on_the_table.id, HandoffDecision.APPROVED, by="bob", at=NOW + timedelta(minutes=100), digest="digest"
    )
    await handoff(session)


async def _deliveries(session: Session, interaction_id: InteractionId) -> None:
    """A reply that went out with the answer, a mail that arrived the second time, one that never will."""
    deliveries, attempts = DeliveryRepository(session), AttemptRepository(session)
    failure = Failure(kind=FailureKind.TRANSIENT, code="smtp_451")
    plain = NewDelivery(
        interaction_id=interaction_id, customer_id=ANNA, purpose="answer", channel="chat", body="Hello.", at=NOW
    )
    await deliveries.add(replace(plain, status=DeliveryStatus.DELIVERED))
    arrives = await deliveries.add(replace(plain, channel="email"))
    took = timedelta(seconds=1)
    first = await attempts.begin(await deliveries.get(arrives, lock=True), NOW)
    await attempts.retry(arrives, first, failure, NOW, took, HOUR)
    second = await attempts.begin(await deliveries.get(arrives, lock=True), NOW + HOUR)
    await attempts.deliver(arrives, second, Receipt(response_status=250), NOW + HOUR, took)
    dies = await deliveries.add(replace(plain, channel="email", purpose="final_reply"))
    await attempts.refuse(dies, "no_address", "operators", NOW + 2 * HOUR)


def check(found: Dashboard, *, by_the_day: bool = False) -> None:
    """Everything of `a_bit_of_everything`, once."""
    interactions = found.interactions
    assert (interactions.received, interactions.answered, interactions.shadow) == (8, 4, 2)
    assert interactions.outcomes == {"ask_human": 2, "proceed": 2}
    assert interactions.intents == {"refund_request": 4}
    assert interactions.finished == {"completed": 3}
    assert interactions.escalation_rate == 0.5
    assert found.times["answer"].count == 4
    assert found.times["answer"].mean == pytest.approx((3 * 2 + 120) / 4)
    assert found.times["resolution"].mean == pytest.approx((2 + 120 + 2 + 5 * 3_600) / 3)
    assert (found.times["claim"].count, found.times["claim"].mean) == (1, 180)
    assert (found.times["response"].count, found.times["response"].mean) == (1, 6_000)
    assert found.times["decision"].mean == 6_000
    assert [bar.count for bar in found.confidence] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 3]
    assert found.unverified == {"amounts": 2}
    assert {(p.outcome, p.rule, p.code): p.count for p in found.policies} == {
        ("ask_human", "refund", "over_auto_limit"): 1,
        ("proceed", "none", "none"): 3,
    }
    assert (found.handoffs, found.reasons) == ({"approval": 2}, {"over_auto_limit": 2})
    assert found.decided == {"approval": {"approved": 1}}
    assert found.breaches == {"resolution": 1}
    assert found.effects == {"send_email": {"confirmed": 1, "dispatched": 1, "unknown": 1}}
    assert found.deliveries == {
        "chat": {"delivered": 1},
        "email": {"attempting": 2, "dead_letter": 1, "delivered": 1, "retry": 1},
    }
    assert {(b.what, b.state): b.count for b in found.backlog} == {
        ("interactions", "running"): 4,
        ("interactions", "waiting_for_human"): 1,
        ("handoffs", "approval"): 1,
        ("handoffs_overdue", "approval"): 1,
        ("deliveries", "dead_letter"): 1,
        ("effects", "unknown"): 1,
    }
    assert sum(point.count for point in found.series["received"]) == 8
    step = (NOW + HOUR).replace(hour=0) if by_the_day else NOW + HOUR
    assert [p.count for p in found.series["breaches"] if p.at == step] == [1]


async def test_every_fact_is_counted_once_before_anything_was_rolled_up(database: Database) -> None:
    await a_bit_of_everything(database)
    check(await shown(database, LATER))


async def test_a_dashboard_says_the_same_wherever_the_rollups_end(database: Database) -> None:
    """A run at any moment, repeated, several at once, with a clock behind: each fact still counts once."""
    await a_bit_of_everything(database)
    moments = [NOW + n * timedelta(minutes=17) for n in range(24)]
    random.Random(7).shuffle(moments)
    for moment in [*moments, LATER]:
        await asyncio.gather(*(roll(database, moment) for _ in range(2)))
        found = await shown(database, LATER)
        check(found)
    assert found.counted_until == LATER - SETTLED
    await roll(database, LATER + HOUR)
    check(await shown(database, LATER))


async def test_what_was_rolled_up_is_read_and_not_counted_again(
    postgres: PostgresServer, database: Database, database_url_of_test: str
) -> None:
    """Negative control of the above: rollups matter."""
    await a_bit_of_everything(database)
    await roll(database, LATER)
    with postgres.owner(database_url_of_test) as owner:
        owner.execute("UPDATE metric_hours SET count = count + 100 WHERE metric = 'received' AND label = 'live'")
    assert (await shown(database, LATER)).interactions.received > 100


async def test_a_long_window_is_added_up_from_days_and_says_the_same(
    postgres: PostgresServer, database: Database, database_url_of_test: str
) -> None:
    await a_bit_of_everything(database)
    for rolled in (NOW + HOUR, NOW + 6 * HOUR, LATER, LATER + 2 * DAY):
        await roll(database, rolled)
        for begin in (NOW - 30 * DAY, NOW - 90 * DAY):
            found = await shown(database, LATER, begin=begin)
            assert found.step_seconds == DAY.total_seconds()
            check(found, by_the_day=True)
    with postgres.owner(database_url_of_test) as owner:  # negative control: days are what was read
        owner.execute("UPDATE metric_days SET count = count + 100 WHERE metric = 'received' AND label = 'live'")
    assert (await shown(database, LATER, begin=NOW - 30 * DAY)).interactions.received > 100
    assert (await shown(database, LATER)).interactions.received == 8


async def test_an_interaction_that_ends_days_later_counts_in_the_hour_it_ends(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        asked = await answered(session, NOW, Outcome.ASK_HUMAN)
    await roll(database, NOW + 2 * HOUR)
    end = NOW + 9 * DAY
    async with database.transaction(ACME) as session:
        await InteractionRepository(session).finish(asked, InteractionStatus.COMPLETED, None, end)
    for at in (end + timedelta(minutes=1), end + HOUR):
        found = await shown(database, at, begin=end)
        assert (found.interactions.answered, found.interactions.finished) == (0, {"completed": 1})
        assert found.times["resolution"].mean == pytest.approx(9 * 86_400 + 2)
        await roll(database, at)


async def test_what_becomes_visible_late_is_counted_by_a_later_run(database: Database) -> None:
    """A transaction that takes its time writes an earlier moment; up to `LATE` it is found."""
    await customer(database)
    async with database.transaction(ACME) as session:
        await answered(session, NOW)
    await roll(database, NOW + timedelta(minutes=30))
    async with database.transaction(ACME) as session:
        await answered(session, NOW + timedelta(minutes=29), took=timedelta())
        await answered(session, NOW + timedelta(minutes=21), took=timedelta())
    await roll(database, NOW + timedelta(minutes=31))
    assert (await shown(database, NOW + timedelta(minutes=31))).interactions.answered == 3


async def test_nothing_is_rolled_up_or_shown_for_somebody_else(database: Database) -> None:
    await a_bit_of_everything(database)
    await customer(database, organisation=GLOBEX)
    await roll(database, LATER)
    await roll(database, LATER, GLOBEX)
    theirs = await shown(database, LATER, GLOBEX)
    assert (theirs.interactions.received, theirs.backlog, theirs.effects) == (0, (), {})
    assert await database.organisations_with_facts(after="") == (ACME,)
    assert await database.organisations_with_facts(after=ACME) == ()


async def test_repeats_are_counted_by_many_connections_at_once(database: Database) -> None:
    await asyncio.gather(*(count_replay(database, ACME, "live", NOW) for _ in range(40)))
    await roll(database, LATER)
    found = await shown(database, LATER)
    assert found.interactions.replays == 40
    assert [p.count for p in found.series["replays"] if p.at == NOW] == [40]
    assert found.interactions.replay_rate == 1


def nodes(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


LARGE = ("interactions", "decisions", "handoffs", "handoff_events", "effects", "effect_events", "deliveries",
         "delivery_events", "metric_hours")  # fmt: skip


async def read_whole(db: Database, statement: TextClause, **values: Any) -> set[str]:
    """Tables a statement reads from end to end."""
    async with db.transaction(ACME) as session:
        known = driver_statement(statement)
        words, bound = known.sql, known.bind({**values, "organisation": ACME})
        (row,) = await (await session.driver.execute(b"EXPLAIN (FORMAT JSON) " + words, bound)).fetchall()
    return {n["Relation Name"] for n in nodes(row[0][0]["Plan"]) if n["Node Type"] == "Seq Scan"} & {*LARGE}


async def test_no_question_reads_a_whole_table(
    postgres: PostgresServer, database: Database, database_url_of_test: str
) -> None:
    with postgres.owner(database_url_of_test) as owner:
        fill(owner, ACME, 5_000, NOW)
    until = NOW + timedelta(minutes=1)
    await roll(database, NOW)
    window = {"begin": NOW - DAY, "end": NOW + HOUR, "rolled": NOW, "since": NOW, "until": until, "step": HOUR}
    assert await read_whole(database, COUNTED, **window, days_end=NOW - DAY) == set()
    assert await read_whole(database, WAITING, now=NOW) == set()
    assert await read_whole(database, text("SELECT count(*) FROM interactions WHERE mode = 'live'")) == {"interactions"}
