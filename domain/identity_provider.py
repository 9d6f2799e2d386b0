"""An organisation's own identity provider (OpenID Connect): who may sign in by it, and what they may do then."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from domain.errors import HoldfastError, RequestInvalid
from domain.id_token import Person
from domain.values import OrganisationId, Value

MOST_ROLES = 100
SCOPES = ("openid", "email")
"""Asked for always."""


class SignInOver(HoldfastError):
    """A sign-in at an identity provider that cannot be finished here: used, too late, or another browser's."""

    code = "sign_in_over"


class AdmissionRefused(Exception):
    """Somebody the provider knows may not come in. `reason` is for the audit, never for them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Role(Value):
    """What members of a group of the provider may do here."""

    group: str
    scopes: tuple[str, ...]


class ProviderSettings(Value):
    """What an organisation says about its provider. The client's secret is kept apart, sealed."""

    issuer: str
    """Exactly as the provider spells it: with or without a slash at its end."""
    client_id: str
    enabled: bool = True
    passwords: bool = True
    """Whether operators may sign in with a password too, while the provider is enabled."""
    domains: tuple[str, ...] = ()
    """Only people with a verified e-mail address in one of these, in lower case. None: their address says nothing."""
    groups_claim: str = "groups"
    required_group: str | None = None
    """Only its members."""
    roles: tuple[Role, ...] = ()
    """With any, the provider decides what an operator may, anew at each sign-in, and who has no role stays out."""
    creates_operators: bool = False
    """Whether who is unknown here becomes an operator by signing in."""
    new_scopes: tuple[str, ...] = ()
    """What such a new operator may, where there are no roles."""
    links_by_email: bool = False
    """Whether who is unknown here is the operator whose login is their verified e-mail address."""
    asked_scopes: tuple[str, ...] = ()
    """Asked for beside `openid` and `email`: many providers tell groups only then."""
    step_up_acr: tuple[str, ...] = ()
    """How somebody must have signed in there for step-up to count (`acr`). None: the provider decides."""

    @property
    def scope(self) -> str:
        """The parameter of the authorization request."""
        return " ".join(dict.fromkeys((*SCOPES, *self.asked_scopes)))

    @property
    def narrows(self) -> bool:
        """Whether anything but having an account at the provider is asked of people."""
        return bool(self.domains or self.required_group or self.roles)

    def admit(self, person: Person) -> tuple[str, ...] | None:
        """What the provider says they may; None: it says nothing about that. Raises `AdmissionRefused`."""
        if self.domains and (person.email or "").rpartition("@")[2] not in self.domains:
            raise AdmissionRefused("domain")
        if self.required_group is not None and self.required_group not in person.groups:
            raise AdmissionRefused("group")
        if not self.roles:
            return None
        scopes = {scope for role in self.roles if role.group in person.groups for scope in role.scopes}
        if not scopes:
            raise AdmissionRefused("role")
        return tuple(sorted(scopes))


def check_provider(settings: ProviderSettings) -> None:
    """Raises `RequestInvalid` for settings that would let in whoever has an account at the provider, or that cannot
    mean what they say."""
    parts = urlsplit(settings.issuer)
    if parts.query or parts.fragment or not parts.netloc:
        raise _refused("an issuer is an address without a query", "issuer")
    if settings.creates_operators and not settings.narrows:
        raise _refused("anybody at the provider would become an operator", "createsOperators", "nothing_narrows")
    if settings.creates_operators and not settings.roles and not settings.new_scopes:
        raise _refused("a new operator would have no scopes", "newScopes", "scopes_missing")
    if settings.links_by_email and not settings.domains:
        raise _refused("linking by e-mail address needs the domains that are yours", "linksByEmail", "domains_missing")
    groups = [role.group for role in settings.roles]
    if len(set(groups)) != len(groups):
        raise _refused("a group stands there twice", "roles", "twice")


def secret_context(organisation: OrganisationId, provider_id: str, issuer: str, client_id: str) -> str:
    """What a client's secret is sealed for: it opens for no other issuer and no other client."""
    return f"oidc client secret {organisation} {provider_id} {issuer} {client_id}"


def attempt_context(organisation: OrganisationId, attempt_id: str) -> str:
    """What the secrets of one sign-in under way are sealed for."""
    return f"oidc attempt {organisation} {attempt_id}"


def changed_fields(before: ProviderSettings | None, after: ProviderSettings) -> Sequence[str]:
    """The names of what is different, as the API spells them."""
    old = before.model_dump(mode="json", by_alias=True) if before else {}
    return sorted(
        name for name, value in after.model_dump(mode="json", by_alias=True).items() if old.get(name) != value
    )


def _refused(message: str, field: str, reason: str = "issuer") -> RequestInvalid:
    return RequestInvalid(message, fields=[field], reason=reason)
