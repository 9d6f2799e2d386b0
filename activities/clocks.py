"""Keeping a handoff's time: what its clocks say, the steps of the ladder that fell due, and when to look again."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from temporalio import activity

from activities.failures import durable
from domain.handoff import KeepTimeInput, TimeKept
from domain.ports import Failpoints
from domain.replies import DELAYED
from domain.sla import DueStep, SlaAction, SlaPolicy
from domain.values import DeliveryId, Json, OrganisationId
from domain.webhook import DomainEvent, EventType, NewNotification, NotificationKind
from schema.audit import AuditEvent, AuditRepository
from schema.calendars import CalendarRepository
from schema.clocks import CALENDAR_CHANGED, STEP_TAKEN, ClockRepository, Timekeeping, calendar_details
from schema.customers import CustomerRepository
from schema.decided import told_of_decision
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.events import EventRepository
from schema.expiry import expired
from schema.handoff_claims import HandoffClaims
from schema.handoffs import Handoff, HandoffRepository
from schema.interactions import InteractionRepository
from schema.notifications import NotificationRepository
from schema.session import Database, Session
from schema.takeovers import TakeoverRepository
from schema.wakes import WakeRepository

_NOTICES: Mapping[SlaAction, NotificationKind] = {
    SlaAction.WARN: NotificationKind.HANDOFF_DUE_SOON,
    SlaAction.NOTIFY: NotificationKind.HANDOFF_BREACHED,
    SlaAction.PAGE: NotificationKind.HANDOFF_PAGED,
}


class ClockActivities:
    def __init__(self, db: Database, *, failpoints: Failpoints, policy: SlaPolicy | None = None) -> None:
        self._db = db
        self._failpoints = failpoints
        self._policy = policy or SlaPolicy.shipped()

    @activity.defn(name="handoffs.keep_time")
    @durable
    async def keep_time(self, request: KeepTimeInput) -> TimeKept:
        """Everything that fell due until the workflow's now, in one transaction: a breach and the word of it are one
        fact. This process's own clock is not asked. Repeated, it does what is still to do. If its whole time is over it
        is decided as expired, unless somebody was first."""
        at, starts = request.at, list[DeliveryId]()
        async with self._db.transaction(OrganisationId(request.handoff.organisation)) as session:
            wakes = WakeRepository(session)
            pending = await wakes.pending(request.handoff.handoff_id)
            handoff = await HandoffRepository(session).lock(request.handoff.handoff_id)
            handoff, kept = await self._caught_up(session, handoff, at)
            while (step := kept.next_step(self._policy)) and step.at <= at:
                self._failpoints.hit("F11")
                starts += await self._climb(session, handoff, step, at)
                handoff, kept = await self._caught_up(session, handoff, at)
            if handoff.is_over(at):
                handoff = await expired(session, handoff, at)
                starts += await told_of_decision(session, handoff.id)
                await HandoffRepository(session).mark_told(handoff.id, at)  # its workflow is who asked
            if handoff.decision is None and (due_at := kept.due_at(at)):
                await ClockRepository(session, self._policy).due(handoff, due_at)
            await wakes.looked(pending)
        return self._kept(handoff, kept, tuple(starts))

    def _kept(self, handoff: Handoff, kept: Timekeeping, starts: tuple[DeliveryId, ...]) -> TimeKept:
        look_at, until = kept.next_mark(self._policy, handoff) or (None, "")
        breached, standing = handoff.breached_at is not None, handoff.said
        return TimeKept(look_at=look_at, until=until, breached=breached, standing=standing, starts=starts)

    async def _caught_up(self, session: Session, handoff: Handoff, at: datetime) -> tuple[Handoff, Timekeeping]:
        """Whoever let a claim run out no longer holds it; and another calendar may serve the customer by now."""
        clocks = ClockRepository(session, self._policy)
        if handoff.decision is None and handoff.has_lapsed(at):
            await HandoffClaims(session).lapse(handoff, at)
            await self._follow(session, handoff, at)
        kept = await clocks.load(handoff)
        if handoff.decision is None:
            region = (await CustomerRepository(session).get_account(handoff.customer_id)).region
            serving = await CalendarRepository(session).serving(kept.plan, region)
            if serving != kept.calendar:
                await clocks.note(handoff, CALENDAR_CHANGED, at, calendar_details(serving))
                kept = await clocks.load(handoff)
        return await HandoffRepository(session).get(handoff.id), kept

    async def _climb(self, session: Session, handoff: Handoff, step: DueStep, at: datetime) -> list[DeliveryId]:
        clocks, starts = ClockRepository(session, self._policy), list[DeliveryId]()
        details: Json = {"step": step.name, "dueAt": step.at.isoformat(), "does": [do.value for do in step.step.do]}
        await clocks.note(handoff, STEP_TAKEN, at, details)
        for action in step.step.do:
            match action:
                case SlaAction.BREACH:
                    await clocks.breach(handoff, step, at)
                    starts += await self._tell_of_breach(session, handoff, step, at)
                case SlaAction.RAISE_PRIORITY:
                    await clocks.raise_priority(handoff, at)
                case SlaAction.RELEASE if handoff.decision is None:
                    await HandoffClaims(session).release(handoff.id, "system", at, anyones=True)
                    await self._follow(session, handoff, at)
                case SlaAction.TELL_CUSTOMER if handoff.decision is None:
                    starts += await self._tell_customer(session, handoff, at)
                case _ if action in _NOTICES:
                    starts += await self._notify(session, handoff, step, _NOTICES[action], at)
                case _:
                    pass
        return starts

    async def _follow(self, session: Session, handoff: Handoff, at: datetime) -> None:
        """Nobody has it any more: what its claim held of the conversation goes back too."""
        now = await HandoffRepository(session).get(handoff.id)
        await TakeoverRepository(session).follow(now, "system", at, override=True)

    async def _tell_of_breach(
        self, session: Session, handoff: Handoff, step: DueStep, at: datetime
    ) -> tuple[DeliveryId, ...]:
        details: Json = {"clock": step.clock.value, "dueAt": step.at.isoformat()}
        await AuditRepository(session).append(AuditEvent(at, "system", "handoff.breached", handoff.id, details))
        data = {"interactionId": handoff.interaction_id, "clock": step.clock.value}
        event = DomainEvent(EventType.HANDOFF_BREACHED, handoff.id, at, data, key=step.clock.value)
        return await EventRepository(session).record(event)

    async def _notify(
        self, session: Session, handoff: Handoff, step: DueStep, kind: NotificationKind, at: datetime
    ) -> tuple[DeliveryId, ...]:
        details = {"clock": step.clock.value, "kind": handoff.kind.value, "reason": handoff.reason}
        return await NotificationRepository(session).notify(
            NewNotification(kind, handoff.id, at, details, key=step.name)
        )

    async def _tell_customer(self, session: Session, handoff: Handoff, at: datetime) -> tuple[DeliveryId, ...]:
        """On the channel the customer wrote on, and by e-mail where we have an address: they may not look any more."""
        interaction = await InteractionRepository(session).get(handoff.interaction_id)
        account = await CustomerRepository(session).get_account(handoff.customer_id)
        notice = NewDelivery(
            interaction_id=interaction.id,
            customer_id=handoff.customer_id,
            purpose=f"delay_notice.{handoff.id}",
            channel=interaction.channel.value,
            body=DELAYED,
            at=at,
            status=DeliveryStatus.DELIVERED,
        )
        deliveries = DeliveryRepository(session)
        await deliveries.add(notice)
        if not account.email:
            return ()
        mail = replace(notice, channel="email", status=DeliveryStatus.PENDING, sent_by_workflow=True)
        return (await deliveries.add(mail),)
