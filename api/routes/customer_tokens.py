"""What an end customer's own browser or app calls with: a token for one customer, and for little else."""

import secrets
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from api.auth import CUSTOMER_PREFIX, Caller, CallerDep, Scope, key_hash
from api.deps import Services, ServicesDep
from api.fields import Body, Instant, Key
from api.idempotency import TakesNoKey
from api.strict_json import StrictRoute
from domain.values import CustomerId, Value
from schema.audit import AuditEvent, AuditRepository
from schema.customer_tokens import CustomerTokenRepository
from schema.session import Session
from workflows import ids

router = APIRouter(prefix="/customers/{customerId}/tokens", tags=["customers"], route_class=StrictRoute)

CustomerPath = Annotated[Key, Path(alias="customerId")]
Lifetime = Annotated[timedelta, Field(ge=timedelta(minutes=1), le=timedelta(hours=1))]
SHORT = timedelta(minutes=15)


class IssueTokenBody(Body):
    """How long it works: a minute to an hour."""

    expires_in: Lifetime = SHORT


class CustomerToken(Value):
    id: str
    customer_id: str
    token: str
    """`hf_cust_…`, shown this once."""
    expires_at: Instant


@router.post("", status_code=201, summary="A token for one customer", responses={404: {}}, dependencies=[TakesNoKey])
async def issue_customer_token(
    customer_id: CustomerPath, body: IssueTokenBody, caller: CallerDep, services: ServicesDep, answer: Response
) -> CustomerToken:
    """Sends messages and reads interactions as this customer, and nothing else. Ask for it from your own server, once
    you know who the customer is."""
    caller.need(Scope.INGEST)
    token, at = f"{CUSTOMER_PREFIX}{secrets.token_urlsafe(32)}", services.now()
    until, whose = at + body.expires_in, CustomerId(customer_id)
    async with services.db.transaction(caller.organisation) as session:
        token_id = await CustomerTokenRepository(session).issue(whose, key_hash(token), caller.name, at, until)
        await _audit(services, session, caller, "customer_token.issued", customer_id, token=token_id)
    answer.headers["Cache-Control"] = "no-store"
    return CustomerToken(id=token_id, customer_id=customer_id, token=token, expires_at=until)


@router.delete("", status_code=204, summary="End every token of a customer", responses={404: {}})
async def end_customer_tokens(customer_id: CustomerPath, caller: CallerDep, services: ServicesDep) -> Response:
    """From the next request on: for a customer who signs out with you."""
    caller.need(Scope.INGEST)
    async with services.db.transaction(caller.organisation) as session:
        ended = await CustomerTokenRepository(session).end_all(CustomerId(customer_id), services.now())
        await _audit(services, session, caller, "customer_token.ended", customer_id, count=ended)
    return Response(status_code=204)


async def _audit(
    services: Services, session: Session, caller: Caller, action: str, customer_id: str, **details: object
) -> None:
    subject = ids.opaque(customer_id, services.id_key)
    await AuditRepository(session).append(AuditEvent(services.now(), caller.name, action, subject, details))
