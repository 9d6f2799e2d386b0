"""Everything an organisation's audit rests on, row by row, as of one moment."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import TextClause, text

from schema.audit_seals import EVENT_COLUMNS, Place
from schema.page import Page, Position, checked_limit, decode, page
from schema.session import Record, Session

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AuditFilters:
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    customer_id: str | None = None
    interaction_id: str | None = None
    customer_subject: str | None = None
    """The name events have the customer under: no event has a name that may be personal."""

    def values(self) -> dict[str, Any]:
        return {
            "since": self.since or _BEGINNING,
            "until": self.until or _END,
            "actor": self.actor or "",
            "action": self.action or "",
            "subject": self.subject or "",
            "customer_id": self.customer_id or "",
            "interaction_id": self.interaction_id or "",
            "customer_subject": self.customer_subject or "",
        }


def _whose(row: str, *, interaction: str = "interaction_id", customer: str = "customer_id") -> str:
    return (
        f"(:customer_id = '' OR {row}.{customer} = :customer_id)"
        f" AND (:interaction_id = '' OR {row}.{interaction} = :interaction_id)"
    )


_ABOUT = " UNION ALL ".join(
    [
        f"SELECT x.id FROM interactions x WHERE x.organisation = :organisation AND {_whose('x', interaction='id')}",
        *(
            f"SELECT x.id FROM {table} x WHERE x.organisation = :organisation AND {_whose('x')}"
            for table in ("handoffs", "effects", "deliveries", "tickets")
        ),
        "SELECT x.id FROM decisions x JOIN interactions i ON i.organisation = x.organisation AND i.id ="
        f" x.interaction_id WHERE x.organisation = :organisation AND {_whose('i', interaction='id')}",
        "SELECT x.id FROM conversations x WHERE x.organisation = :organisation AND x.customer_id = :customer_id"
        " AND :interaction_id = ''",
        "SELECT CAST(:customer_subject AS varchar) WHERE :interaction_id = ''",
    ]
)
_FILTER = f"""e.organisation = :organisation AND e.at >= :since AND e.at < :until
    AND (:actor = '' OR e.actor = :actor) AND (:action = '' OR e.action = :action)
    AND (:subject = '' OR e.subject = :subject)
    AND ((:customer_id = '' AND :interaction_id = '') OR e.subject IN ({_ABOUT})
        OR (:interaction_id = '' AND e.details ->> 'customer' = :customer_subject))"""
_SEAL = "LEFT JOIN audit_seals s ON s.organisation = e.organisation AND s.event_id = e.id"
_EVENTS = text(
    f"""
    SELECT s.event_id, {EVENT_COLUMNS}, s.sequence, encode(s.hash, 'hex') AS hash, s.ledger,
        (SELECT encode(p.hash, 'hex') FROM audit_seals p
            WHERE p.organisation = s.organisation AND p.sequence = s.sequence - 1) AS previous
    FROM audit_events e FULL JOIN audit_seals s ON s.organisation = e.organisation AND s.event_id = e.id
    WHERE (CAST(:whole AS boolean) AND e.id IS NULL AND s.organisation = :organisation) OR ({_FILTER})
    ORDER BY s.sequence NULLS LAST, e.xact, e.id COLLATE "C"
    """
)
"""A seal whose event is gone is shown as such."""
_LIST = text(
    f"""
    SELECT e.id, e.at, e.actor, e.action, e.subject, e.details, s.sequence, encode(s.hash, 'hex') AS hash
    FROM audit_events e {_SEAL} WHERE {_FILTER} AND (e.at, e.id) < (:before_at, :before_id)
    ORDER BY e.at DESC, e.id DESC LIMIT :limit
    """
)


_PLACE = text(
    """
    SELECT horizon, horizon_id FROM (
        SELECT horizon, horizon_id FROM audit_batches WHERE organisation = :organisation ORDER BY number DESC LIMIT 1
    ) b WHERE horizon <= (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint
    """
)


def _rows(table: str, at: str, whose: str, order: str = "id", join: str = "") -> TextClause:
    return text(
        f"SELECT (to_jsonb(x) - 'organisation')::text AS words FROM {table} x {join}"
        f" WHERE x.organisation = :organisation AND x.{at} >= :since AND x.{at} < :until AND {whose} ORDER BY x.{order}"
    )


def _of(parent: str, key: str) -> str:
    return f"JOIN {parent} p ON p.organisation = x.organisation AND p.id = x.{key}"


_BY_INTERACTION = _whose("p", interaction="id")
SECTIONS: dict[str, TextClause] = {
    "customers": _rows(
        "customers",
        "created_at",
        "(:customer_id = '' OR x.id = :customer_id) AND (:interaction_id = '' OR x.id IN (SELECT i.customer_id"
        " FROM interactions i WHERE i.organisation = x.organisation AND i.id = :interaction_id))",
    ),
    "tickets": _rows("tickets", "created_at", _whose("x")),
    "interactions": _rows("interactions", "created_at", _whose("x", interaction="id")),
    "decisions": _rows("decisions", "at", _BY_INTERACTION, join=_of("interactions", "interaction_id")),
    "handoffs": _rows("handoffs", "opened_at", _whose("x")),
    "handoffEvents": _rows("handoff_events", "at", _whose("p"), join=_of("handoffs", "handoff_id")),
    "deliveries": _rows("deliveries", "created_at", _whose("x")),
    "deliveryEvents": _rows("delivery_events", "at", _whose("p"), join=_of("deliveries", "delivery_id")),
    "effects": _rows("effects", "reserved_at", _whose("x")),
    "effectEvents": _rows(
        "effect_events", "at", _whose("p"), "effect_id, x.attempt, x.at", join=_of("effects", "effect_id")
    ),
}
"""What the events are about, by the name of its section. Times and people of the filters that only events have do not
narrow these."""


class ExportRepository:
    """Give it a frozen transaction: all sections are of one moment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def newest(self, filters: AuditFilters, *, limit: int, cursor: str | None) -> Page[Record]:
        """Events, newest first."""
        before = decode(cursor) if cursor else Position(_END, "")
        values = {**filters.values(), "before_at": before.at, "before_id": before.id}
        rows = await self._session.all(_LIST, **values, limit=checked_limit(limit))
        return page(rows, limit, lambda row: row, lambda row: Position(row.at, row.id))

    async def events(self, filters: AuditFilters) -> AsyncGenerator[list[Record], None]:
        """In the order they are sealed, those that wait last."""
        whole = filters == AuditFilters()
        async with aclosing(self._session.stream(_EVENTS, whole=whole, **filters.values())) as stream:
            async for rows in stream:
                yield rows

    async def sealed_up_to(self) -> Place | None:
        """Everything up to here is sealed. None: nothing is, or transaction numbers began anew since."""
        row = await self._session.first(_PLACE)
        return Place(row.horizon, row.horizon_id) if row else None

    async def section(self, name: str, filters: AuditFilters) -> AsyncGenerator[list[str], None]:
        """Each row as JSON text, with the names its columns have."""
        async with aclosing(self._session.stream(SECTIONS[name], **filters.values())) as stream:
            async for rows in stream:
                yield [row.words for row in rows]
