"""Who was let in at the door, as found by their credential."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.budget import Budget
from domain.values import CustomerId, OrganisationId


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """Whose API key it is, or was."""

    organisation: OrganisationId
    key_id: str
    name: str
    scopes: tuple[str, ...]
    ended: Literal["expired", "revoked"] | None = None
    """Whoever sends an ended key had it once: they are told so, and nothing else."""


@dataclass(frozen=True, slots=True)
class AdmittedKey(ResolvedKey):
    """The same, with how the limits stand after this request."""

    budgets: tuple[Budget, ...] = ()
    """The key's first; none where nothing can be counted, on a standby."""
    refused_by: str | None = None
    """The name of the limit that is used up, if one is."""
    vouches: bool = False
    """Whether what it passes on counts as coming from the customer it names."""
    owner: str | None = None
    """The operator who has it; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class AdmittedSession:
    """A session that goes on, of an operator who may sign in, with how the limits stand after this request."""

    organisation: OrganisationId
    session_id: str
    operator_id: str
    scopes: tuple[str, ...]
    """The operator's as they are now."""
    stepped_up_at: datetime | None
    is_one_time: bool
    """The password is a one-time one, to be changed before anything else."""
    identity_id: str | None
    """None: it began with a password."""
    budgets: tuple[Budget, ...] = ()
    refused_by: str | None = None


@dataclass(frozen=True, slots=True)
class AdmittedCustomer:
    """An end customer whose token is good, with how the limits stand after this request."""

    organisation: OrganisationId
    customer_id: CustomerId
    budgets: tuple[Budget, ...] = ()
    refused_by: str | None = None
