"""The handoff's clock, in skipped time: hours pass in milliseconds."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.handoffs import HandoffActivities
from adapters.failpoints import NoFailpoints
from domain.facts import Account
from domain.handoff import HandoffDecision, HandoffInput, HandoffKind, Resolution
from domain.tools import TOOLS
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
from tests.temporal import temporal_server
from workflows.handoff import HandoffWorkflow
from workflows.runtime import ensure_search_attributes, temporal_plugin

DEMO = OrganisationId("demo")
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server(plugins=[temporal_plugin()]) as env:
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
    due_at = datetime.now(UTC) + HOUR
    handoff_id = await _open_handoff(database, due_at)
    activities = HandoffActivities(database, tools=TOOLS, now=lambda: datetime.now(UTC), failpoints=NoFailpoints())
    queue = f"q-{secrets.token_hex(4)}"
    async with Worker(
        skipping.client,
        task_queue=queue,
        workflows=[HandoffWorkflow],
        activities=[activities.mark_breached],
        workflow_failure_exception_types=[Exception],
    ):
        handle = await skipping.client.start_workflow(
            HandoffWorkflow.run,
            HandoffInput(organisation=DEMO, handoff_id=handoff_id, kind=HandoffKind.TAKEOVER, sla_due_at=due_at),
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
    assert (record.breached_at, record.priority) == (record.sla_due_at, Priority.HIGH)
    async with waiting.db.transaction(DEMO) as session:
        events = [e.kind for e in await HandoffRepository(session).events(waiting.id)]
        audited = [e.action for e in (await AuditRepository(session).list()).items]
    assert events.count("breached") == audited.count("handoff.breached") == 1


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


async def _open_handoff(db: Database, due_at: datetime) -> HandoffId:
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
            )
        )  # fmt: skip
    return handoff.id
