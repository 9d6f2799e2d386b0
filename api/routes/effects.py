"""One effect, and why it happened."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Instant, ObjectId
from api.strict_json import StrictRoute
from domain.decision import Decision
from domain.values import EffectId, Json, Value
from schema.effect_story import effect_story

router = APIRouter(prefix="/effects", tags=["effects"], route_class=StrictRoute)


class ExplainedEffect(Value):
    id: str
    tool: str
    arguments: Json
    digest: str
    """Of this very call. Approvals are bound to the digest of everything proposed together, `handoff.digest`."""
    policy_version: int
    reserved_at: Instant


class ExplainedRequest(Value):
    """What the customer asked for."""

    id: str
    request_id: str
    customer_id: str
    mode: str
    channel: str
    created_at: Instant
    message: str


class ExplainedDecision(Value):
    id: str
    stage: str
    """`first`, or which correction or edit led to it."""
    at: Instant
    decision: Decision
    facts: Json
    """Everything the rules saw, without names and addresses."""


class ExplainedHandoff(Value):
    id: str
    kind: str
    reason: str
    digest: str
    decision: str | None = None
    decided_by: str | None = None
    decided_at: Instant | None = None


class ExplainedApproval(Value):
    approver: str
    via: str
    digest: str
    at: Instant


class ExplainedEvent(Value):
    attempt: int
    state: str
    at: Instant
    error_code: str | None = None
    result: Json | None = None


class ExplainedDelivery(Value):
    id: str
    channel: str
    status: str
    reason: str | None = None
    created_at: Instant


class Explained(Value):
    """From an effect back to the request, the facts, the rules and the people behind it, and on to its attempts."""

    effect: ExplainedEffect
    request: ExplainedRequest
    decision: ExplainedDecision
    handoff: ExplainedHandoff | None = None
    """None: the rules allowed it by themselves."""
    approvals: tuple[ExplainedApproval, ...] = ()
    events: tuple[ExplainedEvent, ...] = ()
    deliveries: tuple[ExplainedDelivery, ...] = ()


@router.get("/{effectId}", summary="Why this happened, who allowed it, and what was tried")
async def get_effect(
    effect_id: Annotated[ObjectId, Path(alias="effectId")], caller: CallerDep, services: ServicesDep
) -> Explained:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        return Explained.model_validate(await effect_story(session, EffectId(effect_id)))
