"""What a database that was set back to an earlier moment is told about the time it has lost."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Field

from domain.values import DeliveryId, EffectId, InteractionId
from schema.base import OrganisationRow, UtcTime
from schema.delivery_rows import COLUMNS as DELIVERY_COLUMNS
from schema.delivery_rows import Delivery, read_deliveries
from schema.interaction_rows import COLUMNS, Interaction, read_interactions
from schema.session import Session


class LostRequestRow(OrganisationRow, table=True):
    """A request that was taken in after the moment a backup holds, and is known by the id of its workflow only."""

    __tablename__ = "lost_requests"

    workflow_id: str = Field(primary_key=True)
    acted: bool
    found_at: datetime = Field(sa_type=UtcTime)


_LOSE = text(
    """
    INSERT INTO lost_requests (organisation, workflow_id, acted, found_at)
    VALUES (:organisation, :workflow_id, :acted, :at)
    ON CONFLICT (organisation, workflow_id) DO UPDATE SET acted = lost_requests.acted OR excluded.acted
    """
)
_KNOWN = text(
    """
    SELECT workflow_id FROM interactions
    WHERE organisation = :organisation AND workflow_id = ANY(CAST(:workflow_ids AS varchar[]))
    """
)
_KNOWN_DELIVERIES = text(
    "SELECT id FROM deliveries WHERE organisation = :organisation AND id = ANY(CAST(:ids AS varchar[]))"
)
_KNOWN_HANDOFFS = text(
    "SELECT id FROM handoffs WHERE organisation = :organisation AND id = ANY(CAST(:ids AS varchar[]))"
)
_OPEN = text(
    f"""
    SELECT {COLUMNS} FROM interactions
    WHERE organisation = :organisation AND finished_at IS NULL AND id > :after ORDER BY id LIMIT :limit
    """
)
_UNDELIVERED = text(
    f"""
    SELECT {DELIVERY_COLUMNS} FROM deliveries
    WHERE organisation = :organisation AND status IN ('pending', 'dead_letter') AND id > :after ORDER BY id LIMIT :limit
    """
)
_CARRIED = text(
    """
    SELECT id, effect_id FROM deliveries WHERE organisation = :organisation AND interaction_id = :interaction_id
    """
)
_BLOCK = text(
    """
    UPDATE interactions SET blocked_by = :reason
    WHERE organisation = :organisation AND id = :id AND finished_at IS NULL
    """
)


class RestoredRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def unknown_interactions(self, workflow_ids: Sequence[str]) -> set[str]:
        """Of these workflow ids, those no interaction has."""
        rows = await self._session.all(_KNOWN, workflow_ids=list(workflow_ids))
        return set(workflow_ids) - {row.workflow_id for row in rows}

    async def unknown_deliveries(self, ids: Sequence[str]) -> set[str]:
        """Of these ids, those that are not on record."""
        return set(ids) - {row.id for row in await self._session.all(_KNOWN_DELIVERIES, ids=list(ids))}

    async def unknown_handoffs(self, ids: Sequence[str]) -> set[str]:
        """Of these ids, those that are not on record."""
        return set(ids) - {row.id for row in await self._session.all(_KNOWN_HANDOFFS, ids=list(ids))}

    async def lose(self, workflow_id: str, *, acted: bool, at: datetime) -> None:
        """A request nobody here knows any more. `acted`: something of it left us, so that its repeat is a person's."""
        await self._session.run(_LOSE, workflow_id=workflow_id, acted=acted, at=at)

    async def block(self, interaction_id: InteractionId, reason: str) -> None:
        """Its next run begins with a person, who reads `reason`. Nothing changes if it has ended."""
        await self._session.run(_BLOCK, id=interaction_id, reason=reason)

    async def open_interactions(self, after: InteractionId, limit: int = 200) -> tuple[Interaction, ...]:
        """Those that have not ended, by id after `after`."""
        return await read_interactions(self._session, await self._session.all(_OPEN, after=after, limit=limit))

    async def undelivered(self, after: DeliveryId, limit: int = 200) -> tuple[Delivery, ...]:
        """Those nobody has yet, by id after `after`."""
        rows = await self._session.all(_UNDELIVERED, after=after, limit=limit)
        return await read_deliveries(self._session, rows)

    async def deliveries_of(self, interaction_id: InteractionId) -> set[DeliveryId]:
        """Every message about it."""
        return {DeliveryId(row.id) for row in await self._session.all(_CARRIED, interaction_id=interaction_id)}

    async def carried(self, interaction_id: InteractionId) -> set[EffectId]:
        """Its effects that a delivery carries out."""
        rows = await self._session.all(_CARRIED, interaction_id=interaction_id)
        return {EffectId(row.effect_id) for row in rows if row.effect_id is not None}
