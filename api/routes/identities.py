"""Which subject of the identity provider an operator is, as admins say."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import StringConstraints

from api import providers
from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Body, Instant
from api.routes.operators import OperatorPath
from api.strict_json import StrictRoute
from domain.values import Value
from schema.identities import Identity

router = APIRouter(prefix="/operators", tags=["operators"], route_class=StrictRoute)

Subject = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


class LinkBody(Body):
    subject: Subject
    """The `sub` of the operator's ID tokens: never an e-mail address, unless the provider's `sub` is one."""


class ShownIdentity(Value):
    id: str
    operator_id: str
    issuer: str
    subject: str
    linked_by: str
    linked_at: Instant
    last_sign_in_at: Instant | None = None


@router.get("/{operatorId}/identity", summary="Who an operator is at the identity provider")
async def get_identity(operator_id: OperatorPath, caller: CallerDep, services: ServicesDep) -> ShownIdentity:
    caller.need(Scope.ADMIN)
    async with services.db.transaction(caller.organisation) as session:
        return _shown(await providers.linked(session, operator_id))


@router.put("/{operatorId}/identity", summary="Say who an operator is there", responses={409: {}})
async def put_identity(
    operator_id: OperatorPath, body: LinkBody, caller: CallerDep, services: ServicesDep
) -> ShownIdentity:
    """Another subject of theirs is nobody from now on, and the sessions it began are over."""
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    return _shown(await providers.link(services, caller, operator_id, body.subject))


@router.delete("/{operatorId}/identity", status_code=204, summary="Nobody there is this operator any more")
async def delete_identity(operator_id: OperatorPath, caller: CallerDep, services: ServicesDep) -> Response:
    """Every session that began so is over."""
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    await providers.unlink(services, caller, operator_id)
    return Response(status_code=204)


def _shown(identity: Identity) -> ShownIdentity:
    return ShownIdentity.model_validate(identity, from_attributes=True)
