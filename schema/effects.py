"""The effect ledger: every consequence is reserved first, called under one key, and settled once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.errors import Conflict, HoldfastError
from domain.interaction import EffectState
from domain.values import EffectId, InteractionId, Json
from schema.audit import AuditEvent, AuditRepository
from schema.base import json_values
from schema.effect_rows import (
    EFFECT_COLUMNS,
    IS_TERMINAL,
    STANDING,
    Effect,
    EffectEvent,
    EffectStanding,
    Settled,
    read_effect,
    read_settled,
    read_standing,
)
from schema.money import ReservationLimits
from schema.reservations import Approval, Reservation, reserve
from schema.session import Session

__all__ = [
    "Approval",
    "Dispatched",
    "Effect",
    "EffectRepository",
    "EffectStanding",
    "Reservation",
    "ReservationLimits",
    "Settled",
]


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Go ahead: this attempt is on record. `attempt` fences it; give it back to `settle`."""

    effect: Effect
    attempt: int
    doubtful: bool
    """An earlier attempt may have happened, so that a refusal of this one does not mean that nothing did."""


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:organisation || ':' || :effect_id, 0))")
_THIS = "organisation = :organisation AND effect_id = :effect_id"
_DISPATCH = text(
    f"""
    WITH terminal AS (SELECT state, result, error_code FROM effect_events WHERE {_THIS} AND {IS_TERMINAL}),
    made AS (
        SELECT coalesce(max(attempt), 0) AS last,
               count(*) FILTER (WHERE state = 'dispatched') > count(*) FILTER (WHERE state = 'withdrawn') AS is_open
        FROM effect_events WHERE {_THIS}
    ), told AS (
        INSERT INTO effect_events (organisation, effect_id, attempt, state, error_code, at)
        SELECT e.organisation, e.id,
               CASE WHEN made.is_open AND NOT :idempotent THEN made.last ELSE made.last + 1 END,
               CASE WHEN made.is_open AND NOT :idempotent THEN 'unknown' ELSE 'dispatched' END,
               CASE WHEN made.is_open AND NOT :idempotent THEN 'attempt_lost' END, :at
        FROM effects e CROSS JOIN made
        WHERE e.organisation = :organisation AND e.id = :effect_id AND NOT EXISTS (SELECT FROM terminal)
        RETURNING attempt, state, error_code
    )
    SELECT {EFFECT_COLUMNS}, told.attempt, made.is_open, coalesce(told.state, terminal.state) AS state, terminal.result,
           coalesce(told.error_code, terminal.error_code) AS error_code
    FROM effects e CROSS JOIN made LEFT JOIN told ON true LEFT JOIN terminal ON true
    WHERE e.organisation = :organisation AND e.id = :effect_id
    """
)
_SETTLE = text(
    f"""
    WITH terminal AS (SELECT attempt, state FROM effect_events WHERE {_THIS} AND {IS_TERMINAL}),
    newest AS (SELECT max(attempt) AS attempt FROM effect_events WHERE {_THIS} AND state = 'dispatched')
    INSERT INTO effect_events (organisation, effect_id, attempt, state, result, error_code, at)
    SELECT :organisation, e.effect_id, e.attempt,
           CASE WHEN e.attempt < newest.attempt OR EXISTS (SELECT FROM terminal) THEN 'late' ELSE :state END,
           :result, :error_code, :at
    FROM effect_events e CROSS JOIN newest
    WHERE e.organisation = :organisation AND e.effect_id = :effect_id AND e.attempt = :attempt
        AND e.state = 'dispatched'
        AND NOT EXISTS (SELECT FROM terminal t WHERE t.attempt = :attempt AND t.state = :state)
    ON CONFLICT DO NOTHING RETURNING state
    """
).bindparams(*json_values("result"))
_SETTLE_ATOMIC = text(
    """
    INSERT INTO effect_events (organisation, effect_id, attempt, state, result, error_code, at)
    VALUES (:organisation, :effect_id, 1, :state, :result, :error_code, :at)
    ON CONFLICT DO NOTHING
    """
).bindparams(*json_values("result"))
_WITHDRAW = text(
    f"""
    INSERT INTO effect_events (organisation, effect_id, attempt, state, at)
    SELECT organisation, effect_id, attempt, 'withdrawn', :at FROM effect_events
    WHERE {_THIS} AND attempt = :attempt AND state = 'dispatched' AND NOT EXISTS (
        SELECT attempt FROM effect_events WHERE {_THIS} AND attempt BETWEEN 1 AND :attempt - 1
        GROUP BY attempt HAVING bool_and(state <> 'withdrawn'))
    ON CONFLICT DO NOTHING
    """
)
_UNDO = text(
    f"""
    INSERT INTO effect_events (organisation, effect_id, attempt, state, result, at)
    SELECT organisation, effect_id, attempt, 'undone', :result, :at FROM effect_events
    WHERE {_THIS} AND state = 'confirmed' ON CONFLICT DO NOTHING
    """
).bindparams(*json_values("result"))
_TERMINAL = text(f"SELECT state, result, error_code FROM effect_events WHERE {_THIS} AND {IS_TERMINAL}")
_OF_INTERACTION = text(STANDING + " e.interaction_id = :interaction_id ORDER BY e.ordinal")
_ONE = text(STANDING + " e.id = :effect_id")


class EffectRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def reserve(
        self,
        reservations: Sequence[Reservation],
        *,
        limits: ReservationLimits | None = None,
        approval: Approval | None = None,
    ) -> tuple[EffectId, ...]:
        """Reserve them all or none, in the caller's transaction; a repeat returns the first ids.

        Money is counted under lock: `ReservationRefused` if an invoice would give back more than it can, or the
        customer more than `limits` allow. An approval is used up by the first reservation; `ApprovalStale` if it is
        not there, not a yes, used before, or a yes to something else. `Conflict` if an ordinal stands for another
        call. After any of these errors nothing was reserved by this call, but the transaction must be rolled back
        if an approval was given.
        """
        return await reserve(self._session, reservations, limits=limits, approval=approval)

    async def dispatch(self, effect_id: EffectId, *, idempotent: bool, at: datetime) -> Dispatched | Settled:
        """Put an attempt on record; commit before calling out. What is settled stays settled.

        For a tool that is not idempotent an earlier attempt nobody reported on settles the effect as `unknown`:
        there is never a second call.
        """
        await self._session.first(_LOCK, effect_id=effect_id)
        row = await self._session.first(_DISPATCH, effect_id=effect_id, idempotent=idempotent, at=at)
        if row is None:
            raise _no_such_effect()
        if row.state == EffectEvent.DISPATCHED:
            return Dispatched(read_effect(row), row.attempt, bool(row.is_open))
        if row.attempt is not None:
            await self._put_on_record(effect_id, row.state, at)
        return read_settled(row)

    async def settle(
        self,
        effect_id: EffectId,
        attempt: int,
        state: EffectState,
        *,
        result: Json | None = None,
        error_code: str | None = None,
        at: datetime,
    ) -> Settled | None:
        """Report on an attempt: `confirmed`, `failed` or `unknown`. Returns how the effect stands afterwards.

        An attempt that was overtaken, by a newer one or by a verdict, is recorded as `late` and changes nothing;
        then the standing verdict is returned, or None while the newer attempt is still under way.
        """
        _check_terminal(state)
        await self._session.first(_LOCK, effect_id=effect_id)
        said = await self._session.first(
            _SETTLE, effect_id=effect_id, attempt=attempt, state=state, result=result, error_code=error_code, at=at
        )
        row = await self._session.first(_TERMINAL, effect_id=effect_id)
        if said and said.state == state:
            await self._put_on_record(effect_id, state, at)
        return None if row is None else read_settled(row)

    async def settle_atomic(
        self,
        effect_id: EffectId,
        state: EffectState,
        *,
        result: Json | None = None,
        error_code: str | None = None,
        at: datetime,
    ) -> Settled:
        """Settle a tool that wrote in this very transaction. A repeat returns the first verdict.

        `Conflict` if it had ended otherwise: the transaction, and with it what the tool wrote, must be rolled back.
        """
        _check_terminal(state)
        if await self._session.run(
            _SETTLE_ATOMIC, effect_id=effect_id, state=state, result=result, error_code=error_code, at=at
        ):
            return Settled(state, result, error_code)
        row = await self._session.first(_TERMINAL, effect_id=effect_id)
        if row is None or row.state != state:
            raise Conflict("the effect has another standing", reason="settled_otherwise")
        return read_settled(row)

    async def close(self, standing: EffectStanding, state: EffectState, error_code: str, at: datetime) -> None:
        """Settle what nobody will carry on with. An attempt begun since `standing` was read becomes `unknown`."""
        await self._session.first(_LOCK, effect_id=standing.effect.id)
        now = await self.get(standing.effect.id)
        state = state if now.attempt == standing.attempt else EffectState.UNKNOWN
        if now.attempt:
            await self.settle(now.effect.id, now.attempt, state, error_code=error_code, at=at)
        elif not now.state.is_final:
            await self.settle_atomic(now.effect.id, state, error_code=error_code, at=at)

    async def withdraw(self, effect_id: EffectId, attempt: int, at: datetime) -> None:
        """This attempt certainly did not happen: another one may be made, whatever the tool. Nothing changes if an
        earlier one may have happened: what became of the effect is not known by this one."""
        await self._session.first(_LOCK, effect_id=effect_id)
        await self._session.run(_WITHDRAW, effect_id=effect_id, attempt=attempt, at=at)

    async def undo(self, effect_id: EffectId, result: Json, at: datetime) -> bool:
        """A confirmed effect was taken back: its money is free again. False if not confirmed, or undone before."""
        await self._session.first(_LOCK, effect_id=effect_id)
        if undone := await self._session.run(_UNDO, effect_id=effect_id, result=result, at=at) == 1:
            await self._put_on_record(effect_id, EffectEvent.UNDONE, at)
        return undone

    async def _put_on_record(self, effect_id: EffectId, state: str, at: datetime) -> None:
        """What was settled in its interaction's own transaction is sealed with the interaction's end instead."""
        await AuditRepository(self._session).append(AuditEvent(at, "agent", f"effect.{state}", effect_id))

    async def get(self, effect_id: EffectId) -> EffectStanding:
        row = await self._session.first(_ONE, effect_id=effect_id)
        if row is None:
            raise _no_such_effect()
        return read_standing(row)

    async def list_for_interaction(self, interaction_id: InteractionId) -> tuple[EffectStanding, ...]:
        """In the order they were proposed."""
        return tuple(map(read_standing, await self._session.all(_OF_INTERACTION, interaction_id=interaction_id)))


def _check_terminal(state: EffectState) -> None:
    if state not in {EffectState.CONFIRMED, EffectState.FAILED, EffectState.UNKNOWN}:
        raise ValueError("an effect is settled as confirmed, failed or unknown")


def _no_such_effect() -> HoldfastError:
    return HoldfastError("no such effect", reason="effect_not_found")
