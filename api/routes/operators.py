"""People who sign in: added with a one-time password, changed, disabled."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from api import accounts
from api.auth import CallerDep, KeyScope, Scope
from api.deps import ServicesDep
from api.fields import Body, Flag, Instant, Login, ObjectId, Page
from api.idempotency import TakesNoKey
from api.strict_json import StrictRoute
from domain.values import Value
from schema.operators import Operator, OperatorRepository

router = APIRouter(prefix="/operators", tags=["operators"], route_class=StrictRoute)

OperatorPath = Annotated[ObjectId, Path(alias="operatorId")]
Scopes = Annotated[list[KeyScope], Field(min_length=1, max_length=10)]


class AddOperatorBody(Body):
    login: Login
    scopes: Scopes


class ChangeOperatorBody(Body):
    """What is left out stays. `enabled: false` ends every session at once."""

    scopes: Scopes | None = None
    enabled: Flag | None = None


class ShownOperator(Value):
    id: str
    """Everything an operator does is recorded under it."""
    login: str
    scopes: tuple[str, ...]
    enabled: bool
    one_time_until: Instant | None = None
    """Until when the password works that was handed out; none once the operator has chosen one."""
    created_by: str
    created_at: Instant


class OperatorWithPassword(ShownOperator):
    one_time_password: str
    """Shown this once. It works for three days, and only to choose another."""


class OperatorList(Value):
    items: tuple[ShownOperator, ...]
    next_cursor: str | None = None


@router.post("", status_code=201, summary="Add an operator", responses={409: {}}, dependencies=[TakesNoKey])
async def add_operator(
    body: AddOperatorBody, caller: CallerDep, services: ServicesDep, answer: Response
) -> OperatorWithPassword:
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    added, password = await accounts.add(services, caller, body.login, body.scopes)
    return _with_password(answer, added, password)


@router.get("", summary="Every operator, newest first, disabled ones too")
async def list_operators(caller: CallerDep, services: ServicesDep, query: Annotated[Page, Query()]) -> OperatorList:
    caller.need(Scope.ADMIN)
    async with services.db.transaction(caller.organisation) as session:
        page = await OperatorRepository(session).list(limit=query.limit, cursor=query.cursor)
    return OperatorList(items=tuple(_shown(o) for o in page.items), next_cursor=page.next_cursor)


@router.patch("/{operatorId}", summary="Change what an operator may, or disable one", responses={409: {}})
async def change_operator(
    operator_id: OperatorPath, body: ChangeOperatorBody, caller: CallerDep, services: ServicesDep
) -> ShownOperator:
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    changed = await accounts.change(services, caller, operator_id, scopes=body.scopes, enabled=body.enabled)
    return _shown(changed)


@router.post("/{operatorId}/reset", summary="A new one-time password", dependencies=[TakesNoKey])
async def reset_operator(
    operator_id: OperatorPath, caller: CallerDep, services: ServicesDep, answer: Response
) -> OperatorWithPassword:
    """For who forgot theirs. The old one and every session end at once."""
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    operator, password = await accounts.reset(services, caller, operator_id)
    return _with_password(answer, operator, password)


def _shown(operator: Operator) -> ShownOperator:
    shown = {name: getattr(operator, name) for name in ShownOperator.model_fields if name != "enabled"}
    return ShownOperator(**shown, enabled=operator.disabled_at is None)


def _with_password(answer: Response, operator: Operator, password: str) -> OperatorWithPassword:
    answer.headers["Cache-Control"] = "no-store"
    return OperatorWithPassword(**_shown(operator).model_dump(by_alias=False), one_time_password=password)
