"""The audit: whether it is what was sealed."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import Field

from api.auditing import Verdict, verify
from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.strict_json import StrictRoute
from domain.errors import NotFound
from domain.values import Value

router = APIRouter(prefix="/audit", tags=["audit"], route_class=StrictRoute)
PLACE = Field(ge=1, le=2**62)


class Span(Value):
    """Places of the chain."""

    from_: Annotated[int, PLACE, Field(alias="from")] = 1
    to: Annotated[int | None, PLACE] = None


@router.get("/verify", summary="Check the sealed chain from end to end")
async def verify_audit(caller: CallerDep, services: ServicesDep, span: Annotated[Span, Query()]) -> Verdict:
    """Walks every place and compares with the checkpoints outside. Takes seconds per hundred thousand events."""
    caller.need(Scope.AUDITOR)
    proof, now = services.audit_proof, services.now()
    return await verify(services.db, caller.organisation, proof, now, first=span.from_, last=span.to)


@router.get("/public-key", summary="The keys checkpoints are signed with, as PEM", response_class=PlainTextResponse)
async def audit_public_key(caller: CallerDep, services: ServicesDep) -> str:
    """Nothing secret; but ask it of somebody you trust, not of the installation you check."""
    caller.need(Scope.AUDITOR, Scope.OPERATOR)
    if services.audit_proof is None:
        raise NotFound("no audit signing key is set")
    return services.audit_proof.keys.public_pem()
