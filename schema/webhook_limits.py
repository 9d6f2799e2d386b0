"""How many webhooks an organisation may have: each event is written once per endpoint that listens."""

from sqlalchemy import text

from domain.errors import Conflict
from schema.session import Session

MOST_WEBHOOKS = 50

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('webhooks:' || :organisation, 0))")
_COUNT = text("SELECT count(*) AS n FROM webhook_endpoints WHERE organisation = :organisation AND deleted_at IS NULL")


async def need_room(session: Session) -> None:
    """Raises `Conflict` if one more would be too many. Whoever asks at the same moment waits for this transaction."""
    await session.first(_LOCK)
    row = await session.first(_COUNT)  # a statement of its own: it sees what was committed while this one waited
    if row is not None and row.n >= MOST_WEBHOOKS:
        raise Conflict("no more webhooks: delete one first", reason="too_many_webhooks", most=MOST_WEBHOOKS)
