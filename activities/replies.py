"""The one commit point: compose the reply, check every claim in it, and only then let it out, everywhere at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from temporalio import activity

from activities.announcements import announced
from activities.conversations import kept_still
from activities.failures import durable
from activities.record import Record, planned, read_record, status_of
from domain.decision import Decision, Issue, Outcome
from domain.digest import digest
from domain.handoff import HandoffDecision, Resolution
from domain.interaction import (
    CommitInput,
    Committed,
    EffectState,
    InteractionRef,
    InteractionStatus,
    PlannedEffect,
)
from domain.ports import Failpoints
from domain.replies import compose_reply, failed_reply, holding_reply, operator_declined_reply
from domain.tools.send_email import send_email
from domain.tools.tool import AnyTool
from domain.values import DeliveryId, Json, Mode
from domain.verification import verify_reply
from domain.verification.evidence import Evidence
from schema.audit import AuditEvent, AuditRepository
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.effects import EffectRepository, EffectStanding, Reservation
from schema.handoffs import HandoffRepository
from schema.interactions import InteractionRepository
from schema.session import Database, Session

FOLLOW_UP = 1000
"""The ordinal of the e-mail that carries a person's answer: after every action of the decision."""


@dataclass(frozen=True)
class Draft:
    """What would leave, and why it may not."""

    status: InteractionStatus
    reply: str
    issues: tuple[Issue, ...] = ()
    blocked_by: str | None = None


class ReplyActivities:
    def __init__(
        self,
        db: Database,
        *,
        tools: Mapping[str, AnyTool],
        now: Callable[[], datetime],
        failpoints: Failpoints,
    ) -> None:
        self._db = db
        self._tools = tools
        self._now = now
        self._failpoints = failpoints

    @activity.defn(name="replies.commit")
    @durable
    async def commit(self, request: CommitInput) -> Committed:
        """Store the answer once, with its deliveries. A blocked reply stores nothing and says why."""
        self._failpoints.hit("F8")
        ref = request.interaction
        async with self._db.transaction(ref.organisation) as session:
            record = await read_record(session, ref, self._now())
            if record.interaction.finished_at is not None:
                # What it sends is on record, and is sent even if nobody starts it now.
                return Committed(status=record.interaction.status)
            draft = await self._draft(session, record, request.resolution)
            if draft.blocked_by:
                return Committed(blocked_by=draft.blocked_by)
            starts = await self._store(session, record, draft, request.resolution)
        return Committed(status=draft.status, starts=starts)

    @activity.defn(name="replies.fail")
    @durable
    async def fail(self, ref: InteractionRef) -> Committed:
        """Say that it could not be done, where nobody can be asked: a shadow run that met an error, for instance."""
        async with self._db.transaction(ref.organisation) as session:
            record = await read_record(session, ref, self._now())
            decision = record.decision or Decision()
            reply = failed_reply(decision, record.facts, ())
            answer = record.answer(self._tools, status=InteractionStatus.FAILED, reply=reply)
            interactions = InteractionRepository(session)
            answered = await interactions.answer(
                ref.interaction_id,
                status=InteractionStatus.FAILED,
                intent=decision.intent,
                confidence=decision.confidence,
                outcome=decision.outcome,
                reply=reply,
                answer=answer.model_dump(mode="json"),
                at=self._now(),
            )
            if not answered.first:
                await interactions.finish(ref.interaction_id, InteractionStatus.FAILED, None, self._now())
            live = record.interaction.mode is Mode.LIVE
            starts = await announced(session, record, InteractionStatus.FAILED, self._now()) if live else ()
        return Committed(status=InteractionStatus.FAILED, starts=starts)

    async def _draft(self, session: Session, record: Record, resolution: Resolution | None) -> Draft:
        if resolution and resolution.decision is not HandoffDecision.APPROVED:
            return await self._by_operator(session, record, resolution)
        words = await kept_still(session, record, self._now()) if resolution is None else None
        if words is not None:
            return Draft(InteractionStatus.COMPLETED, words)
        return self._by_agent(record, approved=resolution is not None)

    def _by_agent(self, record: Record, *, approved: bool) -> Draft:
        """The agent's own reply: only over effects that are certain, only with claims that are backed."""
        decision = record.decision
        if decision is None:
            return Draft(InteractionStatus.RUNNING, "", blocked_by="nothing_decided")
        if trouble := self._trouble(record, approved):
            return Draft(InteractionStatus.RUNNING, "", blocked_by=trouble)
        outcome = Outcome.PROCEED if approved else decision.outcome
        decision = decision.model_copy(update={"outcome": outcome})
        done = record.done_before_the_reply(self._tools)
        if outcome is Outcome.ASK_HUMAN:  # shadow only: live opened a handoff instead
            return Draft(InteractionStatus.WAITING_FOR_HUMAN, holding_reply(decision, decision.priority))
        proposal = record.interaction.proposal
        draft = proposal.reply if proposal else None
        reply = compose_reply(decision, record.facts, done, intent=decision.intent, draft=draft)
        issues = verify_reply(reply, Evidence.of(decision, record.facts, done, mode=record.interaction.mode))
        if not issues:
            return Draft(status_of(outcome), reply)
        if record.interaction.mode is Mode.SHADOW:  # says what live would have said, and why
            return Draft(InteractionStatus.WAITING_FOR_HUMAN, holding_reply(decision, decision.priority), issues)
        return Draft(InteractionStatus.RUNNING, reply, issues, blocked_by="reply_not_backed")

    async def _by_operator(self, session: Session, record: Record, resolution: Resolution) -> Draft:
        """A person's words are theirs: they leave as written."""
        handoff = await HandoffRepository(session).get(resolution.handoff_id)
        reply = str((handoff.resolution or {}).get("reply") or "")
        if resolution.decision is HandoffDecision.RESOLVED:
            return Draft(InteractionStatus.COMPLETED, reply)
        decision = record.decision or Decision()
        if resolution.decision is HandoffDecision.EXPIRED:  # where its declared outcome is *refuse*
            return Draft(InteractionStatus.REFUSED, operator_declined_reply(decision, "was not approved in time"))
        return Draft(InteractionStatus.REFUSED, reply or operator_declined_reply(decision))

    async def _store(
        self, session: Session, record: Record, draft: Draft, resolution: Resolution | None
    ) -> tuple[DeliveryId, ...]:
        """The commit: reply, answer, deliveries and audit stand or fall together."""
        interaction, now = record.interaction, self._now()
        await self._answer(session, record, draft, now)
        if interaction.mode is Mode.SHADOW:
            return ()
        if resolution and resolution.decision is not HandoffDecision.APPROVED:
            record = await self._drop_what_is_left(session, record)
        outlets = await self._reserve_outlets(session, record, resolution)
        starts = await self._deliver(session, record, draft, outlets)
        details = {"decision": record.decision_id, "effects": [_sealed(standing) for standing in record.effects]}
        event = AuditEvent(now, "agent", f"interaction.{draft.status.value}", interaction.id, details)
        await AuditRepository(session).append(event)
        return (*starts, *await announced(session, record, draft.status, now))

    async def _answer(self, session: Session, record: Record, draft: Draft, now: datetime) -> None:
        interactions, interaction, decision = InteractionRepository(session), record.interaction, record.decision
        if interaction.answer is not None or decision is None:
            await interactions.finish(interaction.id, draft.status, draft.reply, now)
            return
        answer = record.answer(self._tools, status=draft.status, reply=draft.reply, issues=draft.issues)
        await interactions.answer(
            interaction.id,
            status=draft.status,
            intent=decision.intent,
            confidence=decision.confidence,
            outcome=decision.outcome,
            reply=draft.reply,
            answer=answer.model_dump(mode="json"),
            at=now,
            ends=interaction.mode is Mode.SHADOW,
        )

    async def _drop_what_is_left(self, session: Session, record: Record) -> Record:
        """A person took over: what was reserved and not begun will not happen any more, and must not stay reserved."""
        ledger = EffectRepository(session)
        for standing in record.effects:
            if standing.state is EffectState.RESERVED:
                await ledger.close(standing, EffectState.FAILED, "taken_over", self._now())
        return replace(record, effects=tuple(s for s in record.effects if s.state is not EffectState.RESERVED))

    async def _reserve_outlets(
        self, session: Session, record: Record, resolution: Resolution | None
    ) -> tuple[PlannedEffect, ...]:
        """Effects that carry the reply outside. What a person answered goes by e-mail too, if there is an address."""
        waiting = self._outlets(record)
        if waiting or resolution is None or not record.facts.account.email or record.decision_id is None:
            return waiting
        arguments = send_email.arguments(purpose="reply").model_dump(mode="json")
        follow_up = Reservation(
            interaction_id=record.interaction.id,
            decision_id=record.decision_id,
            customer_id=record.interaction.customer_id,
            ordinal=FOLLOW_UP,
            tool=send_email.name,
            effect_class=send_email.effect,
            arguments=arguments,
            digest=digest(arguments),
            policy_version=0,
            at=self._now(),
            handoff_id=resolution.handoff_id,
        )
        (effect_id,) = await EffectRepository(session).reserve([follow_up])
        return (PlannedEffect(effect_id=effect_id, tool=send_email.name, outlet=True),)

    async def _deliver(
        self, session: Session, record: Record, draft: Draft, outlets: Sequence[PlannedEffect]
    ) -> tuple[DeliveryId, ...]:
        if not draft.reply:
            return ()
        deliveries = DeliveryRepository(session)
        message = NewDelivery(
            interaction_id=record.interaction.id,
            customer_id=record.interaction.customer_id,
            purpose="answer" if record.interaction.answer is None else "final_reply",
            channel=record.interaction.channel.value,
            body=draft.reply,
            at=self._now(),
            status=DeliveryStatus.DELIVERED,
        )
        await deliveries.add(message)
        mail = replace(message, channel="email", status=DeliveryStatus.PENDING, sent_by_workflow=True)
        return tuple([await deliveries.add(replace(mail, effect_id=outlet.effect_id)) for outlet in outlets])

    def _outlets(self, record: Record) -> tuple[PlannedEffect, ...]:
        waiting = [s.effect for s in record.effects if not s.state.is_final and self._tools[s.effect.tool].outlet]
        return planned(waiting, self._tools)

    def _trouble(self, record: Record, approved: bool) -> str | None:
        """An effect that is not certain: the reply could only guess, so a person looks."""
        states = {s.state for s in record.effects if s.state.is_final or not self._tools[s.effect.tool].outlet}
        if states - {EffectState.CONFIRMED, EffectState.FAILED}:
            return "effect_unknown"
        if EffectState.FAILED in states:
            return "effect_failed"
        if approved and not record.effects:
            return "approval_no_longer_possible"
        return None


def _sealed(standing: EffectStanding) -> Json:
    """What the sealed audit holds of an effect: enough to find out that its row was changed since."""
    effect = standing.effect
    return {"id": effect.id, "tool": effect.tool, "digest": effect.digest, "state": standing.state}
