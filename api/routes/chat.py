"""`POST /chat`: one message in, one decided and explained answer out."""

import time
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse

from api.answers import ChatAnswer, Links, PendingAnswer, for_customer, links
from api.auth import Caller, CallerDep, Scope
from api.coded import answered_by_code
from api.deps import ServicesDep
from api.errors import problem
from api.fields import Body, Key, Message, ObjectId, SenderBody
from api.idempotency import new_interaction, request_key
from api.intake import Taken, take
from api.meters import MetersDep
from api.strict_json import StrictRoute
from api.waiting import wait_of
from domain.errors import CustomerNotFound, RequestIdReused
from domain.values import CustomerId, Json, Mode

router = APIRouter(tags=["conversation"], route_class=StrictRoute)


class ChatRequest(Body):
    """What a customer wrote, and how to treat it."""

    customer_id: Key
    message: Message
    mode: Mode = Mode.LIVE
    request_id: Key | None = None
    conversation_id: ObjectId | None = None
    agent_id: ObjectId | None = None
    sender: SenderBody | None = None
    """Where the customer is known by an address only: then the message counts for what that address is worth."""

    @property
    def customer(self) -> CustomerId:
        return CustomerId(self.customer_id)

    @property
    def given(self) -> str:
        """What may be a code: a rehearsal proves nothing."""
        return self.message if self.mode is Mode.LIVE else ""

    def meaning(self) -> Json:
        left_out = {"request_id", *({"sender"} if self.sender is None else ())}  # as before there were senders
        return self.model_dump(mode="json", by_alias=True, exclude=left_out)


@router.post(
    "/chat",
    response_model=ChatAnswer,
    responses={
        202: {"model": PendingAnswer, "description": "Still being worked on; repeat the request or follow the link."},
        404: {},
    },
    summary="Send a customer's message and get the decided answer",
)
async def post_chat(
    request: ChatRequest,
    caller: CallerDep,
    services: ServicesDep,
    meters: MetersDep,
    idempotency_key: Annotated[list[Key] | None, Header()] = None,
    prefer: Annotated[str | None, Header()] = None,
) -> JSONResponse:
    """Waits for the decision up to `Prefer: wait=N` seconds, then answers 202 with a link. A message that is nothing
    but a code which was sent to the customer answers for the request that waits for it."""
    check_may_ask(caller, request)
    wait = wait_of(prefer, services.chat_wait)
    if (coded := await answered_by_code(services, caller, request.customer, request.given, wait)) is not None:
        return JSONResponse(coded)
    key = request_key(request.request_id, idempotency_key or [])
    new = new_interaction(services, caller, request, key)
    started = time.perf_counter()
    try:
        taken = await take(services, caller.organisation, new, wait=wait)
    except RequestIdReused:
        meters.conflicted()
        raise
    waited_s = time.perf_counter() - started
    meters.answered(outcome_of(taken), request.mode, replayed=taken.replayed, waited_s=waited_s)
    return said(taken, links(services, taken.interaction), to_customer=caller.sees_as_customer)


def check_may_ask(caller: Caller, request: ChatRequest) -> None:
    """Raises `ScopeMissing`, or a 404. For a customer another customer does not exist, and nothing is a rehearsal."""
    caller.need(Scope.INGEST, Scope.CUSTOMER)
    if caller.customer_id is not None and request.mode is not Mode.LIVE:
        caller.need(Scope.INGEST)
    if caller.is_other(request.customer_id):
        raise CustomerNotFound("no such customer")
    if request.agent_id is not None:
        raise problem(404, "agent_not_found", "no such agent")  # one agent is shipped, and it has no id yet


IN_ORDER = tuple(field.alias or name for name, field in ChatAnswer.model_fields.items())
"""As documented: the database keeps an answer's members in an order of its own."""


def said(taken: Taken, where: Links, *, to_customer: bool = False) -> JSONResponse:
    """The stored answer, verbatim: it was checked when it was made. Or 202: safe with us, and here is where to look."""
    headers = {"Idempotent-Replayed": "true"} if taken.replayed else {}
    if taken.answer is not None:
        answer = {**taken.answer, "replayed": taken.replayed, "links": where.model_dump(mode="json")}
        shown = {name: answer[name] for name in IN_ORDER if name in answer}
        return JSONResponse(for_customer(shown) if to_customer else shown, headers=headers)
    pending = PendingAnswer.of(taken.interaction, where).model_dump(mode="json")
    pending = for_customer(pending) if to_customer else pending
    return JSONResponse(pending, status_code=202, headers={**headers, "Location": where.self, "Retry-After": "1"})


def outcome_of(taken: Taken) -> str:
    """The decision's outcome; `pending` while there is no answer, `none` for an answer without a decision."""
    if taken.answer is None:
        return "pending"
    return str((taken.answer.get("decision") or {}).get("outcome") or "none")
