"""After the database was set back to an earlier moment: what Temporal and other systems remember, against our rows.

Every interaction comes into a state that is known, and nothing that left us leaves again. Where our rows cannot say
what was done, nothing is done: a person finishes it.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from temporalio.client import WorkflowExecutionStatus

from api.deps import Services
from api.intake import begin_anew
from api.sending import set_going
from domain.delivery import DeliveryStatus
from domain.errors import DependencyDown, ToolFailure
from domain.interaction import EffectState
from domain.tools.tool import AnyTool
from domain.values import DeliveryId, EffectId, InteractionId, Json, OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.deliveries import Delivery, DeliveryRepository
from schema.effects import EffectRepository, EffectStanding
from schema.interactions import Interaction
from schema.restored import RestoredRepository
from schema.session import Session
from workflows import ids, past
from workflows.past import NOTHING, Past

RESTORED = "restored"
What = Literal[
    "kept", "begun_anew", "for_a_person", "lost", "lost_after_acting", "effect_settled", "delivery_settled", "ended"
]


@dataclass(frozen=True)
class Finding:
    """One thing that differed, and what was done about it."""

    what: What
    subject: str
    """An id: of an interaction, an effect, a delivery or a workflow."""


@dataclass
class Reconciliation:
    """One run over everything. `extra` are the ports tools were given (`Ports.extra`)."""

    services: Services
    tools: Mapping[str, AnyTool]
    since: datetime
    extra: Mapping[str, object] = field(default_factory=dict)
    pasts: dict[str, Past] = field(default_factory=dict)
    """By workflow id: interactions that ran at or after the moment."""

    async def run(self) -> AsyncIterator[Finding]:
        """Does it, and says what it did. Safe to repeat: what is in order is left alone. Raises `DependencyDown`."""
        async for run in past.remembered(self.services.temporal, "interaction", self.since):
            did = await past.past_of(self.services.temporal, run.id, run.run_id)
            self.pasts[run.id] = self.pasts.get(run.id, NOTHING) | did
        async for finding in self._lost_requests():
            yield finding
        async for finding in self._orphans():
            yield finding
        async for organisation in self._organisations():
            async for finding in self._deliveries(organisation):
                yield finding
            async for finding in self._interactions(organisation):
                yield finding

    async def _organisations(self) -> AsyncIterator[OrganisationId]:
        after = ""
        while names := await self.services.db.organisations_with_facts(after=after):
            for name in names:
                yield name
            after = names[-1]

    async def _lost_requests(self) -> AsyncIterator[Finding]:
        """Taken in after the moment: no row has them. Their ids become free again; what had acted is on record, so that
        its repeat goes to a person."""
        for workflow_id, did in self.pasts.items():
            organisation = past.organisation_of(workflow_id)
            async with self.services.db.transaction(organisation) as session:
                restored = RestoredRepository(session)
                if not await restored.unknown_interactions([workflow_id]):
                    continue
                await restored.lose(workflow_id, acted=did.acted, at=self.services.now())
                if did.acted:
                    said: Json = {"effects": dict(did.calls), "deliveries": sorted(did.messages)}
                    await self._audit(session, "interaction.lost", workflow_id, said)
            await past.free(self.services.temporal, workflow_id, self.services.task_queue)
            yield Finding("lost_after_acting" if did.acted else "lost", workflow_id)

    async def _orphans(self) -> AsyncIterator[Finding]:
        """Handoffs and deliveries that run for rows that are not there."""
        for kind in (ids.HANDOFF_WORKFLOW, ids.DELIVERY_WORKFLOW):
            async for run in past.remembered(self.services.temporal, kind, self.since):
                if run.status is not WorkflowExecutionStatus.RUNNING:
                    continue
                organisation, name = past.organisation_of(run.id), run.id.rsplit(":", 1)[1]
                async with self.services.db.transaction(organisation) as session:
                    restored = RestoredRepository(session)
                    is_handoff = kind == ids.HANDOFF_WORKFLOW
                    look = restored.unknown_handoffs if is_handoff else restored.unknown_deliveries
                    is_orphan = bool(await look([name]))
                if is_orphan:
                    await past.end(self.services.temporal, run.id)
                    yield Finding("ended", run.id)

    async def _deliveries(self, organisation: OrganisationId) -> AsyncIterator[Finding]:
        """What somebody has by now is not sent again; the rest goes on from its row."""
        after = DeliveryId("")
        while page := await self._undelivered(organisation, after):
            for delivery in page:
                status = await past.ended_as(self.services.temporal, organisation, delivery.id)
                if status is not None:
                    await self._settle_delivery(organisation, delivery, status)
                    yield Finding("delivery_settled", delivery.id)
                elif delivery.status is DeliveryStatus.PENDING and not await set_going(
                    self.services, organisation, delivery.id
                ):
                    raise DependencyDown("a delivery cannot be set going", dependency="temporal")
            after = page[-1].id

    async def _undelivered(self, organisation: OrganisationId, after: DeliveryId) -> tuple[Delivery, ...]:
        async with self.services.db.transaction(organisation) as session:
            return await RestoredRepository(session).undelivered(after)

    async def _settle_delivery(self, organisation: OrganisationId, delivery: Delivery, status: DeliveryStatus) -> None:
        async with self.services.db.transaction(organisation) as session:
            await DeliveryRepository(session).mark(delivery.id, status, self.services.now(), RESTORED)
            if delivery.effect_id is not None and status is DeliveryStatus.DELIVERED:
                standing = await EffectRepository(session).get(delivery.effect_id)
                await _settle(EffectRepository(session), Verdict(standing, EffectState.CONFIRMED), self.services.now())

    async def _interactions(self, organisation: OrganisationId) -> AsyncIterator[Finding]:
        after = InteractionId("")
        while page := await self._open(organisation, after):
            for interaction in page:
                async for finding in self._interaction(organisation, interaction):
                    yield finding
            after = page[-1].id

    async def _open(self, organisation: OrganisationId, after: InteractionId) -> tuple[Interaction, ...]:
        async with self.services.db.transaction(organisation) as session:
            return await RestoredRepository(session).open_interactions(after)

    async def _interaction(self, organisation: OrganisationId, interaction: Interaction) -> AsyncIterator[Finding]:
        """One that had not ended at the moment. What Temporal did not touch since is as our row says."""
        latest = await past.past_of(self.services.temporal, interaction.workflow_id)
        did = self.pasts.get(interaction.workflow_id, NOTHING) | latest
        if did.stood_still(self.since):
            yield Finding("kept", interaction.id)
            return
        known = await self._read(organisation, interaction)
        is_beyond = bool(did.calls.keys() - known.effects.keys() or did.messages - known.deliveries)
        verdicts = [v for s in known.unsettled if (v := await self._verdict(s, did, is_beyond=is_beyond))]
        async with self.services.db.transaction(organisation) as session:
            for verdict in verdicts:
                await _settle(EffectRepository(session), verdict, self.services.now())
            if is_beyond:
                await RestoredRepository(session).block(interaction.id, RESTORED)
                await self._audit(session, "interaction.blocked", interaction.id, {"reason": RESTORED})
        for verdict in verdicts:
            yield Finding("effect_settled", verdict.standing.effect.id)
        blocked_by = RESTORED if is_beyond else interaction.blocked_by
        await begin_anew(self.services, organisation, replace(interaction, blocked_by=blocked_by))
        yield Finding("for_a_person" if is_beyond else "begun_anew", interaction.id)

    async def _read(self, organisation: OrganisationId, interaction: Interaction) -> "Known":
        async with self.services.db.transaction(organisation) as session:
            restored = RestoredRepository(session)
            effects = await EffectRepository(session).list_for_interaction(interaction.id)
            return Known(
                effects={standing.effect.id: standing for standing in effects},
                deliveries=await restored.deliveries_of(interaction.id),
                carried=await restored.carried(interaction.id),
            )

    async def _verdict(self, standing: EffectStanding, did: Past, *, is_beyond: bool) -> "Verdict | None":
        """What is known of an effect our rows have open; None: it may be carried out, or repeated under its key."""
        effect = standing.effect
        if effect.id not in did.calls:
            surely_not = standing.attempt == 0
            return Verdict(standing, EffectState.FAILED if surely_not else EffectState.UNKNOWN) if is_beyond else None
        state = did.calls[effect.id]
        if state is not None and state.is_final:
            return Verdict(standing, state)
        tool = self.tools.get(effect.tool)
        if tool is not None and tool.find is not None:
            try:
                found = await tool.find(effect.key, self.extra)
            except ToolFailure:
                return Verdict(standing, EffectState.UNKNOWN)
            if found is not None:
                return Verdict(standing, EffectState.CONFIRMED, found)
            return Verdict(standing, EffectState.FAILED) if is_beyond else None
        repeatable = tool is not None and tool.idempotent and not is_beyond
        return None if repeatable else Verdict(standing, EffectState.UNKNOWN)

    async def _audit(self, session: Session, action: str, subject: str, details: Json) -> None:
        await AuditRepository(session).append(AuditEvent(self.services.now(), "system", action, subject, details))


@dataclass(frozen=True)
class Verdict:
    """How an effect ended, as somebody other than our rows says."""

    standing: EffectStanding
    state: EffectState
    result: Json | None = None


@dataclass(frozen=True)
class Known:
    """What our rows have of one interaction."""

    effects: Mapping[EffectId, EffectStanding]
    deliveries: set[DeliveryId]
    carried: set[EffectId]
    """Effects a delivery carries out: it settles them itself."""

    @property
    def unsettled(self) -> list[EffectStanding]:
        """Effects nobody said the end of."""
        return [s for s in self.effects.values() if not s.state.is_final and s.effect.id not in self.carried]


async def _settle(ledger: EffectRepository, verdict: Verdict, at: datetime) -> None:
    standing, state = verdict.standing, verdict.state
    code = None if state is EffectState.CONFIRMED else RESTORED
    if standing.state.is_final:
        return
    if standing.attempt:
        await ledger.settle(standing.effect.id, standing.attempt, state, result=verdict.result, error_code=code, at=at)
    else:
        await ledger.settle_atomic(standing.effect.id, state, result=verdict.result, error_code=code, at=at)
