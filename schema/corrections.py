"""Whether a person's correction may still be followed: the agent goes on only where nothing was begun."""

from sqlalchemy import text

from domain.correction import MOST_CORRECTIONS
from domain.errors import Conflict
from domain.values import InteractionId
from schema.session import Session

_STANDING = text(
    """
    SELECT (SELECT count(*) FROM effects e
            WHERE e.organisation = :organisation AND e.interaction_id = :interaction_id)
         + (SELECT count(*) FROM interactions i WHERE i.organisation = :organisation AND i.id = :interaction_id
                AND i.blocked_by IS NOT NULL) AS begun,
           (SELECT count(*) FROM decisions d
            WHERE d.organisation = :organisation AND d.interaction_id = :interaction_id
                AND d.stage LIKE 'corrected:%') AS corrected
    """
)


async def check_correctable(session: Session, interaction_id: InteractionId) -> None:
    """`Conflict` where the agent may not go on: an action was begun (doing it again could do it twice), or it was
    corrected too often."""
    row = await session.first(_STANDING, interaction_id=interaction_id)
    assert row is not None
    if row.begun:
        raise Conflict("an action was begun here: answer the customer yourself", reason="action_begun")
    if row.corrected >= MOST_CORRECTIONS:
        raise Conflict("it was corrected too often: answer the customer yourself", reason="corrections_used_up")
