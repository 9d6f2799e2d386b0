"""Operators sign in by their organisation's identity provider (OpenID Connect)."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import StringConstraints

from api import cookies, oidc, oidc_pages
from api.approval_pages import PAGE, asks_for_page
from api.auth import CallerDep, key_hash
from api.deps import Services, ServicesDep
from api.fields import Body, Instant, Name, ObjectId
from api.idempotency import TakesNoKey
from api.routes.session import TOO_MANY, WhoIsCalling, address_of, who_has_begun
from api.strict_json import StrictRoute
from domain.errors import HoldfastError
from domain.values import OrganisationId, Value
from schema.oidc_attempts import LASTS

router = APIRouter(prefix="/session/oidc", tags=["session"], route_class=StrictRoute)

ProviderPath = Annotated[ObjectId, Path(alias="providerId")]
ReturnTo = Annotated[str, StringConstraints(max_length=500, pattern=r"^(/([A-Za-z0-9_.~-][A-Za-z0-9_.~/-]*)?)?$")]
"""A path of ours: no host, no query, and nothing a browser could take for one."""
State = Annotated[str | None, Query(max_length=200)]
Code = Annotated[str | None, Query(max_length=4_096)]
Told = Annotated[str | None, Query(max_length=2_000)]


class BeginBody(Body):
    organisation: Name
    return_to: ReturnTo = ""
    """Where the browser goes in the end. Left out: the console."""


class BeginStepUpBody(Body):
    return_to: ReturnTo = ""


class Begun(Value):
    authorization_url: str
    """Lead the browser there, the one this answer's cookie is kept by."""
    expires_at: Instant
    """It must be back by then."""


@router.post(
    "", status_code=201, summary="Begin to sign in by the identity provider",
    responses={403: {}, 404: {}, 409: {}, 503: {}, **TOO_MANY}, dependencies=[TakesNoKey],
)  # fmt: skip
async def begin_oidc(request: Request, body: BeginBody, services: ServicesDep, answer: Response) -> Begun:
    """404 where there is none. A fetch of our own page, not a link: so no other page can sign anybody in."""
    cookies.check_origin(request, services)
    organisation = OrganisationId(body.organisation)
    started = await oidc.start(services, organisation, body.return_to, address_of(request))
    return _begun(answer, services, started)


@router.post(
    "/step-up", status_code=201, summary="Begin to prove again who you are", responses={404: {}, 409: {}},
    dependencies=[TakesNoKey],
)  # fmt: skip
async def begin_oidc_step_up(
    body: BeginStepUpBody, caller: CallerDep, services: ServicesDep, answer: Response
) -> Begun:
    """For a session that began there. The provider asks for proof, whatever it remembers; then it is as with
    `POST /session/step-up`."""
    return _begun(answer, services, await oidc.start_step_up(services, caller, body.return_to))


@router.get(
    "/callback/{providerId}", summary="Where the identity provider sends the browser back",
    responses={200: {"model": WhoIsCalling, **PAGE[200]}, 401: {}, 409: {}, 410: {}, 503: {}}, response_class=Response,
)  # fmt: skip
async def finish_oidc(
    provider_id: ProviderPath, request: Request, services: ServicesDep,
    state: State = None, code: Code = None, error: Told = None, iss: Told = None,
) -> Response:  # fmt: skip
    """Sets the session's cookie. A page for a browser, JSON for everything else; each state is good once."""
    state_hash = key_hash(state or "")
    browser = cookies.attempt_of(request, services, state_hash)
    try:
        returned = oidc.Returned(provider_id, state or "", browser, code, error, iss, address_of(request))
        finished = await oidc.finish(services, returned)
    except HoldfastError as refused:
        return oidc_pages.page_of(refused, request)
    return _finished(request, services, finished, state_hash)


def _begun(answer: Response, services: Services, started: oidc.Started) -> Begun:
    cookies.give_attempt(answer, services, started.state_hash, started.browser, LASTS)
    return Begun(authorization_url=started.authorization_url, expires_at=started.expires_at)


def _finished(request: Request, services: Services, finished: oidc.Finished, state_hash: bytes) -> Response:
    if asks_for_page(request):
        answer = oidc_pages.signed_in(services, finished.return_to)
    else:
        who = who_has_begun(finished.organisation, finished.begun)
        answer = Response(who.model_dump_json(), media_type="application/json")
    cookies.take_attempt_away(answer, services, state_hash)
    cookies.give(answer, services, finished.begun.token)
    return answer
