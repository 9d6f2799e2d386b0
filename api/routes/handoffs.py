"""What needs a person: the queue, one of them with everything needed to decide, and whose hands it is in."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.auth import Caller, CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Body, Name, NewNote, ObjectId, Page
from api.handoff_detail import shown_detail, shown_summaries
from api.handoff_view import HandoffDetail, HandoffList
from api.idempotency import TakesNoKey
from api.operators import named_operator
from api.strict_json import StrictRoute
from domain.errors import HandoffAlreadyDecided
from domain.handoff import HandoffKind, HandoffStatus
from domain.values import HandoffId, Json, Priority
from schema.audit import AuditEvent, AuditRepository
from schema.clocks import ClockRepository
from schema.handoff_claims import Claimed, HandoffClaims
from schema.handoffs import HandoffFilters, HandoffRepository
from schema.session import Session
from schema.takeovers import TakeoverRepository
from schema.wakes import WakeRepository

router = APIRouter(prefix="/handoffs", tags=["handoffs"], route_class=StrictRoute)

HandoffPath = Annotated[ObjectId, Path(alias="handoffId")]


class HandoffQuery(Page):
    status: HandoffStatus | None = None
    kind: HandoffKind | None = None
    priority: Priority | None = None
    breached: bool | None = None
    assignee: Name | None = None
    mine: bool = False
    """Only what the caller holds."""

    def filters(self, caller: Caller, at: datetime) -> HandoffFilters:
        return HandoffFilters(
            status=self.status,
            kind=self.kind,
            priority=self.priority,
            breached=self.breached,
            assignee=caller.name if self.mine else self.assignee,
            at=at,
        )


class ReassignBody(Body):
    """To whom: the name of a live operator key of the organisation."""

    to: Name


class PriorityBody(Body):
    priority: Priority


class NoteBody(Body):
    """For other operators; the customer never sees it."""

    note: NewNote


@router.get("", summary="What needs a person, due first")
async def list_handoffs(
    caller: CallerDep, services: ServicesDep, query: Annotated[HandoffQuery, Query()]
) -> HandoffList:
    """Of what is due at the same time, the higher priority first. A claim that has run out is none."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    at = services.now()
    filters = query.filters(caller, at)
    async with services.db.transaction(caller.organisation) as session:
        page = await HandoffRepository(session).list(filters, limit=query.limit, cursor=query.cursor)
        return HandoffList(items=await shown_summaries(session, page.items, at), next_cursor=page.next_cursor)


@router.get("/{handoffId}", summary="One handoff, with everything needed to decide")
async def get_handoff(handoff_id: HandoffPath, caller: CallerDep, services: ServicesDep) -> HandoffDetail:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    return await shown_detail(services, caller.organisation, HandoffId(handoff_id))


@router.post("/{handoffId}/claim", summary="Take it, for a while", responses={409: {}})
async def claim_handoff(handoff_id: HandoffPath, caller: CallerDep, services: ServicesDep) -> HandoffDetail:
    """Holds until `claimedUntil`; claim again to renew. 409 names who holds it. Who you are comes from the key."""
    caller.need(Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        await HandoffRepository(session).lock(HandoffId(handoff_id))
        at = services.now()
        claimed = await HandoffClaims(session).claim(HandoffId(handoff_id), caller.name, at)
        await TakeoverRepository(session).follow(
            claimed.handoff, caller.name, at, override=Scope.ADMIN in caller.scopes
        )
        await _put_on_record(session, caller, at, "claimed", handoff_id, claimed)
    return await shown_detail(services, caller.organisation, HandoffId(handoff_id))


@router.post("/{handoffId}/release", summary="Give it back", responses={409: {}})
async def release_handoff(handoff_id: HandoffPath, caller: CallerDep, services: ServicesDep) -> HandoffDetail:
    """Your own; an admin also somebody else's."""
    caller.need(Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        before = await HandoffRepository(session).lock(HandoffId(handoff_id))
        at, anyones = services.now(), Scope.ADMIN in caller.scopes
        released = await HandoffClaims(session).release(HandoffId(handoff_id), caller.name, at, anyones=anyones)
        await TakeoverRepository(session).follow(released, caller.name, at)
        if released != before:
            await _put_on_record(session, caller, at, "released", handoff_id)
    return await shown_detail(services, caller.organisation, HandoffId(handoff_id))


@router.post("/{handoffId}/reassign", summary="Hand it on", responses={409: {}})
async def reassign_handoff(
    handoff_id: HandoffPath, body: ReassignBody, caller: CallerDep, services: ServicesDep
) -> HandoffDetail:
    """Your own, or one that nobody holds; an admin also somebody else's."""
    caller.need(Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        await HandoffRepository(session).lock(HandoffId(handoff_id))
        at, anyones = services.now(), Scope.ADMIN in caller.scopes
        handed = await HandoffClaims(session).reassign(HandoffId(handoff_id), body.to, caller.name, at, anyones=anyones)
        await TakeoverRepository(session).follow(handed.handoff, caller.name, at, override=anyones)
        await named_operator(session, body.to, caller, at, field="to")
        await _put_on_record(session, caller, at, "reassigned", handoff_id, handed, to=body.to)
    return await shown_detail(services, caller.organisation, HandoffId(handoff_id))


@router.post("/{handoffId}/priority", summary="Say how urgent it is", responses={409: {}})
async def prioritise_handoff(
    handoff_id: HandoffPath, body: PriorityBody, caller: CallerDep, services: ServicesDep
) -> HandoffDetail:
    """Its clocks get the targets of that priority; what they counted stays counted."""
    caller.need(Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        handoff, at = await HandoffRepository(session).lock(HandoffId(handoff_id)), services.now()
        clocks = ClockRepository(session, services.sla)
        if not await clocks.reprioritise(handoff, body.priority, caller.name, at):
            raise HandoffAlreadyDecided("it is decided", decision=handoff.decision, by=handoff.decided_by)
        await WakeRepository(session).wake(handoff.id, at)
        await _put_on_record(session, caller, at, "reprioritised", handoff_id, priority=body.priority.value)
    return await shown_detail(services, caller.organisation, HandoffId(handoff_id))


@router.post("/{handoffId}/notes", summary="Leave a note for other operators", dependencies=[TakesNoKey])
async def note_handoff(
    handoff_id: HandoffPath, body: NoteBody, caller: CallerDep, services: ServicesDep
) -> HandoffDetail:
    caller.need(Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        at = services.now()
        await HandoffClaims(session).note(HandoffId(handoff_id), caller.name, body.note, at)
        await _put_on_record(session, caller, at, "noted", handoff_id)
    return await shown_detail(services, caller.organisation, HandoffId(handoff_id))


@router.post("/{handoffId}/presence", summary="Say that you look at it", status_code=204)
async def look_at_handoff(handoff_id: HandoffPath, caller: CallerDep, services: ServicesDep) -> None:
    """Shown to the others for a minute; repeat it while you look."""
    caller.need(Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        await HandoffClaims(session).look(HandoffId(handoff_id), caller.name, services.now())


async def _put_on_record(
    session: Session,
    caller: Caller,
    at: datetime,
    what: str,
    handoff_id: str,
    claimed: Claimed | None = None,
    **details: str,
) -> None:
    lapsed = claimed.lapsed if claimed else None
    before: Json = {"assignee": lapsed}
    events = [AuditEvent(at, "system", "handoff.lease_expired", handoff_id, before)] if lapsed else []
    await AuditRepository(session).append(
        *events, AuditEvent(at, caller.name, f"handoff.{what}", handoff_id, dict(details))
    )
