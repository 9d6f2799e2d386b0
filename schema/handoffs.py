"""Handoffs: opened once, decided once, told once. The decision is one row change; everything else follows from it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text

from domain.errors import ApprovalStale, HandoffAlreadyDecided, HandoffNotFound
from domain.handoff import HandoffDecision
from domain.values import HandoffId, Json
from schema.base import json_values, new_id
from schema.handoff_list import HandoffFilters, list_handoffs
from schema.handoff_rows import COLUMNS, REVISED, Handoff, HandoffEvent, NewHandoff, read_handoff
from schema.page import Page
from schema.session import Session

__all__ = ["Decided", "Handoff", "HandoffEvent", "HandoffFilters", "HandoffRepository", "NewHandoff"]


@dataclass(frozen=True, slots=True)
class Decided:
    first: bool
    """False: the same person had said exactly this before."""
    record: Handoff


EVENT = """
    INSERT INTO handoff_events (organisation, id, handoff_id, kind, actor, at, details)
    SELECT organisation, :event_id, id, :event, :actor, :at, :details FROM changed
"""
_OPEN = text(
    f"""
    WITH changed AS (
        INSERT INTO handoffs (organisation, id, interaction_id, customer_id, kind, status, priority, reason,
                              confidence, decision_id, digest, proposed, issues, opened_at, sla_due_at, expires_at,
                              on_expiry, revision)
        VALUES (:organisation, :id, :interaction_id, :customer_id, :kind, 'open', :priority, :reason, :confidence,
                :decision_id, :digest, :proposed, :issues, :at, :sla_due_at, :expires_at, :on_expiry, 0)
        ON CONFLICT (organisation, interaction_id, kind, decision_id) DO NOTHING
        RETURNING *
    ), event AS ({EVENT})
    SELECT {COLUMNS} FROM changed h {REVISED}
    """
).bindparams(*json_values("proposed", "issues", "details"))
_FIRST_OPENED = text(
    f"""
    SELECT {COLUMNS} FROM handoffs h {REVISED}
    WHERE h.organisation = :organisation AND h.interaction_id = :interaction_id AND h.kind = :kind
        AND h.decision_id IS NOT DISTINCT FROM :decision_id
    """
)
_GET = text(f"SELECT {COLUMNS} FROM handoffs h {REVISED} WHERE h.organisation = :organisation AND h.id = :id")
_LOCK = text("SELECT FROM handoffs WHERE organisation = :organisation AND id = :id FOR UPDATE")
EVENTS = text(
    """
    SELECT kind, actor, at, details FROM handoff_events
    WHERE organisation = :organisation AND handoff_id = :id ORDER BY at, id
    """
)


def change(assignments: str, condition: str) -> TextClause:
    return text(
        f"""
        WITH changed AS (
            UPDATE handoffs SET {assignments} WHERE organisation = :organisation AND id = :id AND {condition}
            RETURNING *
        ), event AS ({EVENT})
        SELECT {COLUMNS} FROM changed h {REVISED}
        """
    ).bindparams(*json_values("details"))


_DECIDE = change(
    """status = CASE WHEN :decision = 'expired' THEN 'expired' ELSE 'resolved' END,
       decision = :decision, decided_by = :actor, decided_at = :at, resolution = :resolution,
       agreed_digest = CASE WHEN :decision = 'approved' THEN CAST(:digest AS varchar) END""",
    """decision IS NULL AND status IN ('open', 'claimed')
       AND (CAST(:digest AS varchar) IS NULL OR :digest = CASE revision WHEN 0 THEN digest ELSE (
           SELECT r.digest FROM handoff_revisions r
           WHERE r.organisation = handoffs.organisation AND r.handoff_id = handoffs.id
               AND r.revision = handoffs.revision) END)
       AND (:decision = 'expired') = (expires_at IS NOT NULL AND expires_at <= :at)""",
).bindparams(*json_values("resolution"))
_TOLD = text("UPDATE handoffs SET told_at = :at WHERE organisation = :organisation AND id = :id AND told_at IS NULL")
_TELL_LATER = text("UPDATE handoffs SET tell_at = :at WHERE organisation = :organisation AND id = :id")
_WITHDRAW = text(
    f"""
    WITH changed AS (
        UPDATE handoffs SET status = 'resolved', decision = 'withdrawn', decided_by = :actor, decided_at = :at
        WHERE organisation = :organisation AND interaction_id = :interaction_id AND id <> :by_handoff
            AND opened_at <= :opened_at AND decision IS NULL
        RETURNING *
    ), event AS (
        INSERT INTO handoff_events (organisation, id, handoff_id, kind, actor, at, details)
        SELECT organisation, replace(id, 'hnd_', 'hev_'), id, :event, :actor, :at, :details FROM changed
    )
    SELECT {COLUMNS} FROM changed h {REVISED}
    """
).bindparams(*json_values("details"))


class HandoffRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def open(self, new: NewHandoff) -> Handoff:
        """Open it; a repeat returns the first one, as it stands now."""
        row = await self._session.first(
            _OPEN,
            id=new.id,
            interaction_id=new.interaction_id,
            customer_id=new.customer_id,
            kind=new.kind,
            priority=new.priority,
            reason=new.reason,
            confidence=new.confidence,
            decision_id=new.decision_id,
            digest=new.digest,
            proposed=list(new.proposed),
            issues=list(new.issues),
            sla_due_at=new.sla_due_at,
            expires_at=new.expires_at,
            on_expiry=new.on_expiry,
            **event("opened", "system", new.opened_at, new.terms),
        ) or await self._session.first(
            _FIRST_OPENED, interaction_id=new.interaction_id, kind=new.kind, decision_id=new.decision_id
        )
        assert row is not None
        return read_handoff(row)

    async def decide(
        self,
        handoff_id: HandoffId,
        decision: HandoffDecision,
        *,
        by: str,
        at: datetime,
        digest: str | None = None,
        resolution: Json | None = None,
    ) -> Decided:
        """Say yes, no, done or too late, once, however many try at the same moment.

        An approval must name the digest of what was shown. Repeating the same words as the same person returns the
        first record. Raises `HandoffAlreadyDecided` (what, by whom, when), `ApprovalStale` (another digest, or
        expired before), `HandoffNotFound`.
        """
        if decision is HandoffDecision.APPROVED and digest is None:
            raise ApprovalStale("an approval names what it approves")
        row = await self._session.first(
            _DECIDE,
            id=handoff_id,
            decision=decision,
            digest=digest,
            resolution=resolution,
            **event(decision, by, at, {"digest": digest} if digest else {}),
        )
        if row is not None:
            return Decided(first=True, record=read_handoff(row))
        record = await self.get(handoff_id)
        if record.decision is None:
            raise ApprovalStale("this is not what is on the table now, or its time is over", handoff_id=handoff_id)
        said_before = (record.decision, record.decided_by, record.resolution) == (decision, by, resolution)
        if said_before and digest in {None, record.digest}:
            return Decided(first=False, record=record)
        raise HandoffAlreadyDecided(
            "somebody else was first", decision=record.decision, by=record.decided_by, at=record.decided_at
        )

    async def mark_told(self, handoff_id: HandoffId, at: datetime) -> bool:
        """The workflow has heard the decision. False if it had before."""
        return await self._session.run(_TOLD, id=handoff_id, at=at) == 1

    async def tell_later(self, handoff_id: HandoffId, at: datetime) -> None:
        """The decision cannot be told now: `untold_handoffs` leaves it out until then."""
        await self._session.run(_TELL_LATER, id=handoff_id, at=at)

    async def withdraw_others(self, handoff: Handoff, at: datetime) -> tuple[Handoff, ...]:
        """`handoff` takes the place of what was undecided about its interaction: no yes to that counts now."""
        if handoff.decision is not None:
            return ()
        rows = await self._session.all(
            _WITHDRAW,
            interaction_id=handoff.interaction_id,
            by_handoff=handoff.id,
            opened_at=handoff.opened_at,
            event="withdrawn",
            actor="system",
            at=at,
            details={"by": handoff.id},
        )
        return tuple(read_handoff(row) for row in rows)

    async def lock(self, handoff_id: HandoffId) -> Handoff:
        """The handoff, which nobody else changes until the end of the transaction; or `HandoffNotFound`."""
        await self._session.run(_LOCK, id=handoff_id)
        # A statement of its own: what another transaction changed while this one waited is seen only now.
        return await self.get(handoff_id)

    async def get(self, handoff_id: HandoffId) -> Handoff:
        """The handoff, or `HandoffNotFound`."""
        row = await self._session.first(_GET, id=handoff_id)
        if row is None:
            raise HandoffNotFound("no such handoff")
        return read_handoff(row)

    async def events(self, handoff_id: HandoffId) -> tuple[HandoffEvent, ...]:
        """What happened to it, in order."""
        return tuple(
            HandoffEvent(r.kind, r.actor, r.at, r.details) for r in await self._session.all(EVENTS, id=handoff_id)
        )

    async def list(
        self, filters: HandoffFilters | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Handoff]:
        """What is due first comes first."""
        return await list_handoffs(self._session, filters or HandoffFilters(), limit, cursor)


def event(kind: str, actor: str, at: datetime, details: Json) -> dict[str, Any]:
    return {"event_id": new_id("hev"), "event": kind, "actor": actor, "at": at, "details": details}
