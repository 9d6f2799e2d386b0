"""What is asked of an identity provider, and what it says about itself."""

from dataclasses import dataclass, field

from domain.values import OrganisationId


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider is talked to."""

    authorization: str
    token: str
    keys: str
    takes_basic: bool
    """The client's secret goes in a header; else in the form."""
    names_itself: bool
    """Its answers carry `iss` (RFC 9207): one without it is not from this provider."""


@dataclass(frozen=True, slots=True)
class Redemption:
    """A code, and what shows that it is ours."""

    organisation: OrganisationId
    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    """None: a client without one; then only the verifier shows that the code is ours."""
    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
