"""The tables of handoffs and how one reads; `schema.handoffs` has the queries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.calendar import ALWAYS, Calendar
from domain.correction import continues
from domain.handoff import HandoffDecision, HandoffKind, HandoffStatus, OnExpiry, Resolution
from domain.values import CustomerId, DecisionId, HandoffId, InteractionId, Json, Plan, Priority
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
        Index(
            "handoffs_by_assignee", "organisation", "assignee", "sla_due_at",
            postgresql_where=text("decision IS NULL AND assignee IS NOT NULL"),
        ),
        Index("handoffs_by_customer", "organisation", "customer_id", "opened_at"),
        Index(
            "handoffs_unemptied", "organisation", "decided_at",
            postgresql_where=text("emptied_at IS NULL AND decided_at IS NOT NULL"),
        ),
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
    on_expiry: str | None
    revision: int
    assignee: str | None
    claimed_until: datetime | None = Field(sa_type=UtcTime)
    agreed_digest: str | None
    decided_at: datetime | None = Field(sa_type=UtcTime)
    decided_by: str | None
    decision: str | None
    resolution: Json | None = Field(sa_type=JSONB)
    told_at: datetime | None = Field(sa_type=UtcTime)
    tell_at: datetime | None = Field(sa_type=UtcTime)
    consumed_at: datetime | None = Field(sa_type=UtcTime)
    emptied_at: datetime | None = Field(sa_type=UtcTime)


class HandoffEventRow(OrganisationRow, table=True):
    __tablename__ = "handoff_events"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "handoff_id"], ["handoffs.organisation", "handoffs.id"]),
        Index("handoff_events_by_handoff", "organisation", "handoff_id", "at", "id"),
        Index("handoff_events_by_time", "organisation", "at"),
    )

    id: str = Field(primary_key=True)
    handoff_id: str
    kind: str
    actor: str
    at: datetime = Field(sa_type=UtcTime)
    details: Json = Field(sa_type=JSONB)


@dataclass(frozen=True, slots=True)
class NewHandoff:
    """One per interaction, kind and decision: opening it again returns the first, with the first id."""

    id: HandoffId
    interaction_id: InteractionId
    customer_id: CustomerId
    kind: HandoffKind
    priority: Priority
    reason: str
    """A code."""
    confidence: float
    decision_id: DecisionId | None
    digest: str
    proposed: Sequence[Json]
    issues: Sequence[Json]
    opened_at: datetime
    sla_due_at: datetime
    expires_at: datetime | None = None
    on_expiry: OnExpiry = OnExpiry.TAKEOVER
    plan: Plan = Plan.ENTERPRISE
    """Whose clocks it gets; unknown is the shortest."""
    calendar: Calendar = ALWAYS

    @property
    def terms(self) -> Json:
        """What its clocks start with: stands in its history, so that they can always be recomputed."""
        return {
            "reason": self.reason,
            "plan": self.plan.value,
            "priority": self.priority.value,
            "calendar": self.calendar.id,
            "calendarVersion": self.calendar.version,
        }


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
    """What an approval binds to: exactly the actions in `proposed`, as last edited."""
    proposed: tuple[Json, ...]
    revision: int
    """How often the arguments were edited."""
    issues: tuple[Json, ...]
    opened_at: datetime
    sla_due_at: datetime
    breached_at: datetime | None
    """The due time it missed, whenever that was noticed."""
    expires_at: datetime | None
    on_expiry: OnExpiry
    assignee: str | None
    claimed_until: datetime | None
    """Until when the assignee's claim holds."""
    decided_at: datetime | None
    decided_by: str | None
    decision: HandoffDecision | None
    resolution: Json | None
    told_at: datetime | None
    consumed_at: datetime | None
    """When the approval was used up."""

    @property
    def stage(self) -> str | None:
        """As what stage the last edit was recorded: the decision an approval lets run. None if nothing was edited."""
        return stage_of(self.id, self.revision) if self.revision else None

    @property
    def said(self) -> Resolution | None:
        """How it ended, in the words for its workflow."""
        if self.decision is None:
            return None
        return Resolution(
            handoff_id=self.id,
            decision=self.decision,
            on_expiry=self.on_expiry,
            continues=self.decision is HandoffDecision.RESOLVED and continues(self.resolution),
        )

    def is_over(self, at: datetime) -> bool:
        """Nobody decided in time: it cannot be decided any more."""
        return self.decision is None and self.expires_at is not None and self.expires_at <= at

    def has_lapsed(self, at: datetime) -> bool:
        """Somebody claimed it, and the claim has run out."""
        is_claimed = self.status is HandoffStatus.CLAIMED
        return is_claimed and (self.claimed_until is None or self.claimed_until <= at)

    def standing(self, at: datetime) -> "Handoff":
        """As it stands at `at`: a claim that has run out is none."""
        if not self.has_lapsed(at):
            return self
        return replace(self, status=HandoffStatus.OPEN, assignee=None, claimed_until=None)

    def others_claim(self, who: str, at: datetime) -> str | None:
        """Who else holds it."""
        standing = self.standing(at)
        is_others = standing.status is HandoffStatus.CLAIMED and standing.assignee != who
        return standing.assignee if is_others else None


@dataclass(frozen=True, slots=True)
class HandoffEvent:
    kind: str
    actor: str
    at: datetime
    details: Json


def stage_of(handoff_id: HandoffId, revision: int) -> str:
    """The stage of an interaction's decision that an edit of a handoff's proposal is recorded as."""
    return f"edited:{handoff_id}:{revision}"


_PLAIN = tuple(name for name in Handoff.__dataclass_fields__ if name not in {"digest", "proposed"})
COLUMNS = ", ".join((*(f"h.{name}" for name in _PLAIN), "coalesce(r.digest, h.digest) AS digest",
                     "coalesce(r.proposed, h.proposed) AS proposed"))  # fmt: skip
"""A handoff `h` with what is on the table now: as last edited, in its revision `r`."""
REVISED = (
    "LEFT JOIN handoff_revisions r"
    " ON r.organisation = h.organisation AND r.handoff_id = h.id AND r.revision = h.revision"
)


def read_handoff(row: Record) -> Handoff:
    values = {name: getattr(row, name) for name in Handoff.__dataclass_fields__}
    values |= {
        "kind": HandoffKind(row.kind),
        "status": HandoffStatus(row.status),
        "priority": Priority(row.priority),
        "decision": HandoffDecision(row.decision) if row.decision else None,
        "on_expiry": OnExpiry(row.on_expiry) if row.on_expiry else OnExpiry.TAKEOVER,
        "proposed": tuple(row.proposed),
        "issues": tuple(row.issues),
    }
    return Handoff(**values)
