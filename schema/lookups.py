"""The only questions that may be asked across organisations. Each is one narrow function in the database."""

from dataclasses import dataclass

from sqlalchemy import text

from domain.values import DeliveryId, HandoffId, OrganisationId


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


@dataclass(frozen=True, slots=True)
class UntoldDelivery:
    """A delivery whose workflow does not know how it stands: new, or decided by a person."""

    organisation: OrganisationId
    delivery_id: DeliveryId


@dataclass(frozen=True, slots=True)
class ToSeal:
    """An organisation whose audit chain has something to do."""

    organisation: OrganisationId
    last_batch: int
    """0: nothing is sealed yet."""


RESOLVE_API_KEY = text("SELECT organisation, key_id, name, scopes FROM resolve_api_key(:hash)")
UNTOLD_HANDOFFS = text("SELECT organisation, handoff_id FROM untold_handoffs(:limit)")
CHANGED_HANDOFFS = text("SELECT organisation, handoff_id FROM changed_handoffs(:limit)")
UNTOLD_DELIVERIES = text("SELECT organisation, delivery_id FROM untold_deliveries(:limit)")
AUDIT_TO_SEAL = text("SELECT organisation, last_batch FROM audit_to_seal(:after, :since, :every_one, :limit)")
ORGANISATIONS_WITH_FACTS = text("SELECT organisation FROM organisations_with_facts(:after, :limit)")
STANDING_NOW = text("SELECT measure, kind, count, since FROM standing_now()")
