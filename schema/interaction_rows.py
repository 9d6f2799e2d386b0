"""The table of interactions and how one reads; `schema.interactions` has the queries."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.assurance import Assurance
from domain.decision import Outcome
from domain.interaction import InteractionStatus
from domain.proposal import Proposal
from domain.values import (
    Channel,
    ConversationId,
    CustomerId,
    HandoffId,
    Intent,
    InteractionId,
    Json,
    Mode,
    OrganisationId,
    RequestId,
)
from schema.base import OrganisationRow, UtcTime
from schema.customer_keys import keys_of
from schema.sealed import opened
from schema.session import Record, Session


class InteractionRow(OrganisationRow, table=True):
    __tablename__ = "interactions"
    __table_args__ = (
        UniqueConstraint("organisation", "customer_id", "request_id"),
        ForeignKeyConstraint(["organisation", "customer_id"], ["customers.organisation", "customers.id"]),
        Index("interactions_newest", "organisation", "created_at", "id"),
        Index("interactions_by_customer", "organisation", "customer_id", "created_at", "id"),
        Index("interactions_by_conversation", "organisation", "conversation_id", "created_at", "id"),
        Index("interactions_by_intent", "organisation", "intent", "created_at", "id"),
        Index(
            "interactions_by_status", "organisation", "status", "created_at", "id",
            postgresql_where=text("status <> 'completed'"),
        ),
        Index("interactions_answered", "organisation", "answered_at", postgresql_where=text("answered_at IS NOT NULL")),
        Index(
            "interactions_finished_later", "organisation", "finished_at",
            postgresql_where=text("finished_at IS NOT NULL AND finished_at IS DISTINCT FROM answered_at"),
        ),
        Index(
            "interactions_unfinished", "organisation", "status", "created_at",
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "interactions_unanswered", "created_at",
            postgresql_where=text("status = 'running' AND finished_at IS NULL"),
        ),
        Index(
            "interactions_unemptied", "organisation", "finished_at",
            postgresql_where=text("emptied_at IS NULL AND finished_at IS NOT NULL"),
        ),
        Index("interactions_shadow", "organisation", "created_at", "id", postgresql_where=text("mode = 'shadow'")),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    customer_id: str
    request_id: str
    conversation_id: str
    channel: str
    mode: str
    message: str
    proposal: Json | None = Field(sa_type=JSONB)
    fingerprint: str
    body_fields: Json = Field(sa_type=JSONB)
    workflow_id: str
    blocked_by: str | None
    status: str
    intent: str | None
    confidence: float | None
    outcome: str | None
    reply: str | None
    answer: Json | None = Field(sa_type=JSONB)
    handoff_id: str | None
    created_at: datetime = Field(sa_type=UtcTime)
    answered_at: datetime | None = Field(sa_type=UtcTime)
    finished_at: datetime | None = Field(sa_type=UtcTime)
    resumes: int = Field(sa_column_kwargs={"server_default": text("0")})
    look_at: datetime | None = Field(sa_type=UtcTime)
    emptied_at: datetime | None = Field(sa_type=UtcTime)
    assurance: str = Field(sa_column_kwargs={"server_default": text("'vouched'")})


@dataclass(frozen=True, slots=True)
class Interaction:
    organisation: OrganisationId
    id: InteractionId
    customer_id: CustomerId
    request_id: RequestId
    conversation_id: ConversationId
    channel: Channel
    mode: Mode
    message: str
    workflow_id: str
    status: InteractionStatus
    intent: Intent | None
    confidence: float | None
    outcome: Outcome | None
    reply: str | None
    answer: Json | None
    """The first answer, as it was given."""
    handoff_id: HandoffId | None
    created_at: datetime
    answered_at: datetime | None
    finished_at: datetime | None
    blocked_by: str | None = None
    """Why a person must finish it, whatever the agent would do: a code."""
    assurance: Assurance = Assurance.NONE
    """How it is known that the customer asks."""
    proposal: Proposal | None = None
    """What somebody else's agent suggests, instead of a message."""


COLUMNS = (
    "organisation, id, customer_id, request_id, conversation_id, channel, mode, message, workflow_id, status, intent,"
    " confidence, outcome, reply, answer, handoff_id, created_at, answered_at, finished_at, blocked_by,"
    " assurance, proposal"
)


SEALED = {"message": "interactions.message"}
KEYS = keys_of("interactions.organisation", "interactions.message")
"""Of a statement that shows `COLUMNS`, as its column `keys`."""


async def read_interactions(session: Session, rows: Iterable[Record]) -> tuple[Interaction, ...]:
    """What the rows say, with what is sealed in clear."""
    return tuple(map(read_interaction, await opened(session, rows, SEALED)))


def read_interaction(row: Record) -> Interaction:
    return Interaction(
        organisation=row.organisation,
        id=row.id,
        customer_id=row.customer_id,
        request_id=row.request_id,
        conversation_id=row.conversation_id,
        channel=Channel(row.channel),
        mode=Mode(row.mode),
        message=row.message,
        workflow_id=row.workflow_id,
        status=InteractionStatus(row.status),
        intent=Intent(row.intent) if row.intent else None,
        confidence=row.confidence,
        outcome=Outcome(row.outcome) if row.outcome else None,
        reply=row.reply,
        answer=row.answer,
        handoff_id=row.handoff_id,
        created_at=row.created_at,
        answered_at=row.answered_at,
        finished_at=row.finished_at,
        blocked_by=row.blocked_by,
        assurance=Assurance(row.assurance),
        proposal=Proposal.model_validate(row.proposal) if row.proposal else None,
    )
