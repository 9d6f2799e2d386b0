"""Signing in, and proving it again, by the organisation's identity provider: authorization code with PKCE.

A sign-in that is under way is a row, good once, for ten minutes, in the browser it was begun in. Whoever is turned away
is told that they are, and the audit why.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest
from urllib.parse import urlencode

from api import providers
from api.admitting import admit, prove
from api.auth import Caller, key_hash
from api.deps import Services
from api.signing_in import NOBODY, Begun, count_address, of_session
from domain.errors import Conflict, DependencyDown, NotFound, SignInFailed
from domain.id_token import Expected, IdTokenRefused, Person, person_of
from domain.identity_provider import AdmissionRefused, SignInOver, attempt_context
from domain.redemption import Redemption
from domain.values import OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.identity_providers import Provider, ProviderRepository
from schema.oidc_attempts import LASTS, Attempt, AttemptRepository, new_attempt_id

_BYTES = 32


@dataclass(frozen=True)
class Started:
    """Where the browser goes now, and what it must bring back."""

    authorization_url: str
    expires_at: datetime
    state_hash: bytes
    browser: str = field(repr=False)


@dataclass(frozen=True)
class Returned:
    """What a browser brought back from a provider."""

    provider_id: str
    state: str = field(repr=False)
    browser: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = None
    issuer: str | None = None
    address: str = ""

    @property
    def state_hash(self) -> bytes:
        return key_hash(self.state)


@dataclass(frozen=True)
class Finished:
    organisation: OrganisationId
    begun: Begun
    return_to: str
    """A path of ours; empty: wherever people land."""


@dataclass(frozen=True)
class _Taken:
    """An attempt that is being finished: nobody else finishes it."""

    organisation: OrganisationId
    attempt: Attempt
    provider: Provider


async def start(services: Services, organisation: OrganisationId, return_to: str, address: str) -> Started:
    """Raises `NotFound` where nobody signs in so, `DependencyDown`; 429 with `Retry-After` while the address must
    wait."""
    async with services.db.transaction(organisation) as session:
        provider = await ProviderRepository(session).newest()
        if provider is not None and provider.settings.enabled:
            await count_address(services, session, address)
    return await _start(services, organisation, provider, return_to, None)


async def start_step_up(services: Services, caller: Caller, return_to: str) -> Started:
    """The same for a session that is there, by whoever began it. Raises `Conflict` for one that a password began."""
    signed_in = of_session(caller)
    if signed_in.identity_id is None:
        raise Conflict("this session began with a password: give it again", reason="password_session")
    async with services.db.transaction(caller.organisation) as session:
        provider = await ProviderRepository(session).newest()
    return await _start(services, caller.organisation, provider, return_to, signed_in.id)


async def finish(services: Services, returned: Returned) -> Finished:
    """The session that has begun, or goes on under a new token. Raises `SignInOver`, `SignInFailed`,
    `DependencyDown`."""
    organisation = await services.db.whose_oidc_attempt(returned.state_hash)
    if organisation is None:
        raise _over()
    taken = await _take(services, organisation, returned)
    try:
        person = await _person(services, taken, returned)
        if taken.attempt.session_id is None:
            begun = await admit(services, organisation, taken.provider, person, returned.address)
        else:
            begun = await prove(services, organisation, taken.provider, person, taken.attempt.session_id)
    except (IdTokenRefused, AdmissionRefused) as refused:
        await _refused(services, taken, refused.reason)
        raise SignInFailed("the identity provider's word does not let you in here") from None
    except DependencyDown as down:
        if down.details.get("dependency") == "identity_provider":
            await _refused(services, taken, "provider_down")
        raise
    return Finished(organisation, begun, taken.attempt.return_to)


async def _start(
    services: Services, organisation: OrganisationId, provider: Provider | None, return_to: str, session_id: str | None
) -> Started:
    if provider is None or not provider.settings.enabled or services.identity is None or not services.public_url:
        raise NotFound("nobody signs in by an identity provider here")
    settings = provider.settings
    endpoints = await services.identity.endpoints(organisation, settings.issuer)
    state, browser, nonce, verifier = (secrets.token_urlsafe(_BYTES) for _ in range(4))
    at, attempt_id = services.now(), new_attempt_id()
    sealed = providers.box(services).seal(
        json.dumps({"nonce": nonce, "verifier": verifier}).encode(), attempt_context(organisation, attempt_id)
    )
    attempt = Attempt(
        attempt_id, key_hash(browser), provider.id, provider.version, session_id, return_to, sealed, at, at + LASTS,
        None,
    )  # fmt: skip
    async with services.db.transaction(organisation) as session:
        await AttemptRepository(session).begin(attempt, key_hash(state))
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": providers.redirect_uri(services, provider.id),
        "scope": settings.scope,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        **(_once_more(settings.step_up_acr) if session_id else {}),
    }
    joint = "&" if "?" in endpoints.authorization else "?"
    url = f"{endpoints.authorization}{joint}{urlencode(query)}"
    return Started(url, attempt.expires_at, key_hash(state), browser)


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _once_more(acr: tuple[str, ...]) -> Mapping[str, str]:
    """Whatever session there is at the provider, the person is to give proof now."""
    return {"prompt": "login", "max_age": "0", **({"acr_values": " ".join(acr)} if acr else {})}


async def _take(services: Services, organisation: OrganisationId, returned: Returned) -> _Taken:
    """Raises `SignInOver`, and the audit says why."""
    at = services.now()
    async with services.db.transaction(organisation) as session:
        attempts = AttemptRepository(session)
        attempt, provider = await attempts.find(returned.state_hash), await ProviderRepository(session).newest()
        reason = None
        if attempt is None or provider is None:
            raise _over()
        if returned.provider_id != attempt.provider_id:
            reason = "other_provider"
        elif not compare_digest(key_hash(returned.browser), attempt.browser_hash):
            # Not used up: whoever this is must not be able to end somebody's sign-in.
            reason = "other_browser"
        elif not await attempts.use(attempt.id, at):
            reason = "used_before" if attempt.used_at is not None else "too_late"
        elif provider.version != attempt.provider_version or not provider.settings.enabled:
            reason = "provider_changed"
    taken = _Taken(organisation, attempt, provider)
    if reason is not None:
        await _refused(services, taken, reason)
        raise _over()
    return taken


async def _person(services: Services, taken: _Taken, returned: Returned) -> Person:
    """Whom the provider vouches for. Raises `IdTokenRefused`, `DependencyDown`."""
    settings, attempt, gateway = taken.provider.settings, taken.attempt, providers.gateway(services)
    endpoints = await gateway.endpoints(taken.organisation, settings.issuer)
    if returned.issuer != settings.issuer and (returned.issuer is not None or endpoints.names_itself):
        raise IdTokenRefused("iss_of_answer")
    if returned.error is not None:
        raise IdTokenRefused("provider_said_no")
    if returned.code is None:
        raise IdTokenRefused("code_missing")
    try:
        kept = providers.box(services).open(attempt.sealed, attempt_context(taken.organisation, attempt.id))
    except ValueError:
        raise _over() from None
    own = json.loads(kept)
    wanted = Redemption(
        taken.organisation,
        settings.issuer,
        settings.client_id,
        providers.client_secret(services, taken.organisation, taken.provider),
        returned.code,
        own["verifier"],
        providers.redirect_uri(services, taken.provider.id),
    )
    expected = Expected(
        settings.issuer,
        settings.client_id,
        own["nonce"],
        services.now(),
        settings.groups_claim,
        since=attempt.created_at if attempt.session_id else None,
        acr=settings.step_up_acr,
    )
    return person_of(await gateway.redeem(wanted), expected)


async def _refused(services: Services, taken: _Taken, reason: str) -> None:
    """On record, once for each reason: repeating what is refused must not fill the trail."""
    at, attempt = services.now(), taken.attempt
    event = AuditEvent(at, NOBODY, "session.refused", attempt.id, {"reason": reason, "method": "oidc"})
    same = hashlib.sha256(f"{attempt.id} {reason}".encode()).hexdigest()[:32]
    async with services.db.transaction(taken.organisation) as session:
        await AuditRepository(session).append_once(f"aud_{same}", event)


def _over() -> SignInOver:
    return SignInOver("this sign-in is over, or was begun elsewhere; begin it again")
