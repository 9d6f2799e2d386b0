"""The tables of handoffs and how one reads; `schema.handoffs` has the queries."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.handoff import HandoffDecision, HandoffKind, HandoffStatus
from domain.values import CustomerId, DecisionId, HandoffId, InteractionId, Json, Priority
from schema.base import OrganisationRow, UtcTime
from schema.session import Record


class HandoffRow(OrganisationRow, table=True):
    __tablename__ = "handoffs"
    __table_args__ = (
        UniqueConstraint("organisation", "interaction_id", "kind", "decision_id", postgresql_nulls_not_distinct=True),
        ForeignKeyConstraint(["organisation", "interaction_id"], ["interactions.organisation", "interactions.id"]),
        Index("handoffs_by_due", "organisation", "sla_due_at", "id"),
        Index(
            "handoffs_undecided", "organisation", "sla_due_at", "id", postgresql_where=text("decision IS NULL")
        ),
        Index("handoffs_by_customer", "organisation", "customer_id", "opened_at"),
        Index("handoffs_untold", "decided_at", postgresql_where=text("decision IS NOT NULL AND told_at IS NULL")),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    interaction_id: str
    customer_id: str
    kind: str
    status: str
    priority: str
    reason: str
    confidence: float
    decision_id: str | None
    digest: str
    proposed: list[Json] = Field(sa_type=JSONB)
    issues: list[Json] = Field(sa_type=JSONB)
    opened_at: datetime = Field(sa_type=UtcTime)
    sla_due_at: datetime = Field(sa_type=UtcTime)
    breached_at: datetime | None = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(sa_type=UtcTime)
    assignee: str | None
    decided_at: datetime | None = Field(sa_type=UtcTime)
    decided_by: str | None
    decision: str | None
    resolution: Json | None = Field(sa_type=JSONB)
    told_at: datetime | None = Field(sa_type=UtcTime)
    tell_at: datetime | None = Field(sa_type=UtcTime)
    consumed_at: datetime | None = Field(sa_type=UtcTime)


class HandoffEventRow(OrganisationRow, table=True):
    __tablename__ = "handoff_events"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "handoff_id"], ["handoffs.organisation", "handoffs.id"]),
        Index("handoff_events_by_handoff", "organisation", "handoff_id", "at", "id"),
    )

    id: str = Field(primary_key=True)
    handoff_id: str
    kind: str
    actor: str
    at: datetime = Field(sa_type=UtcTime)
    details: Json = Field(sa_type=JSONB)


@dataclass(frozen=True, slots=True)
class Handoff:
    """One thing that needs a person, with its clock and, in the end, what the person said."""

    id: HandoffId
    interaction_id: InteractionId
    customer_id: CustomerId
    kind: HandoffKind
    status: HandoffStatus
    priority: Priority
    reason: str
    confidence: float
    decision_id: DecisionId | None
    digest: str
    """What an approval binds to: exactly the actions in `proposed`."""
    proposed: tuple[Json, ...]
    issues: tuple[Json, ...]
    opened_at: datetime
    sla_due_at: datetime
    breached_at: datetime | None
    """The due time it missed, whenever that was noticed."""
    expires_at: datetime | None
    assignee: str | None
    decided_at: datetime | None
    decided_by: str | None
    decision: HandoffDecision | None
    resolution: Json | None
    told_at: datetime | None
    consumed_at: datetime | None
    """When the approval was used up."""


@dataclass(frozen=True, slots=True)
class HandoffEvent:
    kind: str
    actor: str
    at: datetime
    details: Json


COLUMNS = (
    "id, interaction_id, customer_id, kind, status, priority, reason, confidence, decision_id, digest, proposed,"
    " issues, opened_at, sla_due_at, breached_at, expires_at, assignee, decided_at, decided_by, decision, resolution,"
    " told_at, consumed_at"
)


def read_handoff(row: Record) -> Handoff:
    values = {name: getattr(row, name) for name in Handoff.__dataclass_fields__}
    values |= {
        "kind": HandoffKind(row.kind),
        "status": HandoffStatus(row.status),
        "priority": Priority(row.priority),
        "decision": HandoffDecision(row.decision) if row.decision else None,
        "proposed": tuple(row.proposed),
        "issues": tuple(row.issues),
    }
    return Handoff(**values)
