"""The audit: what happened, as a list and as a file, and whether it is what was sealed."""

import re
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import Field

from api.auditing import Verdict, verify
from api.auth import Caller, CallerDep, Scope
from api.deps import Services, ServicesDep
from api.exporting import as_csv, as_json
from api.fields import Instant, Key, ObjectId, Page
from api.meters import MetersDep
from api.streaming import Streamed
from api.strict_json import StrictRoute
from domain.errors import NotFound, RequestInvalid
from domain.values import Json, Value
from schema.audit import AuditEvent, AuditRepository
from schema.exports import AuditFilters, ExportRepository
from workflows import ids

router = APIRouter(prefix="/audit", tags=["audit"], route_class=StrictRoute)
_ACTION = re.compile(r"[a-z]+\.[a-z_]+")
PLACE = Field(ge=1, le=2**62)


class Selection(Value):
    """Which events; `customerId` and `interactionId` also narrow what else an export holds."""

    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None
    actor: Key | None = None
    action: Key | None = None
    subject: Key | None = None
    customer_id: Key | None = None
    interaction_id: ObjectId | None = None

    def filters(self, services: Services) -> AuditFilters:
        subject = ids.opaque(self.customer_id, services.id_key) if self.customer_id else None
        return AuditFilters(
            self.from_, self.to, self.actor, self.action, self.subject, self.customer_id, self.interaction_id, subject
        )

    def named(self) -> Json:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"limit", "cursor"})

    def on_record(self, key: bytes) -> Json:
        """As the audit may keep it: what was typed freely, or names a customer, as what stands for it elsewhere too."""
        plain = {"from", "to"} | ({"action"} if _ACTION.fullmatch(self.action or "") else set())
        return {name: value if name in plain else ids.opaque(value, key) for name, value in self.named().items()}


class AuditQuery(Page, Selection):
    pass


class AuditEntry(Value):
    """One event, with its place in the sealed chain once it has one."""

    id: str
    at: Instant
    actor: str
    action: str
    subject: str
    details: Json
    sequence: int | None = None
    hash: str | None = None


class AuditList(Value):
    items: tuple[AuditEntry, ...]
    next_cursor: str | None = None


class Span(Value):
    """Places of the chain."""

    from_: Annotated[int, PLACE, Field(alias="from")] = 1
    to: Annotated[int | None, PLACE] = None

    def check(self) -> None:
        """Raises `RequestInvalid` where there is no place to look at: nothing checked is not a sound chain."""
        if self.to is not None and self.to < self.from_:
            raise RequestInvalid("from lies behind to", fields=["from", "to"])


@router.get("", summary="Audit events, newest first")
async def list_audit(caller: CallerDep, services: ServicesDep, query: Annotated[AuditQuery, Query()]) -> AuditList:
    caller.need(Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        found = await ExportRepository(session).newest(query.filters(services), limit=query.limit, cursor=query.cursor)
    items = tuple(AuditEntry.model_validate(row, from_attributes=True) for row in found.items)
    return AuditList(items=items, next_cursor=found.next_cursor)


@router.get("/export.json", summary="The whole audit as one JSON document", response_class=StreamingResponse)
async def export_audit_json(
    caller: CallerDep, services: ServicesDep, selection: Annotated[Selection, Query()]
) -> StreamingResponse:
    """Events in the order they are sealed, and what they are about. Every row is a line; streamed from one snapshot."""
    await _export_begins(caller, services, selection, "json")
    filters, named = selection.filters(services), selection.named()
    rows = as_json(services.db, caller.organisation, filters, named, services.now())
    return Streamed(rows, stall=services.export_stall, media_type="application/json", name="audit.json")


@router.get("/export.csv", summary="The whole audit as CSV", response_class=StreamingResponse)
async def export_audit_csv(
    caller: CallerDep, services: ServicesDep, selection: Annotated[Selection, Query()]
) -> StreamingResponse:
    """The same. No cell begins with what a spreadsheet calculates: such a one, and one that begins with an apostrophe,
    has an apostrophe in front."""
    await _export_begins(caller, services, selection, "csv")
    rows = as_csv(services.db, caller.organisation, selection.filters(services))
    return Streamed(rows, stall=services.export_stall, media_type="text/csv; charset=utf-8", name="audit.csv")


async def _export_begins(caller: Caller, services: Services, selection: Selection, form: str) -> None:
    """On record before the first byte leaves."""
    caller.need(Scope.AUDITOR)
    details: Json = {"format": form, "filters": selection.on_record(services.id_key)}
    async with services.db.transaction(caller.organisation) as session:
        audited = AuditEvent(services.now(), caller.name, "audit.exported", caller.organisation, details)
        await AuditRepository(session).append(audited)


@router.get("/verify", summary="Check the sealed chain from end to end")
async def verify_audit(
    caller: CallerDep, services: ServicesDep, meters: MetersDep, span: Annotated[Span, Query()]
) -> Verdict:
    """Walks every place and compares with the checkpoints outside. Takes seconds per hundred thousand events."""
    caller.need(Scope.AUDITOR)
    span.check()
    proof, now = services.audit_proof, services.now()
    verdict = await verify(services.db, caller.organisation, proof, now, first=span.from_, last=span.to)
    meters.verified(whole=verdict.ok)
    return verdict


@router.get("/public-key", summary="The keys checkpoints are signed with, as PEM", response_class=PlainTextResponse)
async def audit_public_key(caller: CallerDep, services: ServicesDep) -> str:
    """Nothing secret; but ask it of somebody you trust, not of the installation you check."""
    caller.need(Scope.AUDITOR, Scope.OPERATOR)
    if services.audit_proof is None:
        raise NotFound("no audit signing key is set")
    return services.audit_proof.keys.public_pem()
