"""The list of interactions, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, literal_column, select, tuple_

from domain.interaction import InteractionStatus
from domain.values import ConversationId, CustomerId, Intent, Mode
from schema.base import table
from schema.interaction_rows import SEALED, Interaction, InteractionRow, read_interaction
from schema.page import Page, Position, checked_limit, decode, page
from schema.sealed import opened
from schema.session import Session

_INTERACTIONS = table(InteractionRow)
_C = _INTERACTIONS.c


@dataclass(frozen=True, slots=True)
class InteractionFilters:
    """What is not given does not filter. Times are of creation; `until` itself is not included."""

    customer_id: CustomerId | None = None
    conversation_id: ConversationId | None = None
    status: InteractionStatus | None = None
    intent: Intent | None = None
    mode: Mode | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_interactions(
    session: Session, filters: InteractionFilters, limit: int, cursor: str | None
) -> Page[Interaction]:
    conditions = [_C.organisation == session.organisation, *_conditions(filters)]
    if cursor:
        conditions.append(tuple_(_C.created_at, _C.id) < decode(cursor))
    statement = (
        select(_INTERACTIONS)
        .where(*conditions)
        .order_by(_C.created_at.desc(), _C.id.desc())
        .limit(checked_limit(limit))
    )
    rows = await opened(session, await session.all(statement), SEALED)
    return page(rows, limit, read_interaction, lambda row: Position(row.created_at, row.id))


def _conditions(filters: InteractionFilters) -> list[ColumnElement[Any]]:
    conditions = [
        _C[name] == value
        for name in ("customer_id", "conversation_id", "intent")
        if (value := getattr(filters, name)) is not None
    ]
    # Written out, not bound: only so can Postgres prove that a partial index applies.
    for name, words in (("status", filters.status), ("mode", filters.mode)):
        if words is not None:
            conditions.append(_C[name] == literal_column(f"'{words.value}'"))
    if filters.since is not None:
        conditions.append(_C.created_at >= filters.since)
    if filters.until is not None:
        conditions.append(_C.created_at < filters.until)
    return conditions
