"""The organisation's own identity provider, as versions; its client's secret is written and never read."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from api import providers
from api.auth import CallerDep, KeyScope, Scope
from api.deps import Services, ServicesDep
from api.fields import Body, Flag, Instant, Revision
from api.strict_json import StrictRoute
from domain.errors import NotFound
from domain.identity_provider import MOST_ROLES, ProviderSettings, Role
from schema.identity_providers import Provider, ProviderRepository

router = APIRouter(prefix="/identity-provider", tags=["operators"], route_class=StrictRoute)

Issuer = Annotated[str, StringConstraints(min_length=8, max_length=500, pattern=r"^https?://[!-~]+$")]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=r"^[ -~]+$")]
Domain = Annotated[
    str,
    StringConstraints(max_length=253, to_lower=True, pattern=r"^[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$"),
]
Group = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Claim = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Asked = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!#-\[\]-~]+$")]
Scopes = Annotated[tuple[KeyScope, ...], Field(max_length=10)]


class RoleBody(Body):
    group: Group
    scopes: Annotated[tuple[KeyScope, ...], Field(min_length=1, max_length=10)]


class ProviderBody(Body):
    """The whole of it; what is left out is as if it never had been said, but for the secret, which stays."""

    issuer: Issuer
    """Exactly as the provider spells it in its discovery document."""
    client_id: ClientId
    client_secret: Secret | None = None
    """Written, never read. Left out: it stays; null: the client has none."""
    enabled: Flag = True
    passwords: Flag = True
    """False: nobody signs in with a password any more. 409 until an admin has signed in by this provider."""
    domains: Annotated[tuple[Domain, ...], Field(max_length=100)] = ()
    """Only people whose verified e-mail address is in one of these."""
    groups_claim: Claim = "groups"
    """Which claim of the ID token names groups or roles; dots lead into objects (`realm_access.roles`)."""
    required_group: Group | None = None
    roles: Annotated[tuple[RoleBody, ...], Field(max_length=MOST_ROLES)] = ()
    """With any, an operator's scopes are what their groups give, anew at each sign-in; without a role nobody enters."""
    creates_operators: Flag = False
    """Whoever is let in and not known becomes an operator. Needs domains, a required group or roles."""
    new_scopes: Scopes = ()
    """What such a new operator may, where there are no roles."""
    links_by_email: Flag = False
    """Whoever is not known is the operator whose login is their verified e-mail address. Needs domains."""
    asked_scopes: Annotated[tuple[Asked, ...], Field(max_length=20)] = ()
    """Asked of the provider beside `openid` and `email`, such as `groups`."""
    step_up_acr: Annotated[tuple[Asked, ...], Field(max_length=20)] = ()
    """One of these must be the `acr` of a step-up. None: any new proof will do."""
    expected_version: Revision | None = None
    """The version you changed; 409 if there is a newer one."""

    def settings(self) -> ProviderSettings:
        said = {name: getattr(self, name) for name in ProviderSettings.model_fields}
        roles = tuple(Role(group=role.group, scopes=tuple(sorted(set(role.scopes)))) for role in self.roles)
        return ProviderSettings(**{**said, "roles": roles})

    def secret(self) -> providers.NewSecret:
        return providers.NewSecret("client_secret" in self.model_fields_set, self.client_secret)


class ShownProvider(ProviderSettings):
    id: str
    version: int
    has_secret: bool
    redirect_uri: str
    """Where the provider sends browsers back to: register exactly this there."""
    created_at: Instant
    created_by: str


@router.get("", summary="The identity provider", responses={404: {}})
async def get_identity_provider(caller: CallerDep, services: ServicesDep) -> ShownProvider:
    caller.need(Scope.ADMIN)
    async with services.db.transaction(caller.organisation) as session:
        provider = await ProviderRepository(session).newest()
    if provider is None:
        raise NotFound("there is no identity provider yet")
    return _shown(services, provider)


@router.put("", summary="Set up the identity provider", responses={409: {}})
async def put_identity_provider(body: ProviderBody, caller: CallerDep, services: ServicesDep) -> ShownProvider:
    """The next version; the same words again are the same version. Who is signed in stays so; with `passwords` false
    every other session that began with one ends."""
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    provider = await providers.put(services, caller, body.settings(), body.secret(), body.expected_version)
    return _shown(services, provider)


def _shown(services: Services, provider: Provider) -> ShownProvider:
    return ShownProvider(
        **provider.settings.model_dump(by_alias=False),
        id=provider.id,
        version=provider.version,
        has_secret=provider.sealed_secret is not None,
        redirect_uri=providers.redirect_uri(services, provider.id),
        created_at=provider.created_at,
        created_by=provider.created_by,
    )
