"""The queue of handoffs: what is due first comes first, and of equally urgent ones the one of higher priority."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select, tuple_

from domain.handoff import HandoffKind, HandoffStatus
from domain.values import CustomerId, InteractionId, Priority
from schema.approval_rows import HandoffRevisionRow
from schema.base import table
from schema.handoff_rows import Handoff, HandoffRow, read_handoff
from schema.page import Page, Position, checked_limit, decode, page
from schema.session import Session

_HANDOFFS = table(HandoffRow)
_REVISIONS = table(HandoffRevisionRow)
_C, _R = _HANDOFFS.c, _REVISIONS.c
_LAST_EDITED = and_(
    _R.organisation == _C.organisation, _R.handoff_id == _C.id, _R.revision == _C.revision
)  # fmt: skip
_SHOWN = (
    *(column for column in _C if column.name not in {"digest", "proposed"}),
    func.coalesce(_R.digest, _C.digest).label("digest"),
    func.coalesce(_R.proposed, _C.proposed).label("proposed"),
)
_RISK = case({"urgent": "0", "high": "1", "normal": "2"}, value=_C.priority, else_="3")
_TIE = (_RISK + ":" + _C.id).label("tie")
"""Breaks ties of the due time: the higher priority first, then the older one."""


@dataclass(frozen=True, slots=True)
class HandoffFilters:
    status: HandoffStatus | None = None
    kind: HandoffKind | None = None
    priority: Priority | None = None
    breached: bool | None = None
    assignee: str | None = None
    customer_id: CustomerId | None = None
    interaction_id: InteractionId | None = None
    at: datetime | None = None
    """Claims that have run out by then are none. Without it a claim counts for ever."""


async def list_handoffs(session: Session, filters: HandoffFilters, limit: int, cursor: str | None) -> Page[Handoff]:
    conditions = [_C.organisation == session.organisation, *_conditions(filters)]
    if cursor:
        conditions.append(tuple_(_C.sla_due_at, _TIE.element) > decode(cursor))
    statement = (
        select(*_SHOWN, _TIE)
        .select_from(_HANDOFFS.outerjoin(_REVISIONS, _LAST_EDITED))
        .where(*conditions)
        .order_by(_C.sla_due_at, _TIE)
        .limit(checked_limit(limit))
    )
    rows = await session.all(statement)
    return page(rows, limit, read_handoff, lambda row: Position(row.sla_due_at, row.tie))


def _conditions(filters: HandoffFilters) -> list[ColumnElement[Any]]:
    conditions: list[ColumnElement[Any]] = []
    if filters.status in {HandoffStatus.OPEN, HandoffStatus.CLAIMED}:
        conditions.append(literal_column("handoffs.decision IS NULL"))
    if filters.status is not None:
        conditions.append(_in_status(filters.status, filters.at))
    for name in ("kind", "priority", "assignee", "customer_id", "interaction_id"):
        if (value := getattr(filters, name)) is not None:
            conditions.append(_C[name] == value)
    if filters.assignee is not None and filters.at is not None:
        conditions.append(or_(_C.decision.is_not(None), _C.claimed_until > filters.at))
    if filters.breached is not None:
        conditions.append(_C.breached_at.is_not(None) if filters.breached else _C.breached_at.is_(None))
    return conditions


def _in_status(status: HandoffStatus, at: datetime | None) -> ColumnElement[Any]:
    if at is not None and status is HandoffStatus.OPEN:
        lapsed = and_(_C.status == "claimed", func.coalesce(_C.claimed_until, at) <= at)
        return or_(_C.status == "open", lapsed)
    if at is not None and status is HandoffStatus.CLAIMED:
        return and_(_C.status == "claimed", _C.claimed_until > at)
    return _C.status == status
