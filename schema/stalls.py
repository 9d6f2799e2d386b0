"""Interactions that nobody has answered yet, and how often they were taken up again."""

from datetime import datetime

from sqlalchemy import text

from domain.values import InteractionId
from schema.session import Session

_LATER = text("UPDATE interactions SET look_at = :at WHERE organisation = :organisation AND id = :id")
_RESUMED = text(
    """
    UPDATE interactions SET look_at = :again, resumes = resumes + 1
    WHERE organisation = :organisation AND id = :id AND status = 'running' AND finished_at IS NULL
        AND (look_at IS NULL OR look_at <= :at)
    RETURNING resumes
    """
)


class StallRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def look_later(self, interaction_id: InteractionId, at: datetime) -> None:
        """Somebody works on it: `unanswered_interactions` leaves it out until then."""
        await self._session.run(_LATER, id=interaction_id, at=at)

    async def take_up(self, interaction_id: InteractionId, at: datetime, again: datetime) -> int | None:
        """How often it was taken up, with this time; looked at next at `again`. None if it was answered, or another
        process was first."""
        row = await self._session.first(_RESUMED, id=interaction_id, at=at, again=again)
        return None if row is None else int(row.resumes)
