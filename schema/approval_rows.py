"""The tables of approvals: yeses, edits of what is proposed, and links that let one person say one word."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Column, ForeignKeyConstraint, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.values import HandoffId, Json
from schema.base import OrganisationRow, UtcTime


def _of_a_handoff() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["organisation", "handoff_id"], ["handoffs.organisation", "handoffs.id"])


class HandoffRevisionRow(OrganisationRow, table=True):
    __tablename__ = "handoff_revisions"
    __table_args__ = (
        _of_a_handoff(),
        ForeignKeyConstraint(["organisation", "decision_id"], ["decisions.organisation", "decisions.id"]),
    )

    handoff_id: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    decision_id: str
    stage: str
    from_digest: str
    digest: str
    proposed: list[Json] = Field(sa_type=JSONB)
    changes: list[Json] = Field(sa_type=JSONB)
    raises: bool
    actor: str
    at: datetime = Field(sa_type=UtcTime)
    person: str | None


class HandoffApprovalRow(OrganisationRow, table=True):
    __tablename__ = "handoff_approvals"
    __table_args__ = (_of_a_handoff(),)

    handoff_id: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    approver: str = Field(primary_key=True)
    scopes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    via: str
    note: str | None
    at: datetime = Field(sa_type=UtcTime)
    person: str | None


class HandoffLinkRow(OrganisationRow, table=True):
    __tablename__ = "handoff_links"
    __table_args__ = (_of_a_handoff(),)

    id: str = Field(primary_key=True)
    handoff_id: str
    digest: str
    approver: str
    created_by: str
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    used_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Revision:
    """One edit of what is proposed: by whom, which fields, and the digest that stands for it since."""

    revision: int
    from_digest: str
    digest: str
    proposed: tuple[Json, ...]
    changes: tuple[Json, ...]
    raises: bool
    """It asks for more money: whoever did that does not approve this handoff."""
    actor: str
    at: datetime
    person: str | None = None
    """The operator behind the actor, where that is a key."""


def raised_by(revisions: Iterable[Revision]) -> frozenset[str]:
    """Who asked for more money, under every name they go by."""
    return frozenset(name for r in revisions if r.raises for name in (r.actor, r.person) if name)


@dataclass(frozen=True, slots=True)
class GivenApproval:
    """One person's yes to one digest."""

    approver: str
    scopes: tuple[str, ...]
    """What the person could do when saying so."""
    via: str
    """`key`, or `link`."""
    note: str | None
    at: datetime
    person: str | None = None
    """The operator behind the approver, where that is a key."""


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link for one person, good for one word on one digest."""

    id: str
    handoff_id: HandoffId
    digest: str
    approver: str
    created_by: str
    created_at: datetime
    expires_at: datetime
