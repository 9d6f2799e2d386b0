"""The only questions that may be asked across organisations. Each is one narrow function in the database."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text

from domain.budget import Budget, Limits
from domain.standing import Standing
from domain.values import CustomerId, DeliveryId, HandoffId, InteractionId, OrganisationId
from schema.admitted import AdmittedCustomer, AdmittedKey, AdmittedSession, ResolvedKey


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
class UnansweredInteraction:
    """A request that has no answer yet, not even that a person looks."""

    organisation: OrganisationId
    interaction_id: InteractionId


@dataclass(frozen=True, slots=True)
class UnfinishedErasure:
    """Somebody asked for it, and nobody may be working on it."""

    organisation: OrganisationId
    erasure_id: str


@dataclass(frozen=True, slots=True)
class ToSeal:
    """An organisation whose audit chain has something to do."""

    organisation: OrganisationId
    last_batch: int
    """0: nothing is sealed yet."""


RESOLVE_API_KEY = text("SELECT organisation, key_id, name, scopes, ended FROM resolve_key(:hash)")
ADMIT_API_KEY = text(
    "SELECT organisation, key_id, name, scopes, ended, most, ahead_s, key_most, key_ahead_s, refused_by,"
    " vouches, owner FROM admit_key(:hash, :most, :key_percent, :window_s)"
)
_OWN = "most, own_most, own_ahead_s, ahead_s, refused_by"
ADMIT_SESSION = text(
    f"SELECT organisation, session_id, operator_id, scopes, stepped_up_at, is_one_time, identity_id, {_OWN}"
    " FROM admit_session(:hash, :most, :own_percent, :window_s)"
)
ADMIT_CUSTOMER_TOKEN = text(
    f"SELECT organisation, customer_id, {_OWN} FROM admit_customer_token(:hash, :most, :own_percent, :window_s)"
)
WHOSE_OIDC_ATTEMPT = text("SELECT organisation FROM whose_oidc_attempt(:hash)")
UNTOLD_HANDOFFS = text("SELECT organisation, handoff_id FROM untold_handoffs(:limit)")
CHANGED_HANDOFFS = text("SELECT organisation, handoff_id FROM changed_handoffs(:limit)")
UNTOLD_DELIVERIES = text("SELECT organisation, delivery_id FROM untold_deliveries(:limit)")
UNANSWERED = text("SELECT organisation, interaction_id FROM unanswered_interactions(:before, :now, :limit)")
UNFINISHED_ERASURES = text("SELECT organisation, erasure_id FROM unfinished_erasures(:before, :limit)")
AUDIT_TO_SEAL = text("SELECT organisation, last_batch FROM audit_to_seal(:after, :since, :every_one, :limit)")
ORGANISATIONS_WITH_FACTS = text("SELECT organisation FROM organisations_with_facts(:after, :limit)")
EVERY_ORGANISATION = text("SELECT organisation FROM every_organisation(:after, :limit)")
STANDING_NOW = text(
    "SELECT measure, kind, count, since FROM standing_now()"
    " UNION ALL SELECT measure, kind, count, since FROM retention_now()"
)


class LookUps(ABC):
    """Every look-up, as the whole installation's own processes need them."""

    @abstractmethod
    async def _look_up(self, question: TextClause, **values: Any) -> Sequence[Any]:
        """The rows, asked in the name of nobody."""

    async def resolve_api_key(self, key_hash: bytes) -> ResolvedKey | None:
        """Whose key this is, and whether it has ended; None if it is unknown."""
        rows = await self._look_up(RESOLVE_API_KEY, hash=key_hash)
        if not rows:
            return None
        row = rows[0]
        return ResolvedKey(OrganisationId(row.organisation), row.key_id, row.name, tuple(row.scopes), row.ended)

    async def admit_api_key(self, key_hash: bytes, limits: Limits) -> AdmittedKey | None:
        """The same as `resolve_api_key`, and one request more is counted for the key and its organisation."""
        window_s = limits.window.total_seconds()
        values = {"most": limits.most, "key_percent": limits.key_percent, "window_s": window_s}
        rows = await self._look_up(ADMIT_API_KEY, hash=key_hash, **values)
        if not rows:
            return None
        row = rows[0]
        spent = (("key", row.key_most, row.key_ahead_s), ("organisation", row.most, row.ahead_s))
        budgets = tuple(Budget(name, most, window_s, ahead) for name, most, ahead in spent if ahead is not None)
        whose = OrganisationId(row.organisation)
        how = {"budgets": budgets, "refused_by": row.refused_by, "vouches": row.vouches, "owner": row.owner}
        return AdmittedKey(whose, row.key_id, row.name, tuple(row.scopes), row.ended, **how)

    async def admit_session(self, token_hash: bytes, limits: Limits) -> AdmittedSession | None:
        """Whose session this is, unless it is unknown or over; one request more is counted for the operator and the
        organisation."""
        rows = await self._look_up(ADMIT_SESSION, hash=token_hash, **_granted(limits, limits.key_percent))
        if not rows:
            return None
        r = rows[0]
        return AdmittedSession(
            OrganisationId(r.organisation), r.session_id, r.operator_id, tuple(r.scopes), r.stepped_up_at,
            r.is_one_time, r.identity_id, _budgets("operator", r, limits), r.refused_by,
        )  # fmt: skip

    async def admit_customer_token(self, token_hash: bytes, limits: Limits) -> AdmittedCustomer | None:
        """For whom the token speaks, unless it is unknown or over; counted likewise."""
        rows = await self._look_up(ADMIT_CUSTOMER_TOKEN, hash=token_hash, **_granted(limits, limits.customer_percent))
        if not rows:
            return None
        r = rows[0]
        whose, who = OrganisationId(r.organisation), CustomerId(r.customer_id)
        return AdmittedCustomer(whose, who, _budgets("customer", r, limits), r.refused_by)

    async def whose_oidc_attempt(self, state_hash: bytes) -> OrganisationId | None:
        """In which organisation somebody is signing in by its identity provider with this state."""
        rows = await self._look_up(WHOSE_OIDC_ATTEMPT, hash=state_hash)
        return OrganisationId(rows[0].organisation) if rows else None

    async def untold_handoffs(self, limit: int = 100) -> tuple[UntoldHandoff, ...]:
        """Decided handoffs of every organisation whose workflows have not been told, oldest decision first."""
        rows = await self._look_up(UNTOLD_HANDOFFS, limit=limit)
        return tuple(UntoldHandoff(OrganisationId(r.organisation), HandoffId(r.handoff_id)) for r in rows)

    async def changed_handoffs(self, limit: int = 100) -> tuple[UntoldHandoff, ...]:
        """Handoffs of every organisation whose workflows should look at what changed, oldest change first."""
        rows = await self._look_up(CHANGED_HANDOFFS, limit=limit)
        return tuple(UntoldHandoff(OrganisationId(r.organisation), HandoffId(r.handoff_id)) for r in rows)

    async def untold_deliveries(self, limit: int = 100) -> tuple[UntoldDelivery, ...]:
        """Deliveries of every organisation whose workflows do not know how they stand, oldest first."""
        rows = await self._look_up(UNTOLD_DELIVERIES, limit=limit)
        return tuple(UntoldDelivery(OrganisationId(r.organisation), DeliveryId(r.delivery_id)) for r in rows)

    async def unanswered_interactions(
        self, before: datetime, now: datetime, limit: int = 50
    ) -> tuple[UnansweredInteraction, ...]:
        """Requests of every organisation from before then that are to be looked at by now, oldest first."""
        rows = await self._look_up(UNANSWERED, before=before, now=now, limit=limit)
        return tuple(
            UnansweredInteraction(OrganisationId(r.organisation), InteractionId(r.interaction_id)) for r in rows
        )

    async def unfinished_erasures(self, before: datetime, limit: int = 50) -> tuple[UnfinishedErasure, ...]:
        """Erasures of every organisation that were asked for before then and are not over, oldest first."""
        rows = await self._look_up(UNFINISHED_ERASURES, before=before, limit=limit)
        return tuple(UnfinishedErasure(OrganisationId(row.organisation), row.erasure_id) for row in rows)

    async def audit_to_seal(
        self, *, after: str, since: datetime, every_one: bool, limit: int = 200
    ) -> tuple[ToSeal, ...]:
        """Organisations, by name after `after`, with events to seal or a batch since then; or all that have events."""
        values = {"after": after, "since": since, "every_one": every_one, "limit": limit}
        rows = await self._look_up(AUDIT_TO_SEAL, **values)
        return tuple(ToSeal(OrganisationId(r.organisation), r.last_batch) for r in rows)

    async def organisations_with_facts(self, *, after: str, limit: int = 200) -> tuple[OrganisationId, ...]:
        """Organisations, by name after `after`, for which something can be counted."""
        rows = await self._look_up(ORGANISATIONS_WITH_FACTS, after=after, limit=limit)
        return tuple(OrganisationId(row.organisation) for row in rows)

    async def every_organisation(self, *, after: str, limit: int = 200) -> tuple[OrganisationId, ...]:
        """Every organisation there is, by name after `after`."""
        rows = await self._look_up(EVERY_ORGANISATION, after=after, limit=limit)
        return tuple(OrganisationId(row.organisation) for row in rows)

    async def standing_now(self) -> tuple[Standing, ...]:
        """How much is open, over all organisations."""
        rows = await self._look_up(STANDING_NOW)
        return tuple(Standing(r.measure, r.kind, r.count, r.since) for r in rows)


def _granted(limits: Limits, own_percent: int) -> dict[str, Any]:
    return {"most": limits.most, "own_percent": own_percent, "window_s": limits.window.total_seconds()}


def _budgets(name: str, row: Any, limits: Limits) -> tuple[Budget, ...]:
    """Those that were asked, the caller's own first; none on a standby."""
    window_s = limits.window.total_seconds()
    spent = ((name, row.own_most, row.own_ahead_s), ("organisation", row.most, row.ahead_s))
    return tuple(Budget(of, most, window_s, ahead) for of, most, ahead in spent if ahead is not None)
