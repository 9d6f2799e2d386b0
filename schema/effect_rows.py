"""The effect ledger's two tables and how an effect reads; `schema.effects` has what may happen to one.

An effect is an immutable reservation. What became of it is a list of events:

    reserved → dispatched → confirmed | failed | unknown        one of these three, once, for ever
                   ↓ ↑            ↓
               withdrawn       undone                           `late`: said by an attempt that had been overtaken
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.interaction import EffectState
from domain.tools.tool import EffectClass
from domain.values import CustomerId, DecisionId, EffectId, HandoffId, InteractionId, Json, Money
from schema.base import OrganisationRow, UtcTime
from schema.session import Record


class EffectRow(OrganisationRow, table=True):
    __tablename__ = "effects"
    __table_args__ = (
        UniqueConstraint("organisation", "key"),
        UniqueConstraint("organisation", "interaction_id", "ordinal"),
        ForeignKeyConstraint(["organisation", "interaction_id"], ["interactions.organisation", "interactions.id"]),
        ForeignKeyConstraint(["organisation", "decision_id"], ["decisions.organisation", "decisions.id"]),
        ForeignKeyConstraint(["organisation", "handoff_id"], ["handoffs.organisation", "handoffs.id"]),
        Index("effects_by_customer", "organisation", "customer_id", "reserved_at"),
        Index(
            "effects_money", "organisation", "customer_id", "subject", postgresql_where=text("effect_class = 'money'")
        ),
    )

    id: str = Field(primary_key=True)
    key: str
    interaction_id: str
    decision_id: str
    handoff_id: str | None
    customer_id: str
    ordinal: int
    tool: str
    effect_class: str
    arguments: Json = Field(sa_type=JSONB)
    digest: str
    subject: str | None
    amount: int | None = Field(sa_type=BigInteger)
    currency: str | None
    policy_version: int = Field(sa_type=BigInteger)
    reserved_at: datetime = Field(sa_type=UtcTime)


class EffectEventRow(OrganisationRow, table=True):
    __tablename__ = "effect_events"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "effect_id"], ["effects.organisation", "effects.id"]),
        Index(
            "effect_events_terminal",
            "organisation",
            "effect_id",
            unique=True,
            postgresql_where=text("state IN ('confirmed', 'failed', 'unknown')"),
        ),
        Index("effect_events_by_time", "organisation", "at"),
        Index("effect_events_unknown", "organisation", "at", postgresql_where=text("state = 'unknown'")),
        Index(
            "effect_events_undone", "organisation", "effect_id", unique=True, postgresql_where=text("state = 'undone'")
        ),
    )

    effect_id: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    state: str = Field(primary_key=True)
    result: Json | None = Field(sa_type=JSONB)
    error_code: str | None
    at: datetime = Field(sa_type=UtcTime)


class EffectEvent(StrEnum):
    """What the ledger can say about an attempt."""

    DISPATCHED = "dispatched"
    WITHDRAWN = "withdrawn"
    """This attempt certainly did not happen: another may be made."""
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Effect:
    """One reserved consequence, exactly as it may be carried out."""

    id: EffectId
    key: str
    """Given to the outside system on every attempt, always the same."""
    interaction_id: InteractionId
    decision_id: DecisionId
    handoff_id: HandoffId | None
    """The approval it rests on, if a person gave one."""
    customer_id: CustomerId
    ordinal: int
    tool: str
    effect_class: EffectClass
    arguments: Json
    digest: str
    subject: str | None
    money: Money | None
    policy_version: int
    reserved_at: datetime


@dataclass(frozen=True, slots=True)
class EffectStanding:
    """An effect and where it stands."""

    effect: Effect
    state: EffectState
    attempt: int
    """The last attempt made; 0 before the first."""
    result: Json | None
    error_code: str | None
    at: datetime
    """Since when it stands there."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How it ended. Nothing will change this but an `undone`."""

    state: EffectState
    result: Json | None
    error_code: str | None


EFFECT_COLUMNS = (
    "e.id, e.key, e.interaction_id, e.decision_id, e.handoff_id, e.customer_id, e.ordinal, e.tool, e.effect_class,"
    " e.arguments, e.digest, e.subject, e.amount, e.currency, e.policy_version, e.reserved_at"
)
IS_TERMINAL = "state IN ('confirmed', 'failed', 'unknown')"
STANDING = f"""
    SELECT {EFFECT_COLUMNS}, s.state, s.attempt, s.result, s.error_code, s.at
    FROM effects e LEFT JOIN LATERAL (
        SELECT state, attempt, result, error_code, at FROM effect_events v
        WHERE v.organisation = e.organisation AND v.effect_id = e.id AND v.state <> 'late'
        ORDER BY CASE WHEN state = 'undone' THEN 0 WHEN {IS_TERMINAL} THEN 1 ELSE 2 END, attempt DESC,
                 state = 'withdrawn' DESC
        LIMIT 1
    ) s ON true
    WHERE e.organisation = :organisation AND
"""
"""Selects effects with where they stand; the rest of the condition follows."""


def read_effect(row: Record) -> Effect:
    return Effect(
        id=row.id,
        key=row.key,
        interaction_id=row.interaction_id,
        decision_id=row.decision_id,
        handoff_id=row.handoff_id,
        customer_id=row.customer_id,
        ordinal=row.ordinal,
        tool=row.tool,
        effect_class=EffectClass(row.effect_class),
        arguments=row.arguments,
        digest=row.digest,
        subject=row.subject,
        money=None if row.amount is None else Money(amount=row.amount, currency=row.currency),
        policy_version=row.policy_version,
        reserved_at=row.reserved_at,
    )


def read_standing(row: Record) -> EffectStanding:
    resting = row.state is None or row.state == EffectEvent.WITHDRAWN
    return EffectStanding(
        effect=read_effect(row),
        state=EffectState.RESERVED if resting else EffectState(row.state),
        attempt=row.attempt or 0,
        result=row.result,
        error_code=row.error_code,
        at=row.at or row.reserved_at,
    )


def read_settled(row: Record) -> Settled:
    return Settled(EffectState(row.state), row.result, row.error_code)
