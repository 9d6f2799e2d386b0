"""Opening what needs a person, and recording that its due time passed."""

from collections.abc import Callable, Mapping
from datetime import datetime

from temporalio import activity

from activities.failures import durable
from activities.record import Record, approval_digest, proposed_actions, read_record
from domain.answer import ShownHandoff
from domain.decision import Decision, Outcome
from domain.handoff import BreachInput, HandoffKind, Resolution, sla_due_at
from domain.interaction import InteractionStatus, OpenedHandoff, OpenHandoffInput
from domain.ports import Failpoints
from domain.replies import failed_reply, holding_reply, unknown_reply
from domain.tools.tool import AnyTool
from domain.values import HandoffId, OrganisationId, Priority
from schema.audit import AuditEvent, AuditRepository
from schema.base import new_id
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.handoffs import Handoff, HandoffRepository, NewHandoff
from schema.interactions import InteractionRepository
from schema.session import Database, Session


class HandoffActivities:
    def __init__(
        self, db: Database, *, tools: Mapping[str, AnyTool], now: Callable[[], datetime], failpoints: Failpoints
    ) -> None:
        self._db = db
        self._tools = tools
        self._now = now
        self._failpoints = failpoints

    @activity.defn(name="handoffs.open")
    @durable
    async def open(self, request: OpenHandoffInput) -> OpenedHandoff:
        """Open the record and tell the customer that a person looks: one transaction. A repeat finds the first one."""
        ref = request.interaction
        async with self._db.transaction(ref.organisation) as session:
            record = await read_record(session, ref, self._now())
            handoff = await HandoffRepository(session).open(self._new(record, request))
            await HandoffRepository(session).withdraw_others(handoff, self._now())
            await self._answer_holding(session, record, handoff, request.reason)
            details = {"interaction": record.interaction.id, "kind": handoff.kind.value, "reason": handoff.reason}
            event = AuditEvent(self._now(), "agent", "handoff.opened", handoff.id, details)
            await AuditRepository(session).append(event)
        decided = Resolution(handoff_id=handoff.id, decision=handoff.decision) if handoff.decision else None
        return OpenedHandoff(
            handoff_id=handoff.id,
            kind=handoff.kind,
            priority=handoff.priority,
            sla_due_at=handoff.sla_due_at,
            resolution=decided,
        )

    @activity.defn(name="handoffs.mark_breached")
    @durable
    async def mark_breached(self, breach: BreachInput) -> None:
        """The due time passed without a decision: recorded once, with the due time, and the priority rises."""
        async with self._db.transaction(OrganisationId(breach.handoff.organisation)) as session:
            if await HandoffRepository(session).mark_breached(breach.handoff.handoff_id, breach.detected_at):
                event = AuditEvent(self._now(), "system", "handoff.breached", breach.handoff.handoff_id)
                await AuditRepository(session).append(event)

    def _new(self, record: Record, request: OpenHandoffInput) -> NewHandoff:
        decision, now = record.decision, self._now()
        proposed = proposed_actions(decision) if decision and request.kind is HandoffKind.APPROVAL else []
        return NewHandoff(
            id=HandoffId(new_id("hnd")),
            interaction_id=record.interaction.id,
            customer_id=record.interaction.customer_id,
            kind=request.kind,
            priority=decision.priority if decision else Priority.HIGH,
            reason=request.reason,
            confidence=decision.confidence if decision else 0.0,
            decision_id=record.decision_id,
            digest=approval_digest(record.interaction, decision or Decision(), proposed),
            proposed=proposed,
            issues=[issue.model_dump(mode="json") for issue in (decision.issues if decision else ())],
            opened_at=now,
            sla_due_at=sla_due_at(now, record.facts.account.plan),
        )

    def _holding_reply(self, record: Record, handoff: Handoff, reason: str) -> str:
        """What the customer hears meanwhile; what certainly happened is said, what is not certain is not."""
        decision, done = record.decision or Decision(), record.done_before_the_reply(self._tools)
        if reason == "effect_unknown":
            return unknown_reply(decision, record.facts, done)
        if reason == "effect_failed" or record.decision is None:
            return failed_reply(decision, record.facts, done)
        return holding_reply(decision, handoff.priority)

    async def _answer_holding(self, session: Session, record: Record, handoff: Handoff, reason: str) -> None:
        if record.interaction.answered_at is not None:
            return
        reply = self._holding_reply(record, handoff, reason)
        shown = ShownHandoff(id=handoff.id, kind=handoff.kind, priority=handoff.priority, sla_due_at=handoff.sla_due_at)
        answer = record.answer(self._tools, status=InteractionStatus.WAITING_FOR_HUMAN, reply=reply, handoff=shown)
        await InteractionRepository(session).answer(
            record.interaction.id,
            status=InteractionStatus.WAITING_FOR_HUMAN,
            intent=answer.intent,
            confidence=answer.confidence,
            outcome=record.decision.outcome if record.decision else Outcome.ASK_HUMAN,
            reply=reply,
            answer=answer.model_dump(mode="json"),
            at=self._now(),
            handoff_id=handoff.id,
        )
        await self._put_on_record(session, record, handoff, reply)

    async def _put_on_record(self, session: Session, record: Record, handoff: Handoff, reply: str) -> None:
        message = NewDelivery(
            interaction_id=record.interaction.id,
            customer_id=record.interaction.customer_id,
            purpose="answer",
            channel=record.interaction.channel.value,
            body=reply,
            at=self._now(),
            status=DeliveryStatus.DELIVERED,
        )
        await DeliveryRepository(session).add(message)
