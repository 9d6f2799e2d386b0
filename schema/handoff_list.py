"""The queue of handoffs: what is due first comes first."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, literal_column, select, tuple_

from domain.handoff import HandoffKind, HandoffStatus
from domain.values import CustomerId, InteractionId, Priority
from schema.base import table
from schema.handoff_rows import Handoff, HandoffRow, read_handoff
from schema.page import Page, Position, checked_limit, decode, page
from schema.session import Session

_HANDOFFS = table(HandoffRow)
_C = _HANDOFFS.c


@dataclass(frozen=True, slots=True)
class HandoffFilters:
    status: HandoffStatus | None = None
    kind: HandoffKind | None = None
    priority: Priority | None = None
    breached: bool | None = None
    assignee: str | None = None
    customer_id: CustomerId | None = None
    interaction_id: InteractionId | None = None


async def list_handoffs(session: Session, filters: HandoffFilters, limit: int, cursor: str | None) -> Page[Handoff]:
    conditions = [_C.organisation == session.organisation, *_conditions(filters)]
    if cursor:
        conditions.append(tuple_(_C.sla_due_at, _C.id) > decode(cursor))
    statement = select(_HANDOFFS).where(*conditions).order_by(_C.sla_due_at, _C.id).limit(checked_limit(limit))
    rows = await session.all(statement)
    return page(rows, limit, read_handoff, lambda row: Position(row.sla_due_at, row.id))


def _conditions(filters: HandoffFilters) -> list[ColumnElement[Any]]:
    conditions: list[ColumnElement[Any]] = []
    if filters.status in {HandoffStatus.OPEN, HandoffStatus.CLAIMED}:
        conditions.append(literal_column("decision IS NULL"))
    for name in ("status", "kind", "priority", "assignee", "customer_id", "interaction_id"):
        if (value := getattr(filters, name)) is not None:
            conditions.append(_C[name] == value)
    if filters.breached is not None:
        conditions.append(_C.breached_at.is_not(None) if filters.breached else _C.breached_at.is_(None))
    return conditions
