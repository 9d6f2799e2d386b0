"""Who is calling. The organisation comes from the key, never from the body."""

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import cookies
from api.budgets import tell
from api.deps import Services, get_services
from domain.assurance import Assurance
from domain.budget import Budget
from domain.errors import (
    KeyExpired,
    KeyRevoked,
    NotAuthenticated,
    PasswordChangeNeeded,
    RateLimited,
    ScopeMissing,
    SessionOver,
    StepUpNeeded,
)
from domain.signing_in import STEP_UP
from domain.values import CustomerId, OrganisationId

CUSTOMER_PREFIX = "hf_cust_"
LOCAL_ORGANISATION = OrganisationId("demo")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::\d+)?")
_bearer = HTTPBearer(auto_error=False, description="An API key: `hf_live_…`. The local stack needs none.")


class Scope(StrEnum):
    INGEST = "ingest"
    OPERATOR = "operator"
    BUILDER = "builder"
    AUDITOR = "auditor"
    ADMIN = "admin"
    CUSTOMER = "customer"
    """Of a customer's token, never of a key: messages and interactions of that one customer."""


KeyScope = Literal["ingest", "operator", "builder", "auditor", "admin"]
"""What a key can be issued for."""


@dataclass(frozen=True)
class SignedIn:
    """The session a caller has."""

    id: str
    operator_id: str
    stepped_up_at: datetime | None
    is_one_time: bool
    identity_id: str | None = None
    """By which identity at the organisation's provider it began; None: with a password."""

    @property
    def method(self) -> Literal["password", "oidc"]:
        """How the operator signed in, and how they step up."""
        return "password" if self.identity_id is None else "oidc"


@dataclass(frozen=True)
class Caller:
    """Who is calling, for which organisation, and what they may do."""

    organisation: OrganisationId
    name: str
    """What their acts are recorded under: the name of a key, the id of an operator."""
    scopes: frozenset[str]
    key_id: str = "local"
    """What they came with: the id of a key, of an operator."""
    session: SignedIn | None = None
    """None: a program with a key, or this very machine."""
    customer_id: CustomerId | None = None
    """The one customer this caller is; None: not a customer."""
    vouches: bool = True
    """Whether what they pass on counts as coming from the customer it names. Not so for a page anybody can open."""
    owner: str | None = None
    """The operator who signed in, or has the key they came with."""
    is_local: bool = False
    """Let in without a key, for being on this machine."""

    @property
    def assurance(self) -> Assurance:
        """How well whoever calls knows the customer they speak for."""
        if self.customer_id is not None:
            return Assurance.TOKEN
        return Assurance.VOUCHED if self.vouches else Assurance.NONE

    @property
    def person(self) -> str:
        """Who acts: two keys and the session of one operator are one person."""
        return self.owner or self.name

    @property
    def sees_as_customer(self) -> bool:
        """Whether they are shown what is said to the customer, and not how it came to be."""
        return self.customer_id is not None or not self.vouches

    def need(self, *scopes: Scope) -> None:
        """Raises `ScopeMissing` unless the caller holds one of them, or is an admin; `PasswordChangeNeeded` for an
        operator whose password somebody else knows. A key that vouches for nobody gets only to where customers do."""
        if self.session is not None and self.session.is_one_time:
            raise PasswordChangeNeeded("change the one-time password first")
        if not self.vouches and Scope.CUSTOMER not in scopes:
            raise ScopeMissing("this key speaks for people nobody knows", needs=[s.value for s in scopes])
        if Scope.ADMIN not in self.scopes and not self.scopes & set(scopes):
            raise ScopeMissing("this caller lacks the scope", needs=[s.value for s in scopes])

    def is_other(self, customer_id: str) -> bool:
        """Whether the caller is a customer, and not this one."""
        return self.customer_id is not None and self.customer_id != customer_id

    def refuse_customers(self) -> None:
        """Raises `ScopeMissing` for a customer; whoever else calls may."""
        if self.sees_as_customer:
            raise ScopeMissing("this is not for customers", needs=sorted(set(Scope) - {Scope.ADMIN, Scope.CUSTOMER}))

    def need_proof(self, now: datetime) -> None:
        """Raises `StepUpNeeded` for a session without `has_proof`."""
        if not self.has_proof(now):
            method = self.session.method if self.session else None
            raise StepUpNeeded("prove again who you are first", within=STEP_UP, method=method)

    def has_proof(self, now: datetime) -> bool:
        """Whether whoever sits before the session proved who they are within five minutes. A key is its own proof."""
        at = self.session.stepped_up_at if self.session else now
        return at is not None and now - at <= STEP_UP


def key_hash(key: str) -> bytes:
    """What is stored of a key or a token. It has 32 random bytes, so a fast hash is enough."""
    return hashlib.sha256(key.encode()).digest()


async def caller(
    request: Request,
    services: Annotated[Services, Depends(get_services)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
) -> Caller:
    """The caller, or `NotAuthenticated`. Two credentials are none; a key counts more than a cookie, which a browser
    sends by itself."""
    given = request.headers.getlist("authorization")
    if not given:
        token = cookies.token_of(request, services)
        return _local_caller(request, services) if token is None else await _operator(request, services, token)
    if len(given) > 1 or credentials is None or not credentials.credentials.isascii():
        raise NotAuthenticated("send one bearer key")
    return _known(request, await _key(request, services, credentials.credentials))


async def _key(request: Request, services: Services, sent: str) -> Caller:
    if sent.startswith(CUSTOMER_PREFIX):
        return await _customer(request, services, sent)
    key = await services.db.admit_api_key(key_hash(sent), services.limits)
    if key is None:
        raise NotAuthenticated("the key is not valid")
    if key.ended is not None:
        raise KeyExpired("its time is over") if key.ended == "expired" else KeyRevoked("this key was revoked")
    structlog.contextvars.bind_contextvars(organisation=key.organisation)
    _within(request, key.budgets, key.refused_by)
    services.uses.saw(key.organisation, key.key_id, services.now())
    scopes, owner = frozenset(key.scopes), key.owner
    return Caller(key.organisation, key.name, scopes, key.key_id, vouches=key.vouches, owner=owner)


def _within(request: Request, budgets: Sequence[Budget], refused_by: str | None) -> None:
    """Has the answer say how the limits stand. Raises `RateLimited` where one is used up."""
    tell(request, budgets)
    if refused_by is not None:
        wait_s = next(budget.retry_after_s for budget in budgets if budget.name == refused_by)
        raise RateLimited("too many requests", limit=refused_by, retry_after=wait_s)


async def _customer(request: Request, services: Services, sent: str) -> Caller:
    found = await services.db.admit_customer_token(key_hash(sent), services.limits)
    if found is None:
        raise NotAuthenticated("the token is not valid, or its time is over")
    structlog.contextvars.bind_contextvars(organisation=found.organisation)
    _within(request, found.budgets, found.refused_by)
    scopes = frozenset({Scope.CUSTOMER})
    return Caller(found.organisation, "customer", scopes, "customer", customer_id=found.customer_id)


async def _operator(request: Request, services: Services, token: str) -> Caller:
    found = await services.db.admit_session(key_hash(token), services.limits)
    if found is None:
        raise SessionOver("there is no such session, or it is over")
    cookies.check_ours(request, services)
    structlog.contextvars.bind_contextvars(organisation=found.organisation)
    _within(request, found.budgets, found.refused_by)
    services.uses.saw(found.organisation, found.session_id, services.now())
    session = SignedIn(found.session_id, found.operator_id, found.stepped_up_at, found.is_one_time, found.identity_id)
    by = found.operator_id
    return _known(request, Caller(found.organisation, by, frozenset(found.scopes), by, session, owner=by))


def _local_caller(request: Request, services: Services) -> Caller:
    """The one-machine stack lets its own machine in as the demo organisation's admin."""
    if services.local and _is_from_here(request):
        structlog.contextvars.bind_contextvars(organisation=LOCAL_ORGANISATION)
        return _known(request, Caller(LOCAL_ORGANISATION, "local", frozenset({Scope.ADMIN}), is_local=True))
    raise NotAuthenticated("send Authorization: Bearer <key>")


def _known(request: Request, caller: Caller) -> Caller:
    # For whoever answers a refusal: `api.denials`.
    request.state.caller = caller
    return caller


def _is_from_here(request: Request) -> bool:
    """From this machine, to this machine, and not passed on: a proxy beside us speaks for the whole world, and a web
    page can make a browser come here under a name of its own."""
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via")):
        return False
    origin = request.headers.get("origin")  # of a page in a browser: it can send what has no body without asking
    if origin is not None and not _is_this_machine(origin.partition("://")[2]):
        return False
    caller_host = request.client.host if request.client else ""
    return is_loopback(caller_host) and _is_this_machine(request.headers.get("host", ""))


def _is_this_machine(host: str) -> bool:
    """A name with or without a port, as headers have it."""
    found = _HOST.fullmatch(host)
    return found is not None and is_loopback(found[1].strip("[]"))


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CallerDep = Annotated[Caller, Depends(caller)]
