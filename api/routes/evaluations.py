"""`POST /decisions/evaluate`: what would be decided."""

from fastapi import APIRouter

from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.evaluating import EvaluateBody, Evaluation, evaluate
from api.strict_json import StrictRoute


class EvaluationRoute(StrictRoute):
    """A thousand cases with facts of their own are more than what else is posted."""

    larger_body = 4 * 1024 * 1024


router = APIRouter(tags=["decisions"], route_class=EvaluationRoute)


@router.post(
    "/decisions/evaluate",
    summary="What would be decided, for many cases, without any effect",
    responses={404: {}},
)
async def evaluate_cases(body: EvaluateBody, caller: CallerDep, services: ServicesDep) -> Evaluation:
    """Up to 1,000 cases: of customers on record, or with facts of your own. Nothing is kept. The rules, limits and
    facts are those of the real thing, short of what the ledger and open conversations would say at that moment."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR, Scope.BUILDER)
    return await evaluate(services, caller, body)
