"""What was decided and why; the same handoffs, seen from the decision."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.routing import Match
from starlette.types import Scope as AsgiScope

from api.auth import Caller, CallerDep, Scope
from api.deciding import Ending, Yes
from api.deps import Services, ServicesDep
from api.fields import Instant, Key, ObjectId, Page
from api.handoff_view import HandoffDetail
from api.meters import Meters, MetersDep
from api.routes.approvals import ApproveBody, RejectBody, decide_as
from api.strict_json import StrictRoute
from domain.decision import Decision, Outcome
from domain.errors import Conflict
from domain.handoff import HandoffDecision
from domain.proposal import Proposal
from domain.values import CustomerId, DecisionId, Intent, InteractionId, Json, Mode, Priority, Value
from domain.why import Why, why
from schema.decision_list import DecisionFilters, ListedDecision, approval_of, get_decision, list_decisions

EVALUATE = "/decisions/evaluate"


class DecisionRoute(StrictRoute):
    """Of one decision, whatever its id; `evaluate` is none, and has a route of its own."""

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        return (Match.NONE, {}) if scope["path"] == EVALUATE else super().matches(scope)


router = APIRouter(prefix="/decisions", tags=["decisions"], route_class=DecisionRoute)

DecisionPath = Annotated[ObjectId, Path(alias="decisionId")]


class DecisionSummary(Value):
    id: str
    interaction_id: str
    customer_id: str
    stage: str
    """`first`, or which correction or edit led to it."""
    at: Instant
    mode: Mode
    outcome: Outcome
    priority: Priority
    intent: Intent
    confidence: float
    reason: str | None = None
    """The code of what decided it."""

    @classmethod
    def of(cls, listed: ListedDecision) -> "DecisionSummary":
        record, decision = listed.record, listed.record.decision
        return cls(
            id=record.id, interaction_id=record.interaction_id, customer_id=listed.customer_id, stage=record.stage,
            at=record.at, mode=record.mode, outcome=decision.outcome, priority=decision.priority,
            intent=decision.intent, confidence=decision.confidence,
            reason=decision.reasons[0].code if decision.reasons else None,
        )  # fmt: skip


class DecisionPage(Value):
    items: tuple[DecisionSummary, ...]
    next_cursor: str | None = None


class DecisionDetail(DecisionSummary):
    decision: Decision
    proposal: Proposal
    """What was suggested, by whom."""
    facts: Json
    """Everything the rules saw, without names and addresses."""
    why: Why
    handoff_id: str | None = None
    """The approval that was asked for, if one was."""


class DecisionQuery(Page):
    customer_id: Key | None = None
    interaction_id: ObjectId | None = None
    outcome: Outcome | None = None
    intent: Intent | None = None
    mode: Mode | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None

    def filters(self) -> DecisionFilters:
        return DecisionFilters(
            customer_id=CustomerId(self.customer_id) if self.customer_id else None,
            interaction_id=InteractionId(self.interaction_id) if self.interaction_id else None,
            outcome=self.outcome,
            intent=self.intent,
            mode=self.mode,
            since=self.from_,
            until=self.to,
        )


@router.get("", summary="Decisions, newest first")
async def get_decisions(
    caller: CallerDep, services: ServicesDep, query: Annotated[DecisionQuery, Query()]
) -> DecisionPage:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        page = await list_decisions(session, query.filters(), limit=query.limit, cursor=query.cursor)
    return DecisionPage(items=tuple(DecisionSummary.of(listed) for listed in page.items), next_cursor=page.next_cursor)


@router.get("/{decisionId}", summary="One decision, with everything it rests on")
async def get_one_decision(decision_id: DecisionPath, caller: CallerDep, services: ServicesDep) -> DecisionDetail:
    """`why` is recomputed from what is on record: every rule that was tried, the facts, the thresholds."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        listed = await get_decision(session, DecisionId(decision_id))
        handoff_id = await approval_of(session, listed)
    record = listed.record
    return DecisionDetail(
        **DecisionSummary.of(listed).model_dump(by_alias=False),
        decision=record.decision,
        proposal=record.proposal,
        facts=record.facts.model_dump(mode="json", exclude={"account": {"name", "email", "phone"}}),
        why=why(record.decision, record.proposal, record.facts, services.rules),
        handoff_id=handoff_id,
    )


@router.post("/{decisionId}/approve", summary="Yes, to exactly these arguments", responses={409: {}})
async def approve_decision(
    decision_id: DecisionPath, body: ApproveBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    """As `POST /handoffs/{handoffId}/approve` of the approval that was asked for on this decision."""
    return await _say(services, meters, caller, DecisionId(decision_id), body.yes())


@router.post("/{decisionId}/reject", summary="No", responses={409: {}})
async def reject_decision(
    decision_id: DecisionPath, body: RejectBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    words = body.model_dump(mode="json", exclude_none=True)
    return await _say(services, meters, caller, DecisionId(decision_id), Ending(HandoffDecision.REJECTED, words))


async def _say(
    services: Services, meters: Meters, caller: Caller, decision_id: DecisionId, word: Yes | Ending
) -> HandoffDetail:
    caller.need(Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        handoff_id = await approval_of(session, await get_decision(session, decision_id))
    if handoff_id is None:
        raise Conflict("nobody was asked to approve this decision")
    return await decide_as(services, meters, caller, handoff_id, word)
