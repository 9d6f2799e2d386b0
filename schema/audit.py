"""The audit trail: who did what to which thing. Ids and codes only, nothing personal; insert-only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.values import Json
from schema.base import OrganisationRow, UtcTime, new_id
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Session


class AuditEventRow(OrganisationRow, table=True):
    __tablename__ = "audit_events"
    __table_args__ = (
        Index("audit_events_by_time", "organisation", "at", "id"),
        Index("audit_events_by_subject", "organisation", "subject", "at"),
        Index("audit_events_by_actor", "organisation", "actor", "at", "id", postgresql_where=text("actor <> 'agent'")),
        Index(
            "audit_events_by_action",
            "organisation",
            "action",
            "at",
            "id",
            postgresql_where=text("action <> 'interaction.completed'"),
        ),
        Index("audit_events_by_xact", "organisation", "xact"),
    )

    id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcTime)
    actor: str
    action: str
    subject: str
    details: Json = Field(sa_type=JSONB)
    xact: int = Field(
        sa_column=Column(BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text)::bigint"))
    )
    """Which transaction wrote it; the database says so, by default. `schema.audit_seals` puts events in order by it."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    at: datetime
    actor: str
    """`agent`, `system`, `command` (somebody at the command line), or the name of an API key."""
    action: str
    """`<noun>.<past participle>`, e.g. `handoff.approved`."""
    subject: str
    """The id of what it was done to."""
    details: Json = field(default_factory=dict)


_APPEND = text(
    """
    INSERT INTO audit_events (organisation, id, at, actor, action, subject, details)
    SELECT :organisation, r.id, r.at, r.actor, r.action, r.subject, r.details
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (id varchar, at timestamptz, actor varchar, action varchar, subject varchar, details jsonb)
    """
)
_APPEND_ONCE = text(f"{_APPEND.text} ON CONFLICT DO NOTHING")
_LIST = text(
    """
    SELECT id, at, actor, action, subject, details FROM audit_events
    WHERE organisation = :organisation AND (at, id) < (:before_at, :before_id)
    ORDER BY at DESC, id DESC LIMIT :limit
    """
)


class AuditRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def append(self, *events: AuditEvent) -> None:
        """All of them in one statement, in the caller's transaction: what was not committed was not done."""
        if events:
            await self._session.run(_APPEND, rows=_rows(events))

    async def append_once(self, event_id: str, event: AuditEvent) -> None:
        """Under an id of the caller's making: whatever has it already stands."""
        await self._session.run(_APPEND_ONCE, rows=_rows([event], event_id))

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[AuditEvent]:
        """Newest first."""
        before = decode(cursor) if cursor else END_OF_TIME
        rows = await self._session.all(_LIST, before_at=before.at, before_id=before.id, limit=checked_limit(limit))
        return page(
            rows,
            limit,
            lambda r: AuditEvent(r.at, r.actor, r.action, r.subject, r.details),
            lambda r: Position(r.at, r.id),
        )


def _rows(events: Sequence[AuditEvent], event_id: str | None = None) -> str:
    return json.dumps(
        [
            {
                "id": event_id or new_id("aud"),
                "at": event.at.isoformat(),
                "actor": event.actor,
                "action": event.action,
                "subject": event.subject,
                "details": event.details,
            }
            for event in events
        ]
    )
