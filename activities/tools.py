"""Carry out one reserved effect, through the ledger: dispatch → call with the key → confirm, fail or unknown."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import NoReturn

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import durable
from activities.retrying import Retries
from domain.errors import ToolFailure, ToolRefused, ToolUnavailable
from domain.facts import Account
from domain.interaction import CallInput, EffectOutcome, EffectState
from domain.ports import Failpoints, MailGateway, Ports
from domain.tools.tool import AnyTool, ToolCall
from domain.values import CustomerId, Json, Money, Priority
from schema.customers import CustomerRepository
from schema.effects import Dispatched, Effect, EffectRepository, Settled
from schema.invoices import InvoiceRepository
from schema.session import Database, Session
from schema.tickets import TicketRepository

HEARTBEAT_S = 1.0


class ToolActivities:
    def __init__(
        self,
        db: Database,
        *,
        tools: Mapping[str, AnyTool],
        mail: MailGateway,
        extra: Mapping[str, object],
        now: Callable[[], datetime],
        failpoints: Failpoints,
        retries: Retries | None = None,
    ) -> None:
        self._db = db
        self._tools = tools
        self._mail = mail
        self._extra = extra
        self._now = now
        self._failpoints = failpoints
        self._retries = retries or Retries()

    @activity.defn(name="tools.call")
    @durable
    async def call(self, request: CallInput) -> EffectOutcome:
        """Make the effect happen at most once. A settled effect is only reported; a late attempt cannot overwrite."""
        if request.effect.atomic:
            return await self._call_atomically(request)
        return await self._call_outside(request)

    @activity.defn(name="tools.give_up")
    @durable
    async def give_up(self, request: CallInput) -> EffectOutcome:
        """Attempts are used up: what may have happened becomes `unknown`, what surely did not becomes `failed`."""
        async with self._db.transaction(request.interaction.organisation) as session:
            ledger = EffectRepository(session)
            standing = await ledger.get(request.effect.effect_id)
            state = standing.state
            if not state.is_final:
                state = EffectState.UNKNOWN if state is EffectState.DISPATCHED else EffectState.FAILED
                await ledger.close(standing, state, "attempts_used_up", self._now())
        return EffectOutcome(effect_id=request.effect.effect_id, state=state)

    async def _call_atomically(self, request: CallInput) -> EffectOutcome:
        """The tool writes in our own database: its effect and the record of it are one transaction."""
        tool = self._tools[request.effect.tool]
        self._failpoints.hit("F4")
        try:
            async with self._db.transaction(request.interaction.organisation) as session:
                ledger = EffectRepository(session)
                standing = await ledger.get(request.effect.effect_id)
                if standing.state.is_final:
                    return EffectOutcome(effect_id=standing.effect.id, state=standing.state)
                call = self._tool_call(standing.effect)
                result = await tool.run(tool.parse(standing.effect.arguments), call, self._ports(session))
                self._failpoints.hit("F5")
                await ledger.settle_atomic(standing.effect.id, EffectState.CONFIRMED, result=result, at=self._now())
                self._failpoints.hit("F6")
        except ToolRefused as refusal:
            return await self._settle_refused(request, refusal)
        self._failpoints.hit("F7")
        return EffectOutcome(effect_id=request.effect.effect_id, state=EffectState.CONFIRMED)

    async def _settle_refused(self, request: CallInput, refusal: ToolRefused) -> EffectOutcome:
        async with self._db.transaction(request.interaction.organisation) as session:
            settled = await EffectRepository(session).settle_atomic(
                request.effect.effect_id, EffectState.FAILED, error_code=refusal.code, at=self._now()
            )
        return EffectOutcome(effect_id=request.effect.effect_id, state=settled.state)

    async def _call_outside(self, request: CallInput) -> EffectOutcome:
        tool = self._tools[request.effect.tool]
        async with self._db.transaction(request.interaction.organisation) as session:
            found = await EffectRepository(session).dispatch(
                request.effect.effect_id, idempotent=tool.idempotent, at=self._now()
            )
            if isinstance(found, Settled):
                return EffectOutcome(effect_id=request.effect.effect_id, state=found.state)
            call = self._tool_call(found.effect)
        self._retries.called(tool.name, activity.info().attempt)
        self._failpoints.hit("F4")
        state, result, code = await self._attempt(tool, found, call)
        self._failpoints.hit("F6")
        return await self._settle(request, found, state, result, code)

    async def _attempt(self, tool: AnyTool, found: Dispatched, call: ToolCall) -> tuple[EffectState, Json, str | None]:
        """One try. What is known afterwards: done, surely not done, or nobody can say."""
        try:
            async with _heartbeat(), asyncio.timeout(tool.timeout.total_seconds()):
                result = await tool.run(tool.parse(found.effect.arguments), call, self._outside_ports())
        except ToolRefused as refusal:
            return EffectState.FAILED, {}, refusal.code
        except ToolUnavailable as failure:
            return EffectState.RESERVED, {}, failure.code
        except ToolFailure as failure:
            return EffectState.UNKNOWN, {}, failure.code
        except Exception as error:  # anything else happened after we may have been heard
            activity.logger.warning("a tool failed in an undeclared way", extra={"error": type(error).__name__})
            return EffectState.UNKNOWN, {}, "tool_outcome_unknown"
        return EffectState.CONFIRMED, result, None

    async def _settle(
        self, request: CallInput, found: Dispatched, state: EffectState, result: Json, code: str | None
    ) -> EffectOutcome:
        """Record what is known. What may be tried again is tried again by Temporal, with the same key."""
        tool = self._tools[request.effect.tool]
        again = state is EffectState.RESERVED or (state is EffectState.UNKNOWN and tool.idempotent)
        if state is EffectState.FAILED and found.doubtful:
            state = EffectState.UNKNOWN  # this attempt did nothing; of the one before nobody knows
        async with self._db.transaction(request.interaction.organisation) as session:
            ledger = EffectRepository(session)
            if state is EffectState.RESERVED:
                await ledger.withdraw(found.effect.id, found.attempt, self._now())
            if not again:
                settled = await ledger.settle(
                    found.effect.id, found.attempt, state, result=result, error_code=code, at=self._now()
                )
                state = settled.state if settled else EffectState.DISPATCHED
        self._failpoints.hit("F7")
        if again:
            wait = self._retries.wait(tool.name, activity.info().attempt)
            raise ApplicationError(code or "tool_unavailable", type=code or "tool_unavailable", next_retry_delay=wait)
        return EffectOutcome(effect_id=found.effect.id, state=state)

    def _tool_call(self, effect: Effect) -> ToolCall:
        """Nothing personal: what carries the reply outside is a delivery, not a call."""
        return ToolCall(
            key=effect.key,
            interaction_id=effect.interaction_id,
            customer_id=effect.customer_id,
            account=Account(customer_id=effect.customer_id),
            reply="",
        )

    def _ports(self, session: Session) -> Ports:
        return Ports(
            accounts=CustomerRepository(session),
            billing=InvoiceRepository(session),
            tickets=TicketRepository(session),
            mail=self._mail,
            extra=self._extra,
        )

    def _outside_ports(self) -> Ports:
        """What a tool may reach while no transaction is open."""
        nothing = _OutOfReach()
        return Ports(accounts=nothing, billing=nothing, tickets=nothing, mail=self._mail, extra=self._extra)


class _OutOfReach:
    """Our own database is for atomic tools: a call to the outside must not hold a transaction open."""

    async def get_account(self, customer_id: CustomerId) -> NoReturn:
        raise ToolRefused("a tool that reads our database must be declared atomic")

    async def get_billing(self, customer_id: CustomerId) -> NoReturn:
        raise ToolRefused("a tool that reads our database must be declared atomic")

    async def refund(self, key: str, customer_id: CustomerId, invoice_id: str, amount: Money) -> NoReturn:
        raise ToolRefused("a tool that writes in our database must be declared atomic")

    async def create_ticket(
        self, key: str, customer_id: CustomerId, topic: str, priority: Priority, interaction_id: str
    ) -> NoReturn:
        raise ToolRefused("a tool that writes in our database must be declared atomic")


@contextlib.asynccontextmanager
async def _heartbeat() -> AsyncIterator[None]:
    """Tells Temporal every second that this process lives, so that a dead one is replaced within seconds."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_S)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
