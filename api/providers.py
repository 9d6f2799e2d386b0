"""The organisation's identity provider as admins set it up, and whom of the operators it vouches for."""

from dataclasses import dataclass, field

from api.auth import Caller
from api.deps import IdentityGateway, Services
from domain.errors import Conflict, NotFound, RequestInvalid
from domain.identity_provider import ProviderSettings, changed_fields, check_provider, secret_context
from domain.outside import Use, target_of
from domain.ports import SecretBox
from domain.values import Json, OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.identities import Identity, IdentityRepository
from schema.identity_providers import Provider, ProviderRepository, new_provider_id
from schema.operators import OperatorRepository
from schema.session import Session
from schema.sign_ins import SignInRepository


@dataclass(frozen=True)
class NewSecret:
    """What an admin says about the client's secret."""

    is_given: bool
    """False: it stays as it is."""
    secret: str | None = field(default=None, repr=False)
    """None: the client has none."""


async def put(
    services: Services, caller: Caller, settings: ProviderSettings, new: NewSecret, expected: int | None
) -> Provider:
    """The next version, or the newest one if it says exactly this. Raises `RequestInvalid`, `Conflict`."""
    _check(services, caller.organisation, settings)
    async with services.db.transaction(caller.organisation) as session:
        providers = ProviderRepository(session)
        before = await providers.newest()
        if before and before.settings == settings and not new.is_given:
            return before
        newest = before.version if before else 0
        if expected is not None and expected != newest:
            raise Conflict("the identity provider was changed meanwhile", version=newest)
        await _check_way_in(session, settings)
        provider_id = before.id if before else new_provider_id()
        sealed = _sealed(services, caller.organisation, provider_id, settings, before, new)
        at = services.now()
        provider = await providers.put(provider_id, newest + 1, settings, sealed, caller.name, at)
        if settings.enabled and not settings.passwords:
            await SignInRepository(session).end_all_by_password(at, but=caller.session.id if caller.session else "")
        details = _change(before, provider, secret_changed=new.is_given)
        await _audit(services, session, caller, "identity_provider.changed", provider_id, details)
    return provider


async def link(services: Services, caller: Caller, operator_id: str, subject: str) -> Identity:
    """This operator is that subject of the provider as it is now; another one is not any more.

    Raises `OperatorNotFound`; `Conflict` if there is no provider, or the subject is another operator."""
    async with services.db.transaction(caller.organisation) as session:
        await OperatorRepository(session).get(operator_id)
        issuer, identities = await _issuer(session), IdentityRepository(session)
        before = await identities.of(operator_id, issuer)
        if before is not None and before.subject == subject:
            return before
        if before is not None:
            await _unlink(services, session, before)
        linked = await identities.link(operator_id, issuer, subject, caller.name, services.now())
        details: Json = {"identity": linked.id, "replaces": before.id if before else None}
        await _audit(services, session, caller, "operator.linked", operator_id, details)
    return linked


async def unlink(services: Services, caller: Caller, operator_id: str) -> None:
    """They do not sign in by the provider any more, and every session that began so is over. Raises `NotFound`."""
    async with services.db.transaction(caller.organisation) as session:
        identity = await linked(session, operator_id)
        await _unlink(services, session, identity)
        await _audit(services, session, caller, "operator.unlinked", operator_id, {"identity": identity.id})


async def linked(session: Session, operator_id: str) -> Identity:
    """Who the operator is at the provider as it is now. Raises `NotFound`, `OperatorNotFound`."""
    await OperatorRepository(session).get(operator_id)
    provider = await ProviderRepository(session).newest()
    identity = await IdentityRepository(session).of(operator_id, provider.settings.issuer) if provider else None
    if identity is None:
        raise NotFound("this operator is nobody at the identity provider")
    return identity


def redirect_uri(services: Services, provider_id: str) -> str:
    """Where the provider sends browsers back to. Each provider has its own, so that what one answers is never taken
    for another's."""
    return f"{services.public_url}/session/oidc/callback/{provider_id}"


def client_secret(services: Services, organisation: OrganisationId, provider: Provider) -> str | None:
    """Raises `Conflict` where it cannot be opened here."""
    if provider.sealed_secret is None:
        return None
    context = _context(organisation, provider.id, provider.settings)
    try:
        return box(services).open(provider.sealed_secret, context).decode()
    except ValueError:
        raise Conflict("the client's secret cannot be opened here", reason="encryption_keyset_changed") from None


def box(services: Services) -> SecretBox:
    if services.secret_box is None:
        raise Conflict("secrets cannot be kept here: no encryption keyset is set", reason="encryption_keyset_missing")
    return services.secret_box


def gateway(services: Services) -> IdentityGateway:
    if services.identity is None:
        raise Conflict("signing in by an identity provider is not installed here", reason="oidc_missing")
    return services.identity


def _check(services: Services, organisation: OrganisationId, settings: ProviderSettings) -> None:
    gateway(services)
    box(services)
    if not services.public_url:
        raise Conflict("nobody said where browsers reach this API", reason="public_url_missing")
    check_provider(settings)
    try:
        target_of(settings.issuer, services.outbound_allow.of(organisation, Use.IDENTITY))
    except RequestInvalid as refused:
        raise RequestInvalid(refused.message, fields=["issuer"]) from None


async def _check_way_in(session: Session, settings: ProviderSettings) -> None:
    """Passwords are switched off by who has seen the other way work: nobody locks the organisation out."""
    shuts = settings.enabled and not settings.passwords
    if shuts and not await IdentityRepository(session).has_admin(settings.issuer):
        raise Conflict("first an admin must have signed in by this provider", reason="nobody_signed_in_yet")


def _sealed(
    services: Services,
    organisation: OrganisationId,
    provider_id: str,
    settings: ProviderSettings,
    before: Provider | None,
    new: NewSecret,
) -> bytes | None:
    context = _context(organisation, provider_id, settings)
    if new.is_given:
        return None if new.secret is None else box(services).seal(new.secret.encode(), context)
    if before is None or before.sealed_secret is None:
        return None
    if context != _context(organisation, provider_id, before.settings):
        # Kept, it would be sent to whatever address an admin names, who was never to read it.
        raise RequestInvalid(
            "for another issuer or client give its secret", fields=["clientSecret"], reason="give_again"
        )
    return before.sealed_secret


def _context(organisation: OrganisationId, provider_id: str, settings: ProviderSettings) -> str:
    return secret_context(organisation, provider_id, settings.issuer, settings.client_id)


async def _issuer(session: Session) -> str:
    provider = await ProviderRepository(session).newest()
    if provider is None:
        raise Conflict("there is no identity provider yet", reason="identity_provider_missing")
    return provider.settings.issuer


async def _unlink(services: Services, session: Session, identity: Identity) -> None:
    # First the link, then what began by it: who is signing in at this moment waits for one or the other.
    await IdentityRepository(session).unlink(identity.id)
    await SignInRepository(session).end_of(identity.id, services.now())


def _change(before: Provider | None, after: Provider, *, secret_changed: bool) -> Json:
    old = before.settings.model_dump(mode="json") if before else None
    return {
        "before": old,
        "after": after.settings.model_dump(mode="json"),
        "changed": list(changed_fields(before.settings if before else None, after.settings)),
        "secretChanged": secret_changed,
        "version": after.version,
    }


async def _audit(
    services: Services, session: Session, caller: Caller, action: str, subject: str, details: Json
) -> None:
    await AuditRepository(session).append(AuditEvent(services.now(), caller.name, action, subject, details))
