"""What happened to a handoff that its workflow should look at: rows that stand until it has looked.

One row for each happening, and no reference to the handoff: whoever writes one waits for nobody.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field

from domain.values import HandoffId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Session


class HandoffWakeRow(OrganisationRow, table=True):
    __tablename__ = "handoff_wakes"
    __table_args__ = (
        Index("handoff_wakes_by_handoff", "organisation", "handoff_id"),
        Index("handoff_wakes_by_time", "at"),
    )

    id: str = Field(primary_key=True)
    handoff_id: str
    at: datetime = Field(sa_type=UtcTime)


_WAKE = text(
    "INSERT INTO handoff_wakes (organisation, id, handoff_id, at) VALUES (:organisation, :id, :handoff_id, :at)"
)
_WAKE_ALL = text(
    """
    INSERT INTO handoff_wakes (organisation, id, handoff_id, at)
    SELECT organisation, replace(id, 'hnd_', :prefix), id, :at FROM handoffs
    WHERE organisation = :organisation AND decision IS NULL
    """
)
_LATER = text("UPDATE handoff_wakes SET at = :at WHERE organisation = :organisation AND handoff_id = :handoff_id")
_PENDING = text("SELECT id FROM handoff_wakes WHERE organisation = :organisation AND handoff_id = :handoff_id")
_LOOKED = text("DELETE FROM handoff_wakes WHERE organisation = :organisation AND id = ANY(CAST(:ids AS varchar[]))")


class WakeRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def wake(self, handoff_id: HandoffId, at: datetime) -> None:
        """In the transaction of the change: from then on the API tells the workflow until it has looked."""
        await self._session.run(_WAKE, id=new_id("wak"), handoff_id=handoff_id, at=at)

    async def wake_all(self, at: datetime) -> int:
        """Every undecided handoff of the organisation: something changed that all of them depend on."""
        return await self._session.run(_WAKE_ALL, prefix=new_id("wak") + "_", at=at)

    async def later(self, handoff_id: HandoffId, at: datetime) -> None:
        """It was told; tell it again then, if it has not looked."""
        await self._session.run(_LATER, handoff_id=handoff_id, at=at)

    async def pending(self, handoff_id: HandoffId) -> tuple[str, ...]:
        """What is to be looked at. Read it before looking."""
        return tuple(row.id for row in await self._session.all(_PENDING, handoff_id=handoff_id))

    async def looked(self, pending: Sequence[str]) -> None:
        """Its workflow has looked at these; what came later stays."""
        if pending:
            await self._session.run(_LOOKED, ids=list(pending))
