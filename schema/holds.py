"""Who speaks for the agent now, in the conversations certain interactions belong to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.values import InteractionId
from schema.session import Session

_HELD = text(
    """
    SELECT i.id, v.holder, v.human_until FROM interactions i
    JOIN conversations v ON v.organisation = i.organisation AND v.id = i.conversation_id
    WHERE i.organisation = :organisation AND i.id = ANY(CAST(:ids AS varchar[])) AND v.human_until > :at
    """
)


@dataclass(frozen=True, slots=True)
class Hold:
    holder: str
    until: datetime


async def holds(session: Session, interactions: Iterable[InteractionId], at: datetime) -> Mapping[InteractionId, Hold]:
    """Those that are held at `at`; a hold that ran out is none."""
    rows = await session.all(_HELD, ids=sorted(set(interactions)), at=at)
    return {row.id: Hold(row.holder, row.human_until) for row in rows}
