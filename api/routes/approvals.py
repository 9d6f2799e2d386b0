"""What a person says: yes, no, or an answer of their own; by key, or by a signed link. It is decided in Postgres, once;
then the workflow is told."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from api.approval_links import LinkWord, create_link, say_by_link, see_link
from api.approval_pages import PAGE, answered, asks_for_page, page_of, seen
from api.auth import Caller, CallerDep, Scope
from api.deciding import Ending, Voice, Yes, decide
from api.denials import put_on_record
from api.deps import Services, ServicesDep
from api.fields import Body, Digest, Instant, Name, Note, Reply
from api.handoff_detail import shown_detail
from api.handoff_view import HandoffDetail
from api.idempotency import TakesNoKey
from api.meters import Meters, MetersDep
from api.resolutions import ResolveBody
from api.routes.handoffs import HandoffPath
from api.strict_json import StrictRoute
from domain.approval import Approver
from domain.errors import HoldfastError
from domain.handoff import HandoffDecision
from domain.proposal import ProposedAction
from domain.values import HandoffId, Json, Value

router = APIRouter(tags=["handoffs"], route_class=StrictRoute)

TokenPath = Annotated[str, Path(min_length=10, max_length=1_500, pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")]


class EditedCall(Body):
    """One proposed call with other arguments: all of them, not only those that differ."""

    tool: Annotated[str, Field(min_length=1, max_length=64)]
    arguments: Json


class ApproveBody(Body):
    """Yes, to exactly what the digest stands for; with `arguments`, to that with these arguments instead."""

    digest: Digest
    note: Note | None = None
    arguments: Annotated[tuple[EditedCall, ...], Field(min_length=1, max_length=10)] | None = None
    """Every proposed call, in order."""

    def yes(self) -> Yes:
        edits = tuple(ProposedAction(tool=call.tool, arguments=call.arguments) for call in self.arguments or ())
        return Yes(self.digest, self.note, edits)


class RejectBody(Body):
    """No. Without a reply the customer is told, plainly, that it was declined."""

    reply: Reply | None = None
    note: Note | None = None


class LinkBody(Body):
    """For whom: yourself, unless you name another live operator of the organisation, as only an admin may."""

    approver: Name | None = None


class ShownLink(Value):
    """Send it to the person it is for, and to nobody else: whoever has it speaks in that name, once."""

    url: str
    """A path of this API."""
    approver: str
    digest: str
    expires_at: Instant


class LinkAnswer(Value):
    """How the handoff stands after the word."""

    handoff_id: str
    decision: HandoffDecision | None = None
    """None while more people must say yes."""


@router.post("/handoffs/{handoffId}/approve", summary="Yes, to exactly these arguments", responses={409: {}})
async def approve_handoff(
    handoff_id: HandoffPath, body: ApproveBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    """Consumed once. A stale digest is 409; your own repeat returns the first answer; anybody else's is 409. Where
    several people must say yes, `decision` stays null until they have. Edited arguments are judged again: 422 says why
    not; who asked for more money than was proposed does not approve it."""
    return await decide_as(services, meters, caller, handoff_id, body.yes())


@router.post("/handoffs/{handoffId}/reject", summary="No", responses={409: {}})
async def reject_handoff(
    handoff_id: HandoffPath, body: RejectBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    """Of an approval: by anybody who may approve it, also after others said yes."""
    words = body.model_dump(mode="json", exclude_none=True)
    return await decide_as(services, meters, caller, handoff_id, Ending(HandoffDecision.REJECTED, words))


@router.post("/handoffs/{handoffId}/resolve", summary="Answer the customer yourself", responses={409: {}})
async def resolve_handoff(
    handoff_id: HandoffPath, body: ResolveBody, caller: CallerDep, services: ServicesDep, meters: MetersDep
) -> HandoffDetail:
    """Nothing that was proposed runs. Your words go to the customer as written; or, with `continue` and a
    `correction`, the agent goes on from what you say was meant, under the same rules."""
    return await decide_as(services, meters, caller, handoff_id, Ending(HandoffDecision.RESOLVED, body.words))


@router.post(
    "/handoffs/{handoffId}/links",
    summary="A link that says one word",
    status_code=201,
    responses={409: {}},
    dependencies=[TakesNoKey],
)
async def create_approval_link(
    handoff_id: HandoffPath, body: LinkBody, caller: CallerDep, services: ServicesDep
) -> ShownLink:
    """Signed, for one person, for what is on the table now, good once. Opening it shows, sending its form decides."""
    caller.need(Scope.OPERATOR)
    if body.approver not in {None, caller.name}:
        caller.need(Scope.ADMIN)
    url, link = await create_link(services, caller, HandoffId(handoff_id), body.approver or caller.name)
    return ShownLink(url=url, approver=link.approver, digest=link.digest, expires_at=link.expires_at)


@router.get(
    "/approvals/{token}",
    summary="What a link asks",
    responses={**PAGE, 410: {}, 503: {}},
    response_class=Response,
    tags=["approvals"],
)
async def see_approval(token: TokenPath, request: Request, services: ServicesDep) -> Response:
    """A page that shows exactly what a yes would let run. It changes nothing, whoever opens it, however often."""
    try:
        return seen(await see_link(services, token))
    except HoldfastError as error:
        return page_of(error, request)


@router.post(
    "/approvals/{token}",
    summary="Say it",
    responses={**PAGE, 200: {"model": LinkAnswer, **PAGE[200]}, 403: {}, 409: {}, 410: {}, 503: {}},
    openapi_extra={"requestBody": LinkWord.documented()},
    tags=["approvals"],
)
async def say_approval(token: TokenPath, request: Request, services: ServicesDep, meters: MetersDep) -> Response:
    """Approve or reject, as a form or as JSON; once."""
    try:
        word = LinkWord.read(request.headers.get("content-type", ""), await request.body())
        said = await say_by_link(services, meters, token, word)
    except HoldfastError as error:
        await put_on_record(request, error)
        return page_of(error, request)
    if asks_for_page(request):
        return answered(said)
    shown = LinkAnswer(handoff_id=said.id, decision=said.decision)
    return Response(shown.model_dump_json(), media_type="application/json")


async def decide_as(
    services: Services, meters: Meters, caller: Caller, handoff_id: str, word: Yes | Ending
) -> HandoffDetail:
    """The caller's word on a handoff, and how it then stands."""
    caller.need(Scope.OPERATOR)
    person = Approver(caller.name, frozenset(caller.scopes), caller.owner)
    via = "session" if caller.session else "key"
    voice = Voice(caller.organisation, person, via, has_proof=caller.has_proof(services.now()))
    record = await decide(services, meters, voice, HandoffId(handoff_id), word)
    return await shown_detail(services, caller.organisation, record.id)
