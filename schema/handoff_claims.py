"""Whose handoff it is: claimed for a while, given back, handed on, annotated, looked at. Deciding it is
`schema.handoffs`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, text
from sqlmodel import Field

from domain.errors import Conflict, HandoffAlreadyDecided, HandoffNotFound
from domain.handoff import CLAIM_LEASE, SEEN_FOR, HandoffStatus
from domain.values import HandoffId
from schema.base import OrganisationRow, UtcTime, json_values
from schema.handoff_rows import Handoff, read_handoff
from schema.handoffs import EVENT, HandoffRepository, change, event
from schema.session import Session
from schema.wakes import WakeRepository


class HandoffPresenceRow(OrganisationRow, table=True):
    __tablename__ = "handoff_presence"
    __table_args__ = (ForeignKeyConstraint(["organisation", "handoff_id"], ["handoffs.organisation", "handoffs.id"]),)

    handoff_id: str = Field(primary_key=True)
    operator: str = Field(primary_key=True)
    seen_at: datetime = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who looks at it now."""

    operator: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """The handoff as it is now, and what that took."""

    handoff: Handoff
    lapsed: str | None = None
    """Whose claim had run out and was taken over."""


_NOTE = text(
    f"WITH changed AS (SELECT organisation, id FROM handoffs WHERE organisation = :organisation AND id = :id) {EVENT}"
).bindparams(*json_values("details"))
_HOLD = change("status = 'claimed', assignee = :assignee, claimed_until = :until", "decision IS NULL")
_RELEASE = change("status = 'open', assignee = NULL, claimed_until = NULL", "decision IS NULL")
_SEEN = text(
    """
    INSERT INTO handoff_presence (organisation, handoff_id, operator, seen_at)
    SELECT organisation, id, :operator, :at FROM handoffs WHERE organisation = :organisation AND id = :id
    ON CONFLICT (organisation, handoff_id, operator) DO UPDATE SET seen_at = excluded.seen_at
    """
)
_PRESENT = text(
    """
    SELECT operator, seen_at FROM handoff_presence
    WHERE organisation = :organisation AND handoff_id = :id AND seen_at > :since ORDER BY operator
    """
)


class HandoffClaims:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._handoffs = HandoffRepository(session)

    async def claim(self, handoff_id: HandoffId, by: str, at: datetime) -> Claimed:
        """Take it for a while, or keep it for longer. `Conflict` names who holds it, and until when.

        A claim that has run out is taken over, which is on record.
        """
        before = await self._undecided(handoff_id)
        _refuse_if_others(before, by, at)
        lapsed = await self._let_go(before, by, at)
        renewed = before.status is HandoffStatus.CLAIMED and lapsed is None
        return Claimed(await self._hold(before, by, by, at, "renewed" if renewed else "claimed"), lapsed)

    async def release(self, handoff_id: HandoffId, by: str, at: datetime, *, anyones: bool = False) -> Handoff:
        """Give it back; `anyones`: also somebody else's. `Conflict` if it is not yours; your repeat changes nothing."""
        before = await self._undecided(handoff_id)
        if before.status is not HandoffStatus.CLAIMED:
            return before
        if before.assignee != by and not anyones:
            raise _in_other_hands(before)
        row = await self._session.first(_RELEASE, id=handoff_id, **event("released", by, at, {}))
        await WakeRepository(self._session).wake(handoff_id, at)
        return read_handoff(row)

    async def reassign(
        self, handoff_id: HandoffId, to: str, by: str, at: datetime, *, anyones: bool = False
    ) -> Claimed:
        """Hand it on: your own, or one that nobody holds; `anyones`: also somebody else's."""
        before = await self._undecided(handoff_id)
        if not anyones:
            _refuse_if_others(before, by, at)
        lapsed = await self._let_go(before, by, at)
        return Claimed(await self._hold(before, to, by, at, "reassigned"), lapsed)

    async def lapse(self, handoff: Handoff, at: datetime) -> None:
        """The claim has run out: back into the queue, from the moment it did."""
        details = {"assignee": handoff.assignee, "claimedUntil": _said(handoff.claimed_until)}
        await self._session.run(
            _RELEASE, id=handoff.id, **event("lease_expired", "system", handoff.claimed_until or at, details)
        )

    async def note(self, handoff_id: HandoffId, by: str, words: str, at: datetime) -> None:
        """An operator's note, for other operators."""
        if not await self._session.run(_NOTE, id=handoff_id, **event("noted", by, at, {"note": words})):
            raise HandoffNotFound("no such handoff")

    async def look(self, handoff_id: HandoffId, by: str, at: datetime) -> None:
        """Somebody looks at it now."""
        if not await self._session.run(_SEEN, id=handoff_id, operator=by, at=at):
            raise HandoffNotFound("no such handoff")

    async def present(self, handoff_id: HandoffId, at: datetime) -> Sequence[Present]:
        """Who looked at it in the last minute."""
        rows = await self._session.all(_PRESENT, id=handoff_id, since=at - SEEN_FOR)
        return [Present(row.operator, row.seen_at) for row in rows]

    async def _undecided(self, handoff_id: HandoffId) -> Handoff:
        handoff = await self._handoffs.lock(handoff_id)
        if handoff.decision is not None:
            raise HandoffAlreadyDecided(
                "it is decided", decision=handoff.decision, by=handoff.decided_by, at=handoff.decided_at
            )
        return handoff

    async def _let_go(self, before: Handoff, by: str, at: datetime) -> str | None:
        if before.assignee == by or not before.has_lapsed(at):
            return None
        await self.lapse(before, at)
        return before.assignee

    async def _hold(self, before: Handoff, assignee: str, by: str, at: datetime, kind: str) -> Handoff:
        until = at + CLAIM_LEASE
        details = {"until": _said(until)} | ({"to": assignee} if kind == "reassigned" else {})
        row = await self._session.first(
            _HOLD, id=before.id, assignee=assignee, until=until, **event(kind, by, at, details)
        )
        await WakeRepository(self._session).wake(before.id, at)
        return read_handoff(row)


def _refuse_if_others(handoff: Handoff, by: str, at: datetime) -> None:
    if handoff.others_claim(by, at) is not None:
        raise _in_other_hands(handoff)


def _in_other_hands(handoff: Handoff) -> Conflict:
    return Conflict("this handoff is in other hands", assignee=handoff.assignee, claimed_until=handoff.claimed_until)


def _said(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
