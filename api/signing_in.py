"""Operators sign in and out, and give their password again. A failure says nothing but that it failed, and costs the
same time whether the account exists or not; failing again and again costs more and more of it."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from api.auth import Caller, SignedIn, is_loopback, key_hash
from api.deps import Services
from api.errors import problem
from domain.errors import Conflict, NotFound, SignInFailed
from domain.signing_in import check_password
from domain.values import Json, OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.identity_providers import ProviderRepository
from schema.operators import Operator, OperatorRepository
from schema.session import Session
from schema.sign_ins import SignIn, SignInRepository
from schema.throttles import Kind, ThrottleRepository
from workflows import ids

PREFIX = "hf_ses_"
NOBODY = "anonymous"
"""Who acts while nobody is signed in."""


@dataclass(frozen=True)
class Given:
    """What somebody claims, and from where."""

    organisation: OrganisationId
    login: str
    password: str
    address: str


@dataclass(frozen=True)
class Begun:
    """A session that has just begun, or goes on under a new token."""

    operator: Operator
    sign_in: SignIn
    token: str


async def sign_in(services: Services, given: Given) -> Begun:
    """Raises `SignInFailed`; 429 with `Retry-After` while the account or the address must wait."""
    operator, hashed = await _claimed(services, given)
    is_right = await _verify(services, given.password, hashed)
    at, token = services.now(), new_token()
    reason = await _wrong(services, given, operator, is_right, at)
    if operator is not None and reason is None:
        async with services.db.transaction(given.organisation) as session:
            begun = await SignInRepository(session).begin(operator.id, hashed, key_hash(token), at)
            if begun is not None:
                await _forgive(services, session, given)
                await _audit(session, at, operator.id, "session.started", begun.id, method="password")
                return Begun(operator, begun, token)
    await _refused(services, given, operator, reason or "disabled_or_over")
    raise SignInFailed("organisation, login or password are wrong")


async def sign_out(services: Services, caller: Caller) -> None:
    """Over from the next request on. Raises `NotFound` for a caller without a session."""
    session_id, at = of_session(caller).id, services.now()
    async with services.db.transaction(caller.organisation) as session:
        if await SignInRepository(session).end(session_id, at):
            await _audit(session, at, caller.name, "session.ended", session_id)


async def step_up(services: Services, caller: Caller, password: str) -> Begun:
    """The session goes on under a new token, and may do for five minutes what needs the password just given.

    Raises `NotFound` for a caller without a session, `Conflict` for one that began at an identity provider,
    `SignInFailed`, 429."""
    signed_in = _by_password(caller)
    operator, _ = await _prove(services, caller, password)
    at, token = services.now(), new_token()
    async with services.db.transaction(caller.organisation) as session:
        raised = await SignInRepository(session).step_up(signed_in.id, key_hash(token), at)
        if raised is None:
            raise SignInFailed("the session is over")
        await _audit(session, at, caller.name, "session.stepped_up", signed_in.id, method="password")
    return Begun(operator, raised, token)


async def change_password(services: Services, caller: Caller, password: str, new: str) -> Begun:
    """The operator's own password from now on. Every other session of theirs is over, and this one goes on.

    Raises what `step_up` does, and `RequestInvalid` for a password that is guessed early."""
    signed_in = _by_password(caller)
    operator, hashed = await _prove(services, caller, password)
    check_password(new, operator.login)
    at, token, new_hash = services.now(), new_token(), await hash_password(services, new)
    async with services.db.transaction(caller.organisation) as session:
        try:
            operator = await OperatorRepository(session).set_password(operator.id, new_hash, at, instead_of=hashed)
        except NotFound:
            raise SignInFailed("somebody changed the password meanwhile") from None
        await SignInRepository(session).end_all(operator.id, at, but=signed_in.id)
        goes_on = await SignInRepository(session).step_up(signed_in.id, key_hash(token), at)
        if goes_on is None:
            raise SignInFailed("the session is over")
        await _audit(session, at, caller.name, "operator.password_changed", operator.id)
    return Begun(operator, goes_on, token)


def of_session(caller: Caller) -> SignedIn:
    """Raises `NotFound` for a key: it has no session."""
    if caller.session is None:
        raise NotFound("there is no session: this caller has a key, or is on this machine")
    return caller.session


def _by_password(caller: Caller) -> SignedIn:
    """A password proves nothing about who signed in without one, in a way that may be better guarded."""
    signed_in = of_session(caller)
    if signed_in.identity_id is not None:
        raise Conflict("this session began at an identity provider: it goes on there", reason="oidc_session")
    return signed_in


def new_token() -> str:
    return f"{PREFIX}{secrets.token_urlsafe(32)}"


async def hash_password(services: Services, password: str) -> str:
    async with services.hashing:
        return await asyncio.to_thread(services.passwords.hash, password)


async def _claimed(services: Services, given: Given) -> tuple[Operator | None, str]:
    """The account that is claimed, and the hash to compare with: for an unknown one, one that nothing fits."""
    async with services.db.transaction(given.organisation) as session:
        if not await OperatorRepository(session).is_there_any():
            return None, services.passwords.nobodys
        await _try(services, session, given)
        found = await OperatorRepository(session).by_login(given.login)
    return found or (None, services.passwords.nobodys)


async def _prove(services: Services, caller: Caller, password: str) -> tuple[Operator, str]:
    """The operator, whose password this is."""
    async with services.db.transaction(caller.organisation) as session:
        operator, hashed = await OperatorRepository(session).get(of_session(caller).operator_id)
        given = Given(caller.organisation, operator.login, password, "")
        await _try(services, session, given)
    if not await _verify(services, password, hashed):
        await _refused(services, given, operator, "password")
        raise SignInFailed("the password is wrong")
    async with services.db.transaction(caller.organisation) as session:
        await _forgive(services, session, given)
    return operator, hashed


async def _verify(services: Services, password: str, hashed: str) -> bool:
    async with services.hashing:
        return await asyncio.to_thread(services.passwords.verify, password, hashed)


async def _wrong(
    services: Services, given: Given, operator: Operator | None, is_right: bool, at: datetime
) -> str | None:
    """Why this does not sign anybody in; None: it does. Asked for everybody, so that nobody's answer takes longer."""
    async with services.db.transaction(given.organisation) as session:
        provider = await ProviderRepository(session).newest()
    if provider is not None and provider.settings.enabled and not provider.settings.passwords:
        return "passwords_off"
    if not is_right:
        return "password"
    return "disabled_or_over" if operator is None or _is_over(operator, at) else None


def _is_over(operator: Operator, at: datetime) -> bool:
    return operator.disabled_at is not None or (operator.one_time_until is not None and operator.one_time_until <= at)


def _counted(services: Services, given: Given) -> tuple[tuple[Kind, str], ...]:
    """What a try counts against. Behind a proxy everybody has its address, so that one is not counted."""
    return ("account", _hidden(services, f"login {given.login}")), *_address(services, given.address)


def _address(services: Services, address: str) -> tuple[tuple[Kind, str], ...]:
    if not address or is_loopback(address) or address in services.proxies:
        return ()
    return (("address", _hidden(services, f"address {address}")),)


async def _try(services: Services, session: Session, given: Given) -> None:
    """Counts it, in a transaction that commits; 429 if it must not be made yet."""
    await _count(services, session, _counted(services, given))


async def count_address(services: Services, session: Session, address: str) -> None:
    """The same for a sign-in whose account is not known yet, by its address alone."""
    await _count(services, session, _address(services, address))


async def forgive_address(services: Services, session: Session, address: str) -> None:
    """It succeeded."""
    for kind, key in _address(services, address):
        await ThrottleRepository(session).forgive(kind, key)


async def _count(services: Services, session: Session, counted: Sequence[tuple[Kind, str]]) -> None:
    throttles, at = ThrottleRepository(session), services.now()
    await throttles.forget(at)
    for kind, key in counted:
        may, until = await throttles.try_once(kind, key, at)
        if not may:
            raise too_soon(until - at)


def too_soon(wait: timedelta) -> Exception:
    seconds = max(1, ceil(wait.total_seconds()))
    return problem(429, "rate_limited", "too many failures", headers={"Retry-After": str(seconds)})


async def _forgive(services: Services, session: Session, given: Given) -> None:
    for kind, key in _counted(services, given):
        await ThrottleRepository(session).forgive(kind, key)


async def _refused(services: Services, given: Given, operator: Operator | None, reason: str) -> None:
    """On record: for whom, if there is somebody, and whether the account or address must wait from now on."""
    at = services.now()
    async with services.db.transaction(given.organisation) as session:
        if not await OperatorRepository(session).is_there_any():
            return
        hidden = _hidden(services, f"login {given.login}")
        subject, why = (operator.id, reason) if operator else (f"login:{hidden[1:]}", "unknown")
        await _audit(session, at, NOBODY, "session.refused", subject, reason=why, method="password")
        for kind, key in _counted(services, given):
            until = await ThrottleRepository(session).blocked_until(kind, key)
            if until is not None and until > at:
                seconds = ceil((until - at).total_seconds())
                await _audit(session, at, "system", f"{kind}.locked", subject, seconds=seconds)


def _hidden(services: Services, part: str) -> str:
    return ids.opaque(part, services.id_key)


async def _audit(session: Session, at: datetime, actor: str, action: str, subject: str, **details: object) -> None:
    words: Json = dict(details)
    await AuditRepository(session).append(AuditEvent(at, actor, action, subject, words))
