"""A customer's rights: to be forgotten, and to have what we know."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Header, Path
from fastapi.responses import StreamingResponse

from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.erasing import ask_to_erase
from api.fields import Body, Instant, Key, ObjectId
from api.idempotency import request_key
from api.portability import as_bundle
from api.strict_json import StrictRoute
from domain.values import CustomerId, Value
from schema.audit import AuditEvent, AuditRepository
from schema.customers import CustomerRepository
from schema.erasures import Erasure, ErasureRepository
from workflows import ids

router = APIRouter(tags=["customers"], route_class=StrictRoute)

CustomerPath = Annotated[Key, Path(alias="customerId")]
ErasurePath = Annotated[ObjectId, Path(alias="erasureId")]


class EraseBody(Body):
    """Nothing of the customer can be read afterwards, by nobody. There is no way back."""

    request_id: Key | None = None


class ErasureStatus(StrEnum):
    REQUESTED = "requested"
    ERASED = "erased"
    """Nothing can be read any more."""
    FINISHED = "finished"
    """And nothing that was under way at that moment has written any of it again."""


class Receipt(Value):
    """For whoever asked. It does not say whom it is about: keep its id with the request you answer."""

    id: str
    status: ErasureStatus
    requested_by: str
    requested_at: Instant
    erased_at: Instant | None = None
    finished_at: Instant | None = None

    @classmethod
    def of(cls, erasure: Erasure) -> "Receipt":
        status = ErasureStatus.ERASED if erasure.erased_at else ErasureStatus.REQUESTED
        return cls(
            id=erasure.id,
            status=ErasureStatus.FINISHED if erasure.finished_at else status,
            requested_by=erasure.requested_by,
            requested_at=erasure.requested_at,
            erased_at=erasure.erased_at,
            finished_at=erasure.finished_at,
        )


@router.post(
    "/customers/{customerId}/erase", status_code=202, summary="Forget a customer, for good", responses={409: {}}
)
async def erase_customer(
    customer_id: CustomerPath,
    body: EraseBody,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[list[Key] | None, Header()] = None,
) -> Receipt:
    """What waits for a person is closed, what waits to be sent is dropped, what runs ends by itself. Amounts, decisions
    and the audit stay, about nobody. A repeat with the same request id returns the same receipt. Whom a legal hold
    keeps is not forgotten (409 `legal_hold`); that you asked is in the audit. Ask again when it is over."""
    caller.need(Scope.ADMIN)
    key = request_key(body.request_id, idempotency_key or [])
    return Receipt.of(await ask_to_erase(services, caller, CustomerId(customer_id), key))


@router.get("/erasures/{erasureId}", summary="The receipt of an erasure")
async def get_erasure(erasure_id: ErasurePath, caller: CallerDep, services: ServicesDep) -> Receipt:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        return Receipt.of(await ErasureRepository(session).get(erasure_id))


@router.get("/customers/{customerId}/export", summary="All we know of a customer", response_class=StreamingResponse)
async def export_customer(customer_id: CustomerPath, caller: CallerDep, services: ServicesDep) -> StreamingResponse:
    """For whoever asks what we know, or takes it elsewhere: every row about the customer, of one moment, as JSON."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        await CustomerRepository(session).get(CustomerId(customer_id))
        subject = ids.opaque(customer_id, services.id_key)
        await AuditRepository(session).append(AuditEvent(services.now(), caller.name, "customer.exported", subject))
    rows = as_bundle(services.db, caller.organisation, CustomerId(customer_id), services.now())
    named = {"content-disposition": 'attachment; filename="customer.json"'}
    return StreamingResponse(rows, media_type="application/json", headers=named)
