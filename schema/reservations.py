"""Reserving effects: in the transaction that decides them, under the locks that make their limits true."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.errors import ApprovalStale, Conflict
from domain.tools.tool import EffectClass
from domain.values import CustomerId, DecisionId, EffectId, HandoffId, InteractionId, Json, Money
from schema.base import new_id
from schema.money import Amount, ReservationLimits, check_money
from schema.session import Session


@dataclass(frozen=True, slots=True)
class Reservation:
    """One wanted effect. `ordinal` numbers the effects of an interaction: the same number is the same effect."""

    interaction_id: InteractionId
    decision_id: DecisionId
    customer_id: CustomerId
    ordinal: int
    tool: str
    effect_class: EffectClass
    arguments: Json
    digest: str
    policy_version: int
    at: datetime
    subject: str | None = None
    money: Money | None = None
    handoff_id: HandoffId | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to exactly what the digest stands for. Good for one reservation."""

    handoff_id: HandoffId
    digest: str


_RESERVED = text(
    """
    SELECT ordinal, id, digest FROM effects
    WHERE organisation = :organisation AND interaction_id = :interaction_id
        AND ordinal = ANY(CAST(:ordinals AS integer[]))
    """
)
_RESERVE = text(
    """
    INSERT INTO effects (organisation, id, key, interaction_id, decision_id, handoff_id, customer_id, ordinal, tool,
                         effect_class, arguments, digest, subject, amount, currency, policy_version, reserved_at)
    SELECT :organisation, r.id, r.id, r.interaction_id, r.decision_id, r.handoff_id, r.customer_id, r.ordinal, r.tool,
           r.effect_class, r.arguments, r.digest, r.subject, r.amount, r.currency, r.policy_version, r.reserved_at
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
        id varchar, interaction_id varchar, decision_id varchar, handoff_id varchar, customer_id varchar,
        ordinal integer, tool varchar, effect_class varchar, arguments jsonb, digest varchar, subject varchar,
        amount bigint, currency varchar, policy_version bigint, reserved_at timestamptz)
    ON CONFLICT (organisation, interaction_id, ordinal) DO NOTHING
    """
)
_CONSUME = text(
    """
    UPDATE handoffs SET consumed_at = :at
    WHERE organisation = :organisation AND id = :handoff_id AND coalesce(agreed_digest, digest) = :digest
        AND decision = 'approved' AND consumed_at IS NULL
    """
)


async def reserve(
    session: Session,
    reservations: Sequence[Reservation],
    *,
    limits: ReservationLimits | None,
    approval: Approval | None,
) -> tuple[EffectId, ...]:
    if not reservations:
        return ()
    before = await _reserved(session, reservations) if approval or _amounts(reservations) else {}
    fresh = [r for r in reservations if r.ordinal not in before]
    if fresh:
        before |= await _reserve_fresh(session, fresh, limits, approval)
    return tuple(before[r.ordinal] for r in reservations)


async def consume_approval(session: Session, approval: Approval, at: datetime) -> None:
    consumed = await session.run(_CONSUME, handoff_id=approval.handoff_id, digest=approval.digest, at=at)
    if consumed != 1:
        raise ApprovalStale("there is no unused approval of exactly this", handoff_id=approval.handoff_id)


async def _reserve_fresh(
    session: Session, fresh: Sequence[Reservation], limits: ReservationLimits | None, approval: Approval | None
) -> dict[int, EffectId]:
    if approval is not None:
        await consume_approval(session, approval, fresh[0].at)
    if amounts := _amounts(fresh):
        await check_money(session, fresh[0].customer_id, amounts, limits, fresh[0].at)
    ids = {r.ordinal: EffectId(new_id("eff")) for r in fresh}
    stored = await session.run(_RESERVE, rows=json.dumps([_columns(r, ids[r.ordinal], approval) for r in fresh]))
    return ids if stored == len(fresh) else await _reserved(session, fresh)


def _amounts(reservations: Sequence[Reservation]) -> list[Amount]:
    if len({(r.interaction_id, r.customer_id) for r in reservations}) > 1:
        raise ValueError("effects are reserved for one interaction of one customer at a time")
    if any(r.effect_class is EffectClass.MONEY and r.money is None for r in reservations):
        raise ValueError("a money effect needs an amount")
    return [Amount(r.money, r.subject) for r in reservations if r.effect_class is EffectClass.MONEY and r.money]


async def _reserved(session: Session, wanted: Sequence[Reservation]) -> dict[int, EffectId]:
    rows = await session.all(_RESERVED, interaction_id=wanted[0].interaction_id, ordinals=[r.ordinal for r in wanted])
    digests = {r.ordinal: r.digest for r in wanted}
    if any(row.digest != digests[row.ordinal] for row in rows):
        raise Conflict("an effect with this number was reserved with other arguments", reason="ordinal_taken")
    return {row.ordinal: EffectId(row.id) for row in rows}


def _columns(reservation: Reservation, effect_id: EffectId, approval: Approval | None) -> Json:
    money = reservation.money
    return {
        "id": effect_id,
        "interaction_id": reservation.interaction_id,
        "decision_id": reservation.decision_id,
        "handoff_id": approval.handoff_id if approval else reservation.handoff_id,
        "customer_id": reservation.customer_id,
        "ordinal": reservation.ordinal,
        "tool": reservation.tool,
        "effect_class": reservation.effect_class,
        "arguments": reservation.arguments,
        "digest": reservation.digest,
        "subject": reservation.subject,
        "amount": money and money.amount,
        "currency": money and money.currency,
        "policy_version": reservation.policy_version,
        "reserved_at": reservation.at.isoformat(),
    }
