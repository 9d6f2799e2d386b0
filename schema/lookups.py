"""The only two questions that may be asked across organisations. Each is one narrow function in the database."""

from dataclasses import dataclass

from sqlalchemy import text

from domain.values import HandoffId, OrganisationId


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """An API key that is neither expired nor revoked."""

    organisation: OrganisationId
    key_id: str
    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UntoldHandoff:
    """A decided handoff whose workflow has not been told yet."""

    organisation: OrganisationId
    handoff_id: HandoffId


RESOLVE_API_KEY = text("SELECT organisation, key_id, name, scopes FROM resolve_api_key(:hash)")
UNTOLD_HANDOFFS = text("SELECT organisation, handoff_id FROM untold_handoffs(:limit)")
