"""What needs a person, and what the person says. The decision is taken in Postgres, once; then the workflow is told."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.answers import shown_effect
from api.auth import Caller, CallerDep, Scope
from api.deps import Services, ServicesDep
from api.fields import Body, Digest, Instant, Message, Note, ObjectId, Page
from api.meters import Meters, MetersDep
from api.strict_json import StrictRoute
from api.telling import tell
from domain.answer import ShownAction
from domain.errors import Conflict
from domain.handoff import HandoffDecision, HandoffKind, HandoffStatus
from domain.values import HandoffId, Json, Priority, Value
from schema.audit import AuditEvent, AuditRepository
from schema.effects import EffectRepository
from schema.handoffs import Decided, Handoff, HandoffFilters, HandoffRepository

router = APIRouter(prefix="/handoffs", tags=["handoffs"], route_class=StrictRoute)

HandoffPath = Annotated[ObjectId, Path(alias="handoffId")]


class HandoffQuery(Page):
    status: HandoffStatus | None = None
    kind: HandoffKind | None = None
    priority: Priority | None = None
    breached: bool | None = None


class ApproveBody(Body):
    """Yes, to exactly what the digest stands for."""

    digest: Digest
    note: Note | None = None


class RejectBody(Body):
    """No. Without a reply the customer is told, plainly, that it was declined."""

    reply: Message | None = None
    note: Note | None = None


class ResolveBody(Body):
    """A person's own answer to the customer."""

    reply: Message
    note: Note | None = None


class HandoffSummary(Value):
    id: str
    interaction_id: str
    customer_id: str
    kind: HandoffKind
    status: HandoffStatus
    priority: Priority
    reason: str
    """A code: why a person is needed."""
    confidence: float
    opened_at: Instant
    sla_due_at: Instant
    breached_at: Instant | None = None
    decision: HandoffDecision | None = None
    decided_at: Instant | None = None
    decided_by: str | None = None


class HandoffList(Value):
    items: tuple[HandoffSummary, ...]
    next_cursor: str | None = None


class HandoffMoment(Value):
    at: Instant
    kind: str
    actor: str
    details: Json = {}


class HandoffDetail(HandoffSummary):
    """Everything an operator needs, and the digest that binds a yes to it."""

    digest: str
    proposed: tuple[Json, ...] = ()
    """The actions an approval would let run, with exact arguments."""
    actions: tuple[ShownAction, ...] = ()
    """What was already done, is pending, or is unknown: not to be repeated by hand."""
    issues: tuple[Json, ...] = ()
    resolution: Json | None = None
    history: tuple[HandoffMoment, ...] = ()


@router.get("", summary="What needs a person, due first")
async def list_handoffs(
    caller: CallerDep, services: ServicesDep, query: Annotated[HandoffQuery, Query()]
) -> HandoffList:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    filters = HandoffFilters(status=query.status, kind=query.kind, priority=query.priority, breached=query.breached)
    async with services.db.transaction(caller.organisation) as session:
        page = await HandoffRepository(session).list(filters, limit=query.limit, cursor=query.cursor)
    return HandoffList(items=tuple(_summary(h) for h in page.items), next_cursor=page.next_cursor)


@router.get("/{handoffId}", summary="One handoff, with everything needed to decide")
async def get_handoff(handoff_id: HandoffPath, caller: CallerDep, services: ServicesDep) -> HandoffDetail:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    return await _detail(services, caller, HandoffId(handoff_id))


@router.post("/{handoffId}/approve", summary="Yes, to exactly these arguments", responses={409: {}})
async def approve_handoff(
    handoff_id: HandoffPath, body: ApproveBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    """Consumed once. A stale digest is 409; your own repeat returns the first answer; anybody else's is 409."""
    words = {"note": body.note} if body.note else None
    return await _decide(services, meters, caller, handoff_id, HandoffDecision.APPROVED, words, body.digest)


@router.post("/{handoffId}/reject", summary="No", responses={409: {}})
async def reject_handoff(
    handoff_id: HandoffPath, body: RejectBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    words = body.model_dump(mode="json", exclude_none=True)
    return await _decide(services, meters, caller, handoff_id, HandoffDecision.REJECTED, words)


@router.post("/{handoffId}/resolve", summary="Answer the customer yourself", responses={409: {}})
async def resolve_handoff(
    handoff_id: HandoffPath, body: ResolveBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    """Nothing that was proposed runs; your words go to the customer as written."""
    words = body.model_dump(mode="json", exclude_none=True)
    return await _decide(services, meters, caller, handoff_id, HandoffDecision.RESOLVED, words)


async def _decide(
    services: Services,
    meters: Meters,
    caller: Caller,
    handoff_id: str,
    decision: HandoffDecision,
    words: Json | None,
    digest: str | None = None,
) -> HandoffDetail:
    caller.need(Scope.OPERATOR)
    decided = await _record_decision(services, caller, HandoffId(handoff_id), decision, words, digest)
    if decided.first:
        meters.decided(decision)
    services.failpoints.hit("F9")
    if decided.record.told_at is None:
        await tell(services, caller.organisation, decided.record)
    return await _detail(services, caller, decided.record.id)


async def _record_decision(
    services: Services,
    caller: Caller,
    handoff_id: HandoffId,
    decision: HandoffDecision,
    words: Json | None,
    digest: str | None,
) -> Decided:
    """One row change decides; its audit entry is in the same transaction."""
    async with services.db.transaction(caller.organisation) as session:
        handoffs = HandoffRepository(session)
        if decision is HandoffDecision.APPROVED and (await handoffs.get(handoff_id)).kind is not HandoffKind.APPROVAL:
            raise Conflict("there is nothing to approve here: answer it with resolve or reject")
        at = services.now()
        decided = await handoffs.decide(handoff_id, decision, by=caller.name, at=at, digest=digest, resolution=words)
        if decided.first:
            event = AuditEvent(at, caller.name, f"handoff.{decision.value}", handoff_id)
            await AuditRepository(session).append(event)
    return decided


async def _detail(services: Services, caller: Caller, handoff_id: HandoffId) -> HandoffDetail:
    async with services.db.transaction(caller.organisation) as session:
        handoffs = HandoffRepository(session)
        handoff = await handoffs.get(handoff_id)
        history = await handoffs.events(handoff_id)
        effects = await EffectRepository(session).list_for_interaction(handoff.interaction_id)
    return HandoffDetail(
        **_summary(handoff).model_dump(by_alias=False),
        digest=handoff.digest,
        proposed=handoff.proposed,
        actions=tuple(shown_effect(s) for s in effects),
        issues=handoff.issues,
        resolution=handoff.resolution,
        history=tuple(HandoffMoment(at=e.at, kind=e.kind, actor=e.actor, details=e.details) for e in history),
    )


def _summary(handoff: Handoff) -> HandoffSummary:
    return HandoffSummary.model_validate(handoff, from_attributes=True)
