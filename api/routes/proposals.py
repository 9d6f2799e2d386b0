"""`POST /proposals`: what an agent of yours suggests, judged and carried out like our own suggestions."""

import time
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse

from api.answers import ChatAnswer, PendingAnswer, links
from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Key
from api.idempotency import request_key
from api.intake import take
from api.meters import MetersDep
from api.proposing import ProposalRequest, new_proposal
from api.routes.chat import outcome_of, said
from api.strict_json import StrictRoute
from api.waiting import wait_of
from domain.errors import RequestIdReused

router = APIRouter(tags=["proposals"], route_class=StrictRoute)


@router.post(
    "/proposals",
    response_model=ChatAnswer,
    responses={
        202: {"model": PendingAnswer, "description": "Still being worked on; repeat the request or follow the link."},
        404: {},
    },
    summary="Propose actions for a customer and get them decided",
)
async def post_proposal(
    request: ProposalRequest,
    caller: CallerDep,
    services: ServicesDep,
    meters: MetersDep,
    idempotency_key: Annotated[list[Key] | None, Header()] = None,
    prefer: Annotated[str | None, Header()] = None,
) -> JSONResponse:
    """The rules, limits, approvals and the effect ledger are those of `/chat`, and so is the answer. What the rules do
    not allow by themselves waits for a person; nothing is done twice under one request id."""
    caller.need(Scope.INGEST)  # an agent's word, not a customer's: nobody proposes for themselves
    new = new_proposal(services, caller, request, request_key(request.request_id, idempotency_key or []))
    started = time.perf_counter()
    try:
        taken = await take(services, caller.organisation, new, wait=wait_of(prefer, services.chat_wait))
    except RequestIdReused:
        meters.conflicted()
        raise
    meters.answered(outcome_of(taken), request.mode, replayed=taken.replayed, waited_s=time.perf_counter() - started)
    return said(taken, links(services, taken.interaction), to_customer=caller.sees_as_customer)
