"""The handoff's clock, in skipped time: hours pass in milliseconds."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from activities.clocks import ClockActivities
from adapters.failpoints import NoFailpoints
from domain.errors import HandoffAlreadyDecided
from domain.facts import Account
from domain.handoff import HandoffDecision, HandoffInput, HandoffKind, HandoffStatus, OnExpiry, Resolution
from domain.values import (
    AccountStatus,
    Channel,
    CustomerId,
    HandoffId,
    InteractionId,
    Mode,
    OrganisationId,
    Plan,
    Priority,
    RequestId,
)
from schema.audit import AuditRepository
from schema.base import new_id
from schema.customers import CustomerRepository
from schema.handoffs import Handoff, HandoffRepository, NewHandoff
from schema.interactions import InteractionRepository, NewInteraction
from schema.session import Database
from tests.sealed import CODEC
from tests.temporal import temporal_server
from workflows.handoff import HandoffWorkflow
from workflows.runtime import ensure_search_attributes, temporal_plugin

DEMO = OrganisationId("demo")
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server(plugins=[temporal_plugin(CODEC)]) as env:
        await ensure_search_attributes(env.client)
        yield env


@dataclass
class Waiting:
    """One open handoff whose workflow waits, due in an hour of its own clock."""

    env: WorkflowEnvironment
    handle: WorkflowHandle[Any, Resolution]
    db: Database
    id: HandoffId

    async def record(self) -> Handoff:
        async with self.db.transaction(DEMO) as session:
            return await HandoffRepository(session).get(self.id)

    async def decide(self, decision: HandoffDecision) -> None:
        await self.handle.signal(HandoffWorkflow.decided, Resolution(handoff_id=self.id, decision=decision))


@pytest.fixture
async def waiting(skipping: WorkflowEnvironment, database: Database) -> AsyncIterator[Waiting]:
    async with waits(skipping, database) as one:
        yield one


@contextlib.asynccontextmanager
async def waits(
    skipping: WorkflowEnvironment,
    database: Database,
    *,
    expires_in: timedelta | None = None,
    on_expiry: OnExpiry = OnExpiry.TAKEOVER,
    decided: HandoffDecision | None = None,
) -> AsyncIterator[Waiting]:
    """One that waits; `decided` before its workflow was there, by somebody who told another one."""
    due_at = datetime.now(UTC) + HOUR
    expires_at = None if expires_in is None else datetime.now(UTC) + expires_in
    handoff_id = await _open_handoff(database, due_at, expires_at, on_expiry)
    if decided is not None:
        async with database.transaction(DEMO) as session:
            await HandoffRepository(session).decide(handoff_id, decided, by="olga", at=datetime.now(UTC))
    clocks = ClockActivities(database, failpoints=NoFailpoints())
    queue = f"q-{secrets.token_hex(4)}"
    async with Worker(
        skipping.client,
        task_queue=queue,
        workflows=[HandoffWorkflow],
        activities=[clocks.keep_time],
        workflow_failure_exception_types=[Exception],
    ):
        handle = await skipping.client.start_workflow(
            HandoffWorkflow.run,
            HandoffInput(
                organisation=DEMO,
                handoff_id=handoff_id,
                kind=HandoffKind.TAKEOVER,
                sla_due_at=due_at,
                look_at=min(at for at in (due_at - HOUR / 5, expires_at) if at),
                reopened=decided is not None,
            ),
            id=f"handoff:{handoff_id}",
            task_queue=queue,
        )
        yield Waiting(skipping, handle, database, handoff_id)


async def test_a_decision_in_time_breaches_nothing(waiting: Waiting) -> None:
    await waiting.env.fast_forward(waiting.handle, timedelta(minutes=58))
    await waiting.decide(HandoffDecision.RESOLVED)
    assert (await waiting.handle.result()).decision is HandoffDecision.RESOLVED
    assert (await waiting.record()).breached_at is None


async def test_a_due_time_that_passes_breaches_once_and_raises_the_priority(waiting: Waiting) -> None:
    await waiting.env.fast_forward(waiting.handle, timedelta(hours=3))
    await waiting.decide(HandoffDecision.REJECTED)
    await waiting.handle.result()

    record = await waiting.record()
    assert record.breached_at is not None
    assert abs(record.breached_at - record.opened_at - HOUR) < timedelta(seconds=1)
    assert record.priority in {Priority.HIGH, Priority.URGENT}
    async with waiting.db.transaction(DEMO) as session:
        events = [e.kind for e in await HandoffRepository(session).events(waiting.id)]
        audited = [e.action for e in (await AuditRepository(session).list()).items]
    assert events.count("breached") == audited.count("handoff.breached") == 2  # the claim, the first response


async def test_silence_never_means_yes(waiting: Waiting) -> None:
    await waiting.env.fast_forward(waiting.handle, timedelta(days=30))
    assert await waiting.handle.query(HandoffWorkflow.status) is None
    assert (await waiting.record()).decision is None
    await waiting.decide(HandoffDecision.REJECTED)
    assert (await waiting.handle.result()).decision is HandoffDecision.REJECTED


async def test_being_told_again_changes_nothing(waiting: Waiting) -> None:
    await waiting.decide(HandoffDecision.APPROVED)
    await waiting.decide(HandoffDecision.REJECTED)
    assert (await waiting.handle.result()).decision is HandoffDecision.APPROVED


async def replays(waiting: Waiting) -> bool:
    """What was recorded just now runs the same way again."""
    history = await waiting.handle.fetch_history()
    await Replayer(workflows=[HandoffWorkflow], plugins=[temporal_plugin(CODEC)]).replay_workflow(history)
    return True


@pytest.mark.parametrize("on_expiry", list(OnExpiry))
async def test_H4_when_its_whole_time_is_over_it_expires_and_nobody_said_yes(
    skipping: WorkflowEnvironment, database: Database, on_expiry: OnExpiry
) -> None:
    async with waits(skipping, database, expires_in=timedelta(days=7), on_expiry=on_expiry) as waiting:
        await waiting.env.fast_forward(waiting.handle, timedelta(days=8))
        ended = await waiting.handle.result()
        record = await waiting.record()
        assert (ended.decision, ended.on_expiry) == (HandoffDecision.EXPIRED, on_expiry)
        assert (record.status, record.decided_by) == (HandoffStatus.EXPIRED, "system")
        assert record.breached_at is not None, "the due time came first"
        assert record.told_at is not None, "the one who asked has heard"
        with pytest.raises(HandoffAlreadyDecided):
            async with database.transaction(DEMO) as session:
                await HandoffRepository(session).decide(
                    waiting.id, HandoffDecision.REJECTED, by="olga", at=datetime.now(UTC)
                )
        assert await replays(waiting)


async def test_its_whole_time_may_end_before_it_is_due(skipping: WorkflowEnvironment, database: Database) -> None:
    async with waits(skipping, database, expires_in=timedelta(minutes=10)) as waiting:
        await waiting.env.fast_forward(waiting.handle, timedelta(hours=3))
        assert (await waiting.handle.result()).decision is HandoffDecision.EXPIRED
        assert (await waiting.record()).breached_at is None


async def test_a_decision_before_the_end_leaves_nothing_to_expire(
    skipping: WorkflowEnvironment, database: Database
) -> None:
    async with waits(skipping, database, expires_in=timedelta(days=7)) as waiting:
        await waiting.env.fast_forward(waiting.handle, timedelta(days=6))
        await waiting.decide(HandoffDecision.APPROVED)
        assert (await waiting.handle.result()).decision is HandoffDecision.APPROVED
        assert await replays(waiting)


async def test_H5_the_clock_that_comes_second_hears_what_a_person_decided_first(
    skipping: WorkflowEnvironment, database: Database
) -> None:
    """Postgres holds the word, the signal has not come: the timer must not make an expiry of it."""
    async with waits(skipping, database, expires_in=timedelta(days=7)) as waiting:
        async with database.transaction(DEMO) as session:
            await HandoffRepository(session).decide(
                waiting.id, HandoffDecision.REJECTED, by="olga", at=datetime.now(UTC)
            )
        await waiting.env.fast_forward(waiting.handle, timedelta(days=8))
        assert (await waiting.handle.result()).decision is HandoffDecision.REJECTED
        assert (await waiting.record()).decision is HandoffDecision.REJECTED


async def test_H4_a_workflow_that_comes_late_finds_what_was_told_to_the_one_before(
    skipping: WorkflowEnvironment, database: Database
) -> None:
    """A reset starts it again after the decision was told to its predecessor, which is ended with it."""
    async with waits(skipping, database, decided=HandoffDecision.REJECTED) as waiting:
        assert (await waiting.handle.result()).decision is HandoffDecision.REJECTED
        assert await replays(waiting)


async def test_H7_a_month_of_waiting_is_a_handful_of_events(skipping: WorkflowEnvironment, database: Database) -> None:
    async with waits(skipping, database, expires_in=timedelta(days=60)) as waiting:
        await waiting.env.fast_forward(waiting.handle, timedelta(days=30))
        assert await waiting.handle.query(HandoffWorkflow.status) is None
        assert len((await waiting.handle.fetch_history()).events) < 200
        await waiting.decide(HandoffDecision.APPROVED)
        assert (await waiting.handle.result()).decision is HandoffDecision.APPROVED


async def _open_handoff(
    db: Database, due_at: datetime, expires_at: datetime | None = None, on_expiry: OnExpiry = OnExpiry.TAKEOVER
) -> HandoffId:
    at, interaction_id = datetime.now(UTC), InteractionId(new_id("int"))
    async with db.transaction(DEMO) as session:
        account = Account(customer_id=CustomerId("cust_1"), plan=Plan.PRO, status=AccountStatus.ACTIVE)
        await CustomerRepository(session).put(account, at)
        await InteractionRepository(session).claim(
            NewInteraction(
                organisation=DEMO, id=interaction_id, customer_id=CustomerId("cust_1"), request_id=RequestId("r1"),
                conversation_id=None, channel=Channel.CHAT, mode=Mode.LIVE, message="help", fingerprint="f",
                body_fields={}, workflow_id="w", created_at=at,
            )
        )  # fmt: skip
        handoff = await HandoffRepository(session).open(
            NewHandoff(
                id=HandoffId(new_id("hnd")), interaction_id=interaction_id, customer_id=CustomerId("cust_1"),
                kind=HandoffKind.TAKEOVER, priority=Priority.NORMAL, reason="low_confidence", confidence=0.2,
                decision_id=None, digest="d", proposed=[], issues=[], opened_at=at, sla_due_at=due_at,
                expires_at=expires_at, on_expiry=on_expiry, plan=Plan.PRO,
            )
        )  # fmt: skip
    return handoff.id
