"""Legal holds: what keeps data that would end, by time or because somebody asks to be forgotten."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.auth import Caller, CallerDep, Scope
from api.deps import Services, ServicesDep
from api.fields import Body, Instant, Key, NewNote, ObjectId, Page
from api.idempotency import TakesNoKey
from api.strict_json import StrictRoute
from domain.errors import Conflict, RequestInvalid
from domain.values import CustomerId, Value
from schema.audit import AuditEvent, AuditRepository
from schema.customers import CustomerRepository
from schema.legal_holds import Hold, LegalHoldRepository
from workflows import ids

router = APIRouter(prefix="/holds", tags=["retention"], route_class=StrictRoute)

HoldPath = Annotated[ObjectId, Path(alias="holdId")]


class PlaceBody(Body):
    customer_id: Key | None = None
    """None: everybody of the organisation, and whatever is nobody's."""
    reason: NewNote
    """For whoever looks at the hold. It is in no audit event and no log."""
    expires_at: Instant | None = None
    """None: until somebody releases it."""


class ReleaseBody(Body):
    note: NewNote


class ShownHold(Value):
    id: str
    customer_id: str | None = None
    reason: str
    holds: bool
    """Neither released nor over."""
    placed_by: str
    placed_at: Instant
    expires_at: Instant | None = None
    released_by: str | None = None
    released_at: Instant | None = None
    release_note: str | None = None


class HoldList(Value):
    items: tuple[ShownHold, ...]
    next_cursor: str | None = None


@router.post("", status_code=201, summary="Place a legal hold", dependencies=[TakesNoKey], responses={404: {}})
async def place_hold(body: PlaceBody, caller: CallerDep, services: ServicesDep) -> ShownHold:
    """When this answers, nothing it holds ends any more: not by time, and nobody is forgotten."""
    caller.need(Scope.ADMIN)
    now, whom = services.now(), CustomerId(body.customer_id) if body.customer_id is not None else None
    if body.expires_at is not None and body.expires_at <= now:
        raise RequestInvalid("a hold that is over holds nothing", fields=["expiresAt"])
    async with services.db.transaction(caller.organisation) as session:
        hold = await LegalHoldRepository(session).place(
            whom, body.reason, by=caller.name, at=now, expires_at=body.expires_at
        )
        if whom is not None:
            await CustomerRepository(session).get(whom)
        await AuditRepository(session).append(_event(services, caller, "hold.placed", hold))
    return _shown(services, hold)


@router.get("", summary="Every legal hold, newest first, those that are over too")
async def list_holds(caller: CallerDep, services: ServicesDep, query: Annotated[Page, Query()]) -> HoldList:
    caller.need(Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        page = await LegalHoldRepository(session).list(limit=query.limit, cursor=query.cursor)
    return HoldList(items=tuple(_shown(services, hold) for hold in page.items), next_cursor=page.next_cursor)


@router.get("/{holdId}", summary="One legal hold")
async def get_hold(hold_id: HoldPath, caller: CallerDep, services: ServicesDep) -> ShownHold:
    caller.need(Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        return _shown(services, await LegalHoldRepository(session).get(hold_id))


@router.post("/{holdId}/release", summary="Release a legal hold", responses={409: {}})
async def release_hold(hold_id: HoldPath, body: ReleaseBody, caller: CallerDep, services: ServicesDep) -> ShownHold:
    """What has had its time goes with the next run. 409 if it was released before."""
    caller.need(Scope.ADMIN)
    async with services.db.transaction(caller.organisation) as session:
        holds = LegalHoldRepository(session)
        hold = await holds.get(hold_id)
        if not await holds.release(hold_id, body.note, by=caller.name, at=services.now()):
            raise Conflict("this hold was released before", hold=hold_id)
        await AuditRepository(session).append(_event(services, caller, "hold.released", hold))
        return _shown(services, await holds.get(hold_id))


def _event(services: Services, caller: Caller, action: str, hold: Hold) -> AuditEvent:
    whom = "everybody" if hold.customer_id is None else ids.opaque(hold.customer_id, services.id_key)
    return AuditEvent(services.now(), caller.name, action, hold.id, {"whom": whom})


def _shown(services: Services, hold: Hold) -> ShownHold:
    holds = hold.holds(services.now())
    about = {name: getattr(hold, name) for name in Hold.__dataclass_fields__}
    return ShownHold(**about, holds=holds)
