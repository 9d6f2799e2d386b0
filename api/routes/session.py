"""Operators sign in here; everybody may ask who they are."""

import ipaddress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints

from api import cookies, signing_in
from api.auth import Caller, CallerDep
from api.deps import Services, ServicesDep
from api.fields import Body, Instant, Login, Name
from api.idempotency import TakesNoKey
from api.strict_json import StrictRoute
from domain.signing_in import LONGEST_PASSWORD, SHORTEST, STEP_UP
from domain.values import Json, OrganisationId, Value
from schema.sign_ins import SignIn, SignInRepository

router = APIRouter(prefix="/session", tags=["session"], route_class=StrictRoute)

Password = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PASSWORD)]
NewPassword = Annotated[str, StringConstraints(min_length=SHORTEST, max_length=LONGEST_PASSWORD)]
TOO_MANY: dict[int | str, dict[str, Any]] = {429: {}}


class SignInBody(Body):
    organisation: Name
    login: Login
    password: Password


class StepUpBody(Body):
    password: Password


class ChangePasswordBody(Body):
    password: Password
    new_password: NewPassword


class WhoIsCalling(Value):
    kind: Literal["session", "key", "local"]
    organisation: str
    name: str
    """What is recorded as the actor: an operator's id, or the name of a key."""
    scopes: tuple[str, ...]
    method: Literal["password", "oidc"] | None = None
    """How the session began, and how it steps up."""
    session_id: str | None = None
    expires_at: Instant | None = None
    """Over then at the latest."""
    idle_until: Instant | None = None
    """Over then, unless it is used before."""
    stepped_up_until: Instant | None = None
    """Until then the password counts as just given."""
    password_change_needed: bool = False
    """The password is a one-time one: `POST /session/password` comes before everything else."""


@router.post(
    "", status_code=201, summary="Sign in", responses={401: {}, 403: {}, 503: {}, **TOO_MANY},
    dependencies=[TakesNoKey],
)  # fmt: skip
async def sign_in(request: Request, body: SignInBody, services: ServicesDep, answer: Response) -> WhoIsCalling:
    """Sets the session's cookie. After five failures the account waits a second, then two, up to a quarter hour."""
    cookies.check_origin(request, services)
    given = signing_in.Given(OrganisationId(body.organisation), body.login, body.password, address_of(request))
    begun = await signing_in.sign_in(services, given)
    return _given(answer, services, given.organisation, begun)


@router.get("", summary="Who is calling")
async def get_session(caller: CallerDep, services: ServicesDep) -> WhoIsCalling:
    caller.refuse_customers()
    found: SignIn | None = None
    if caller.session is not None:
        async with services.db.transaction(caller.organisation) as session:
            found = await SignInRepository(session).find(caller.session.id)
    return _who(caller, found)


@router.delete("", status_code=204, summary="Sign out", responses={404: {}})
async def sign_out(caller: CallerDep, services: ServicesDep) -> Response:
    await signing_in.sign_out(services, caller)
    answer = Response(status_code=204)
    cookies.take_away(answer, services)
    return answer


@router.post("/step-up", summary="Give the password again", responses={404: {}, 409: {}, **TOO_MANY})
async def step_up(body: StepUpBody, caller: CallerDep, services: ServicesDep, answer: Response) -> WhoIsCalling:
    """What needs that (much money, keys, operators) may be done for five minutes. The cookie is a new one."""
    begun = await signing_in.step_up(services, caller, body.password)
    return _given(answer, services, caller.organisation, begun)


@router.post("/password", summary="Change the password", responses={404: {}, 409: {}, **TOO_MANY})
async def change_password(
    body: ChangePasswordBody, caller: CallerDep, services: ServicesDep, answer: Response
) -> WhoIsCalling:
    """Twelve characters at least, not a common one. Every other session ends; this one has a new cookie."""
    begun = await signing_in.change_password(services, caller, body.password, body.new_password)
    return _given(answer, services, caller.organisation, begun)


def _given(answer: Response, services: Services, organisation: OrganisationId, begun: signing_in.Begun) -> WhoIsCalling:
    cookies.give(answer, services, begun.token)
    return who_has_begun(organisation, begun)


def who_has_begun(organisation: OrganisationId, begun: signing_in.Begun) -> WhoIsCalling:
    operator, sign_in = begun.operator, begun.sign_in
    by_password = sign_in.identity_id is None
    return WhoIsCalling(
        kind="session",
        organisation=organisation,
        name=operator.id,
        scopes=operator.scopes,
        method="password" if by_password else "oidc",
        password_change_needed=by_password and operator.one_time_until is not None,
        **_times(sign_in),
    )


def _who(caller: Caller, found: SignIn | None) -> WhoIsCalling:
    kind = "session" if caller.session else "local" if caller.is_local else "key"
    return WhoIsCalling(
        kind=kind,
        organisation=caller.organisation,
        name=caller.name,
        scopes=tuple(sorted(caller.scopes)),
        method=caller.session.method if caller.session else None,
        password_change_needed=caller.session is not None and caller.session.is_one_time,
        **(_times(found) if found else {}),
    )


def _times(sign_in: SignIn) -> Json:
    at = sign_in.stepped_up_at
    return {
        "session_id": sign_in.id,
        "expires_at": sign_in.expires_at,
        "idle_until": sign_in.idle_until,
        "stepped_up_until": at + STEP_UP if at else None,
    }


def address_of(request: Request) -> str:
    """Where the connection comes from; of IPv6 the network, which one person has whole."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)
