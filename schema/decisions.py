"""Decisions: what the rules said, on which facts, recorded once per stage of an interaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.decision import Decision
from domain.facts import Facts
from domain.proposal import Proposal
from domain.values import DecisionId, InteractionId, Json, Mode
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class DecisionRow(OrganisationRow, table=True):
    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("organisation", "interaction_id", "stage"),
        ForeignKeyConstraint(["organisation", "interaction_id"], ["interactions.organisation", "interactions.id"]),
        Index("decisions_newest", "organisation", "at", "id"),
    )

    id: str = Field(primary_key=True)
    interaction_id: str
    stage: str
    mode: str
    outcome: str
    priority: str
    intent: str
    confidence: float
    policy_version: int = Field(sa_type=BigInteger)
    digest: str
    decision: Json = Field(sa_type=JSONB)
    proposal: Json = Field(sa_type=JSONB)
    facts: Json = Field(sa_type=JSONB)
    at: datetime = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A decision with everything it was made from. The account is kept without name and addresses."""

    id: DecisionId
    interaction_id: InteractionId
    stage: str
    mode: Mode
    decision: Decision
    proposal: Proposal
    facts: Facts
    at: datetime


# The models' own JSON goes in as text: one serialisation, in Rust, instead of two in Python.
_RECORD = text(
    """
    INSERT INTO decisions (organisation, id, interaction_id, stage, mode, outcome, priority, intent, confidence,
                           policy_version, digest, decision, proposal, facts, at)
    VALUES (:organisation, :id, :interaction_id, :stage, :mode, :outcome, :priority, :intent, :confidence,
            :policy_version, :digest, CAST(:decision AS jsonb), CAST(:proposal AS jsonb), CAST(:facts AS jsonb), :at)
    ON CONFLICT (organisation, interaction_id, stage) DO NOTHING
    """
)
_COLUMNS = (
    "id, interaction_id, stage, mode, decision::text AS decision, proposal::text AS proposal, facts::text AS facts, at"
)
_FIND = text(
    f"""
    SELECT {_COLUMNS} FROM decisions
    WHERE organisation = :organisation AND interaction_id = :interaction_id AND stage = :stage
    """
)
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM decisions
    WHERE organisation = :organisation AND interaction_id = :interaction_id ORDER BY at, id
    """
)
_STAGE = text("SELECT stage FROM decisions WHERE organisation = :organisation AND id = :id")
_PERSONAL = {"account": {"name", "email", "phone"}}
"""Never looked at by a rule, so not needed to explain one."""


class DecisionRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def record_once(
        self,
        interaction_id: InteractionId,
        stage: str,
        decision: Decision,
        *,
        proposal: Proposal,
        facts: Facts,
        mode: Mode,
        at: datetime,
    ) -> tuple[DecisionId, Decision]:
        """Record it, or return the first record: whatever a repeat decided, the first decision stands."""
        decision_id = DecisionId(new_id("dec"))
        fresh = await self._session.run(
            _RECORD,
            id=decision_id,
            interaction_id=interaction_id,
            stage=stage,
            mode=mode,
            outcome=decision.outcome,
            priority=decision.priority,
            intent=decision.intent,
            confidence=decision.confidence,
            policy_version=decision.policy_version,
            digest=decision.digest,
            decision=decision.model_dump_json(),
            proposal=proposal.model_dump_json(),
            facts=facts.model_dump_json(exclude=_PERSONAL),
            at=at,
        )
        if fresh:
            return decision_id, decision
        first = await self.find(interaction_id, stage)
        assert first is not None
        return first.id, first.decision

    async def find(self, interaction_id: InteractionId, stage: str) -> RecordedDecision | None:
        row = await self._session.first(_FIND, interaction_id=interaction_id, stage=stage)
        return None if row is None else read_decision(row)

    async def stage_of(self, decision_id: DecisionId) -> str | None:
        row = await self._session.first(_STAGE, id=decision_id)
        return None if row is None else row.stage

    async def list(self, interaction_id: InteractionId) -> tuple[RecordedDecision, ...]:
        """Every stage's decision on this interaction, in order."""
        return tuple(read_decision(row) for row in await self._session.all(_LIST, interaction_id=interaction_id))


def read_decision(row: Record) -> RecordedDecision:
    return RecordedDecision(
        id=row.id,
        interaction_id=row.interaction_id,
        stage=row.stage,
        mode=Mode(row.mode),
        decision=Decision.model_validate_json(row.decision),
        proposal=Proposal.model_validate_json(row.proposal),
        facts=Facts.model_validate_json(row.facts),
        at=row.at,
    )
