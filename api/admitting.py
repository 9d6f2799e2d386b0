"""Whom an identity provider vouches for, let in: known by issuer and subject, by nothing else after the first time."""

from collections.abc import Sequence
from datetime import datetime

from api.auth import key_hash
from api.deps import Services
from api.signing_in import Begun, forgive_address, new_token
from domain.errors import Conflict
from domain.id_token import Person
from domain.identity_provider import AdmissionRefused
from domain.values import Json, OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.identities import Identity, IdentityRepository
from schema.identity_providers import Provider
from schema.operators import Operator, OperatorRepository
from schema.session import Session
from schema.sign_ins import SignInRepository

PROVIDER = "identity_provider"
"""Who acts when the provider's word changes something here."""
METHOD: Json = {"method": "oidc"}


async def admit(
    services: Services, organisation: OrganisationId, provider: Provider, person: Person, address: str
) -> Begun:
    """A session that has just begun. Raises `AdmissionRefused`."""
    scopes = await _scopes(services, organisation, provider, person)
    try:
        return await _admit(services, organisation, provider, person, scopes, address)
    except Conflict:
        pass  # the same person came by two browsers at once: now they are known
    try:
        return await _admit(services, organisation, provider, person, scopes, address)
    except Conflict:
        raise AdmissionRefused("taken") from None


async def prove(
    services: Services, organisation: OrganisationId, provider: Provider, person: Person, session_id: str
) -> Begun:
    """The session goes on under a new token, stepped up. Raises `AdmissionRefused`: another person, or it is over."""
    scopes = await _scopes(services, organisation, provider, person)
    at, token = services.now(), new_token()
    async with services.db.transaction(organisation) as session:
        identity = await IdentityRepository(session).find(provider.settings.issuer, person.subject)
        found = await SignInRepository(session).find(session_id)
        if identity is None or found is None or found.identity_id != identity.id:
            raise AdmissionRefused("other_person")
        operator = await _operator(session, identity, scopes, at)
        raised = await SignInRepository(session).step_up(session_id, key_hash(token), at)
        if raised is None:
            raise AdmissionRefused("session_over")
        await _audit(session, at, operator.id, "session.stepped_up", session_id, METHOD)
    return Begun(operator, raised, token)


async def _scopes(
    services: Services, organisation: OrganisationId, provider: Provider, person: Person
) -> tuple[str, ...] | None:
    """What the provider says they may. Who may not come in any more is signed out everywhere as well."""
    try:
        return provider.settings.admit(person)
    except AdmissionRefused as refused:
        async with services.db.transaction(organisation) as session:
            identity = await IdentityRepository(session).find(provider.settings.issuer, person.subject)
            if identity is not None and await SignInRepository(session).end_of(identity.id, services.now()):
                details: Json = {"reason": refused.reason}
                await _audit(session, services.now(), PROVIDER, "operator.signed_out", identity.operator_id, details)
        raise


async def _admit(
    services: Services,
    organisation: OrganisationId,
    provider: Provider,
    person: Person,
    scopes: tuple[str, ...] | None,
    address: str,
) -> Begun:
    at, token = services.now(), new_token()
    async with services.db.transaction(organisation) as session:
        known = await IdentityRepository(session).find(provider.settings.issuer, person.subject)
        identity = known or await _new(services, session, provider, person, scopes, at)
        # First, for it locks: of two sign-ins of one person the second begins when the first is through.
        await IdentityRepository(session).seen(identity.id, at)
        operator = await _operator(session, identity, scopes, at)
        begun = await SignInRepository(session).begin_by(identity.id, key_hash(token), at)
        if begun is None:
            raise AdmissionRefused("disabled")
        await forgive_address(services, session, address)
        await _audit(session, at, operator.id, "session.started", begun.id, METHOD)
    return Begun(operator, begun, token)


async def _operator(session: Session, identity: Identity, scopes: Sequence[str] | None, at: datetime) -> Operator:
    """The operator, with what the provider says they may now. Raises `AdmissionRefused` for a disabled one."""
    operators = OperatorRepository(session)
    operator, _ = await operators.get(identity.operator_id)
    if operator.disabled_at is not None:
        raise AdmissionRefused("disabled")
    if scopes is None or tuple(scopes) == operator.scopes:
        return operator
    changed = await operators.change(operator.id, at, scopes=scopes)
    details: Json = {"scopes": list(changed.scopes), "enabled": True}
    await _audit(session, at, PROVIDER, "operator.changed", operator.id, details)
    return changed


async def _new(
    services: Services,
    session: Session,
    provider: Provider,
    person: Person,
    scopes: tuple[str, ...] | None,
    at: datetime,
) -> Identity:
    """Who was not known: an operator who is there, or a new one, as the organisation wants it."""
    settings, operators = provider.settings, OperatorRepository(session)
    there = await operators.by_login(person.email) if person.email else None
    if there is not None:
        if not settings.links_by_email:
            raise AdmissionRefused("not_linked")
        return await _link(session, provider, there[0], person, at)
    if not settings.creates_operators:
        raise AdmissionRefused("unknown")
    # A password that nothing fits. The login is for people to see: who this is says the identity alone.
    login = person.email or f"oidc-{key_hash(f'{settings.issuer} {person.subject}').hex()[:24]}"
    may = scopes if scopes is not None else settings.new_scopes
    added = await operators.add(login, services.passwords.nobodys, may, PROVIDER, at)
    await _audit(session, at, PROVIDER, "operator.added", added.id, {"scopes": list(added.scopes)})
    return await _link(session, provider, added, person, at)


async def _link(session: Session, provider: Provider, operator: Operator, person: Person, at: datetime) -> Identity:
    linked = await IdentityRepository(session).link(operator.id, provider.settings.issuer, person.subject, PROVIDER, at)
    details: Json = {"identity": linked.id, "replaces": None}
    await _audit(session, at, PROVIDER, "operator.linked", operator.id, details)
    return linked


async def _audit(session: Session, at: datetime, actor: str, action: str, subject: str, details: Json) -> None:
    await AuditRepository(session).append(AuditEvent(at, actor, action, subject, details))
