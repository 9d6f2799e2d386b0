"""One step of a delivery: may it leave, an attempt on record, the attempt itself, and what is known afterwards."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import SystemRandom

from temporalio import activity

from activities.announcing import announce, audit_dead_letter, owner_of, switch_off
from activities.carriers import Carried, Carriers, Parcel, Undeliverable
from activities.failures import durable
from activities.places import Places, heartbeating
from domain.consent import Never, QuietHours, Until, may_send, zone_of
from domain.delivery import (
    DeliveryRef,
    Failure,
    FailureKind,
    GiveUp,
    Receipt,
    SendInput,
    SendResult,
    next_attempt,
)
from domain.interaction import EffectState
from domain.ports import Failpoints
from domain.values import DeliveryId
from schema.consents import ConsentRepository
from schema.customers import CustomerRepository
from schema.deliveries import Delivery, DeliveryRepository, DeliveryStatus
from schema.delivery_attempts import AttemptRepository
from schema.effects import Dispatched, EffectRepository
from schema.session import Database, Session

HEARTBEAT_S = 1.0
PER_RECEIVER = 4
"""How many calls to one receiver a worker process makes at once: one that hangs holds four of a hundred places."""
BUSY_LONGEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is on record and not made yet."""

    delivery: Delivery
    parcel: Parcel
    attempt: int
    ledger_attempt: int | None
    """None: no effect stands behind it, or a person took it upon themselves after the ledger had closed."""


class DeliveryActivities:
    def __init__(
        self,
        db: Database,
        *,
        carriers: Carriers,
        now: Callable[[], datetime],
        failpoints: Failpoints,
        quiet: QuietHours | None = None,
        dice: Callable[[], float] | None = None,
    ) -> None:
        self._db = db
        self._carriers = carriers
        self._now = now
        self._failpoints = failpoints
        self._quiet = quiet or QuietHours()
        self._dice = dice or SystemRandom().random
        self._places = Places(PER_RECEIVER)

    @activity.defn(name="deliveries.send")
    @durable
    async def send(self, request: SendInput) -> SendResult:
        """One step, whatever is next for it: nothing, a wait, or one attempt. Never raises for what a receiver does:
        when to try again is in the result."""
        organisation = request.delivery.organisation
        with contextlib.ExitStack() as holding:
            async with self._db.transaction(organisation) as session:
                step = await self._prepare(session, request, holding)
            if isinstance(step, SendResult):
                return step
            self._failpoints.hit("F12")
            started = time.monotonic()
            carried = await self._attempt(step.parcel)
            took = timedelta(seconds=time.monotonic() - started)
            self._failpoints.hit("F13")
        async with self._db.transaction(organisation) as session:
            return await self._settle(session, step, carried, took)

    @activity.defn(name="deliveries.give_up")
    @durable
    async def give_up(self, ref: DeliveryRef) -> SendResult:
        """A step failed in a way nobody foresaw: a person looks. What may have arrived is not sent again by itself."""
        async with self._db.transaction(ref.organisation) as session:
            delivery = await DeliveryRepository(session).get(ref.delivery_id, lock=True)
            is_open = await AttemptRepository(session).is_open(delivery.id)
            if delivery.status is DeliveryStatus.PENDING:
                return await self._refuse(session, delivery, "outcome_unknown" if is_open else "internal")
            return SendResult(status=delivery.status, attempts=delivery.attempts, code=delivery.reason)

    async def _prepare(self, session: Session, request: SendInput, holding: contextlib.ExitStack) -> Begun | SendResult:
        """Everything before the attempt, in one transaction: once it commits, the attempt counts."""
        deliveries = DeliveryRepository(session)
        delivery = await deliveries.get(request.delivery.delivery_id, lock=True)
        await deliveries.mark_told(delivery.id, self._now())
        if delivery.status is not DeliveryStatus.PENDING:
            return await self._as_it_stands(session, delivery)
        if held := await self._gate(session, delivery):
            return held
        try:
            parcel = await self._carriers.prepare(session, delivery)
        except Undeliverable as reason:
            return await self._refuse(session, delivery, reason.code)
        if parcel.place and not holding.enter_context(self._places.one(parcel.place)):
            return self._busy(delivery, request.busy)
        return await self._begin(session, delivery, parcel)

    async def _begin(self, session: Session, delivery: Delivery, parcel: Parcel) -> Begun | SendResult:
        attempts, ledger_attempt = AttemptRepository(session), None
        if not parcel.schedule.recognises_repeats and await attempts.is_open(delivery.id):
            await self._close_ledger(session, parcel)
            return await self._refuse(session, delivery, "outcome_unknown")
        if parcel.effect is not None:
            found = await EffectRepository(session).dispatch(
                parcel.effect.id, idempotent=parcel.schedule.recognises_repeats, at=self._now()
            )
            if isinstance(found, Dispatched):
                ledger_attempt = found.attempt
            elif found.state is EffectState.CONFIRMED and not await attempts.came_back(delivery.id):
                await DeliveryRepository(session).mark(delivery.id, DeliveryStatus.DELIVERED, self._now())
                return SendResult(status=DeliveryStatus.DELIVERED, attempts=delivery.attempts)
            elif not delivery.round:
                unknown = found.state is EffectState.UNKNOWN
                return await self._refuse(session, delivery, "outcome_unknown" if unknown else "effect_failed")
        attempt = await attempts.begin(delivery, self._now(), parcel.message_id)
        return Begun(delivery, parcel, attempt, ledger_attempt)

    async def _close_ledger(self, session: Session, parcel: Parcel) -> None:
        """The ledger learns that nobody knows."""
        if parcel.effect is not None:
            ledger = EffectRepository(session)
            standing = await ledger.get(parcel.effect.id)
            if not standing.state.is_final:
                await ledger.close(standing, EffectState.UNKNOWN, "attempt_lost", self._now())

    async def _attempt(self, parcel: Parcel) -> Carried:
        try:
            async with heartbeating(), asyncio.timeout(parcel.timeout.total_seconds()):
                return await parcel.carry()
        except TimeoutError:
            return Carried(Failure(kind=FailureKind.AMBIGUOUS, code="timed_out"), {})
        except Exception as error:  # whatever it was, we may have been heard before
            activity.logger.warning("a carrier failed in an undeclared way", extra={"error": type(error).__name__})
            return Carried(Failure(kind=FailureKind.AMBIGUOUS, code="outcome_unknown"), {})

    async def _settle(self, session: Session, begun: Begun, carried: Carried, took: timedelta) -> SendResult:
        outcome = carried.outcome
        delivery = await DeliveryRepository(session).get(begun.delivery.id, lock=True)
        await self._tell_ledger(session, begun, carried)
        if isinstance(outcome, Receipt):
            mine = await AttemptRepository(session).deliver(delivery.id, begun.attempt, outcome, self._now(), took)
            status = DeliveryStatus.DELIVERED if mine else delivery.status
            return SendResult(status=status, attempts=begun.attempt)
        return await self._failed(session, begun, outcome, took)

    async def _failed(self, session: Session, begun: Begun, failure: Failure, took: timedelta) -> SendResult:
        attempts, delivery, now = AttemptRepository(session), begun.delivery, self._now()
        made = begun.attempt - delivery.attempts_before
        step = next_attempt(begun.parcel.schedule, made, failure, self._dice())
        told = await switch_off(session, delivery, now) if failure.kind is FailureKind.GONE else ()
        if isinstance(step, GiveUp):
            owner = owner_of(delivery)
            mine = await attempts.give_up(delivery.id, begun.attempt, step.reason, owner, failure, now, took)
            if mine:
                told += await self._announce(session, delivery, step.reason)
            return await self._now_at(session, delivery.id, code=step.reason, starts=told)
        await attempts.retry(delivery.id, begun.attempt, failure, now, took, step.wait)
        return await self._now_at(session, delivery.id, code=failure.code, wait=step.wait)

    async def _now_at(
        self,
        session: Session,
        delivery_id: DeliveryId,
        *,
        code: str,
        wait: timedelta | None = None,
        starts: tuple[DeliveryId, ...] = (),
    ) -> SendResult:
        """How it stands, which is not what this attempt said if the attempt had been overtaken."""
        now = await DeliveryRepository(session).get(delivery_id)
        return SendResult(status=now.status, attempts=now.attempts, code=code, wait=wait, starts=starts)

    async def _tell_ledger(self, session: Session, begun: Begun, carried: Carried) -> None:
        """Done is done; what surely did not happen may be tried again; of the rest, only what recognises a repeat."""
        if begun.parcel.effect is None or begun.ledger_attempt is None:
            return
        ledger, effect_id, outcome = EffectRepository(session), begun.parcel.effect.id, carried.outcome
        attempt, now = begun.ledger_attempt, self._now()
        if isinstance(outcome, Receipt):
            await ledger.settle(effect_id, attempt, EffectState.CONFIRMED, result=carried.result, at=now)
        elif outcome.kind is not FailureKind.AMBIGUOUS:
            await ledger.withdraw(effect_id, attempt, now)
        elif not begun.parcel.schedule.recognises_repeats:
            await ledger.settle(effect_id, attempt, EffectState.UNKNOWN, error_code=outcome.code, at=now)

    async def _gate(self, session: Session, delivery: Delivery) -> SendResult | None:
        if delivery.customer_id is None:
            return None
        consent = await ConsentRepository(session).current(delivery.customer_id, delivery.channel)
        account = await CustomerRepository(session).get_account(delivery.customer_id)
        now, zone = self._now(), zone_of(account.time_zone)
        match may_send(delivery.message_class, consent, now, quiet=self._quiet, zone=zone):
            case Never(code):
                return await self._refuse(session, delivery, code)
            case Until(at):
                await AttemptRepository(session).hold(delivery.id, "quiet_hours", now, at)
                return SendResult(status=delivery.status, attempts=delivery.attempts, code="quiet_hours", wait=at - now)
            case _:
                return None

    def _busy(self, delivery: Delivery, times: int) -> SendResult:
        """No attempt: the receiver has as many of ours as it gets. Longer each time, and never all at once again."""
        wait = min(timedelta(seconds=2 ** min(times, 6)), BUSY_LONGEST) * (0.5 + self._dice())
        return SendResult(status=delivery.status, attempts=delivery.attempts, code="busy", wait=wait, is_busy=True)

    async def _as_it_stands(self, session: Session, delivery: Delivery) -> SendResult:
        dead = delivery.status is DeliveryStatus.DEAD_LETTER
        told = await announce(session, delivery, delivery.reason or "unknown", self._now()) if dead else ()
        return SendResult(status=delivery.status, attempts=delivery.attempts, code=delivery.reason, starts=told)

    async def _refuse(self, session: Session, delivery: Delivery, code: str) -> SendResult:
        await AttemptRepository(session).refuse(delivery.id, code, owner_of(delivery), self._now())
        told = await self._announce(session, delivery, code)
        return SendResult(status=DeliveryStatus.DEAD_LETTER, attempts=delivery.attempts, code=code, starts=told)

    async def _announce(self, session: Session, delivery: Delivery, reason: str) -> tuple[DeliveryId, ...]:
        await audit_dead_letter(session, delivery, reason, self._now())
        return await announce(session, delivery, reason, self._now())
