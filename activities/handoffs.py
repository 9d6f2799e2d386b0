"""Opening what needs a person."""

from collections.abc import Callable, Mapping
from datetime import datetime

from temporalio import activity

from activities.announcements import announced, handoff_opened
from activities.failures import durable
from activities.record import Record, read_record
from domain.answer import ShownHandoff
from domain.approval import ApprovalPolicy, approval_digest, proposed_actions
from domain.calendar import Calendar, due_by
from domain.clock import ClockKind
from domain.decision import Decision, Outcome
from domain.handoff import HandoffKind
from domain.interaction import InteractionStatus, OpenedHandoff, OpenHandoffInput
from domain.replies import failed_reply, holding_reply, unknown_reply
from domain.sla import SlaPolicy
from domain.tools.tool import AnyTool
from domain.values import DeliveryId, HandoffId, Plan, Priority
from schema.audit import AuditEvent, AuditRepository
from schema.base import new_id
from schema.calendars import CalendarRepository
from schema.clocks import ClockRepository
from schema.decided import tell_of_decision
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.handoffs import Handoff, HandoffRepository, NewHandoff
from schema.interactions import InteractionRepository
from schema.session import Database, Session


class HandoffActivities:
    def __init__(
        self,
        db: Database,
        *,
        tools: Mapping[str, AnyTool],
        now: Callable[[], datetime],
        approvals: ApprovalPolicy | None = None,
        sla: SlaPolicy | None = None,
    ) -> None:
        self._db = db
        self._sla = sla or SlaPolicy.shipped()
        self._approvals = approvals or ApprovalPolicy.shipped()
        self._tools = tools
        self._now = now

    @activity.defn(name="handoffs.open")
    @durable
    async def open(self, request: OpenHandoffInput) -> OpenedHandoff:
        """Open the record and tell the customer that a person looks: one transaction. A repeat finds the first one."""
        ref = request.interaction
        async with self._db.transaction(ref.organisation) as session:
            record = await read_record(session, ref, self._now())
            account = record.facts.account
            calendar = await CalendarRepository(session).serving(account.plan, account.region)
            new = self._new(record, request, calendar)
            handoff = await HandoffRepository(session).open(new)
            mark = (await ClockRepository(session, self._sla).load(handoff)).next_mark(self._sla, handoff)
            starts = await self._withdraw_others(session, handoff)
            await self._answer_holding(session, record, handoff, request.reason)
            starts += await self._announce(session, record, handoff)
        return OpenedHandoff(
            handoff_id=handoff.id,
            kind=handoff.kind,
            priority=handoff.priority,
            sla_due_at=handoff.sla_due_at,
            look_at=mark[0] if mark else None,
            starts=starts if handoff.id == new.id else (),
            resolution=handoff.said,
            reopened=handoff.id != new.id,
        )

    async def _withdraw_others(self, session: Session, handoff: Handoff) -> tuple[DeliveryId, ...]:
        told = tuple[DeliveryId, ...]()
        for withdrawn in await HandoffRepository(session).withdraw_others(handoff, self._now()):
            told += await tell_of_decision(session, withdrawn, self._now())
        return told

    async def _announce(self, session: Session, record: Record, handoff: Handoff) -> tuple[DeliveryId, ...]:
        details = {"interaction": record.interaction.id, "kind": handoff.kind.value, "reason": handoff.reason}
        event = AuditEvent(self._now(), "agent", "handoff.opened", handoff.id, details)
        await AuditRepository(session).append(event)
        starts = await handoff_opened(session, record, handoff, self._now())
        if record.interaction.answered_at is not None:
            return starts
        return (*starts, *await announced(session, record, InteractionStatus.WAITING_FOR_HUMAN, self._now()))

    def _new(self, record: Record, request: OpenHandoffInput, calendar: Calendar) -> NewHandoff:
        decision, now = record.decision, self._now()
        to_approve = decision is not None and request.kind is HandoffKind.APPROVAL
        proposed = proposed_actions(decision) if decision and to_approve else []
        expires_at = now + self._approvals.expires_in if to_approve else None
        asked, plan = record.interaction, record.facts.account.plan
        priority = decision.priority if decision else Priority.HIGH
        return NewHandoff(
            id=HandoffId(new_id("hnd")),
            interaction_id=record.interaction.id,
            customer_id=record.interaction.customer_id,
            kind=request.kind,
            priority=priority,
            reason=request.reason,
            confidence=decision.confidence if decision else 0.0,
            decision_id=record.decision_id,
            digest=approval_digest(asked.id, asked.customer_id, decision or Decision(), expires_at),
            proposed=proposed,
            issues=[issue.model_dump(mode="json") for issue in (decision.issues if decision else ())],
            opened_at=now,
            sla_due_at=self._due_at(plan, priority, calendar, now),
            plan=plan,
            calendar=calendar,
            expires_at=expires_at,
            on_expiry=self._approvals.on_expiry,
        )

    def _due_at(self, plan: Plan, priority: Priority, calendar: Calendar, now: datetime) -> datetime:
        """When the first of its clocks runs out."""
        return min(due_by(calendar, now, self._sla.target(kind, plan, priority)) for kind in ClockKind)

    def _holding_reply(self, record: Record, handoff: Handoff, reason: str) -> str:
        """What the customer hears meanwhile; what certainly happened is said, what is not certain is not."""
        decision, done = record.decision or Decision(), record.done_before_the_reply(self._tools)
        if reason == "effect_unknown":
            return unknown_reply(decision, record.facts, done)
        if reason == "effect_failed" or record.decision is None:
            return failed_reply(decision, record.facts, done)
        return holding_reply(decision, handoff.priority)

    async def _answer_holding(self, session: Session, record: Record, handoff: Handoff, reason: str) -> None:
        waits = record.interaction.status is InteractionStatus.WAITING_FOR_CUSTOMER
        if record.interaction.answered_at is not None and not waits:
            return
        reply = self._holding_reply(record, handoff, reason)
        if waits:  # for a code, until now
            status = InteractionStatus.WAITING_FOR_HUMAN
            await InteractionRepository(session).wait(record.interaction.id, status, reply, handoff.id)
            await self._put_on_record(session, record, handoff, reply)
            return
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
            purpose="answer" if record.interaction.answered_at is None else "passed_on",
            channel=record.interaction.channel.value,
            body=reply,
            at=self._now(),
            status=DeliveryStatus.DELIVERED,
        )
        await DeliveryRepository(session).add(message)
