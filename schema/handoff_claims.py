"""Whose handoff it is: claimed, given back, handed on, and annotated. Deciding it is `schema.handoffs`."""

from datetime import datetime

from sqlalchemy import text

from domain.errors import Conflict, HandoffNotFound
from domain.values import HandoffId
from schema.base import json_values
from schema.handoff_rows import Handoff, read_handoff
from schema.handoffs import EVENT, HandoffRepository, change, event
from schema.session import Record, Session

_NOTE = text(
    f"WITH changed AS (SELECT organisation, id FROM handoffs WHERE organisation = :organisation AND id = :id) {EVENT}"
).bindparams(*json_values("details"))
_CLAIM = change("status = 'claimed', assignee = :actor", "status = 'open'")
_RELEASE = change("status = 'open', assignee = NULL", "status = 'claimed' AND assignee = :actor")
_REASSIGN = change("status = 'claimed', assignee = :assignee", "status IN ('open', 'claimed')")


class HandoffClaims:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, handoff_id: HandoffId, by: str, at: datetime) -> Handoff:
        """Take it. `Conflict` (naming the assignee) for the second claimer; your own repeat is fine."""
        row = await self._session.first(_CLAIM, id=handoff_id, **event("claimed", by, at, {}))
        return await self._changed(row, handoff_id, assignee=by)

    async def release(self, handoff_id: HandoffId, by: str, at: datetime) -> Handoff:
        """Give it back. `Conflict` if it is somebody else's."""
        row = await self._session.first(_RELEASE, id=handoff_id, **event("released", by, at, {}))
        return await self._changed(row, handoff_id, assignee=None)

    async def reassign(self, handoff_id: HandoffId, to: str, by: str, at: datetime) -> Handoff:
        row = await self._session.first(
            _REASSIGN, id=handoff_id, assignee=to, **event("reassigned", by, at, {"to": to})
        )
        return await self._changed(row, handoff_id, assignee=to)

    async def note(self, handoff_id: HandoffId, by: str, words: str, at: datetime) -> None:
        """An operator's note, for other operators."""
        if not await self._session.run(_NOTE, id=handoff_id, **event("noted", by, at, {"note": words})):
            raise HandoffNotFound("no such handoff")

    async def _changed(self, row: Record | None, handoff_id: HandoffId, assignee: str | None) -> Handoff:
        if row is not None:
            return read_handoff(row)
        record = await HandoffRepository(self._session).get(handoff_id)
        if record.decision is None and record.assignee == assignee:
            return record
        raise Conflict("this handoff is in other hands", assignee=record.assignee, status=record.status)
