"""Decisions over all interactions, newest first; and one of them, with what it was made from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, literal_column, select, tuple_

from domain.decision import Outcome
from domain.errors import DecisionNotFound
from domain.handoff import HandoffKind
from domain.values import CustomerId, DecisionId, HandoffId, Intent, InteractionId, Mode
from schema.base import table
from schema.decisions import DecisionRow, RecordedDecision, read_decision
from schema.handoff_rows import HandoffRow
from schema.interaction_rows import InteractionRow
from schema.page import Page, Position, checked_limit, decode, page
from schema.session import Record, Session

_DECISIONS, _INTERACTIONS, _HANDOFFS = table(DecisionRow), table(InteractionRow), table(HandoffRow)
_C = _DECISIONS.c
_FROM = _DECISIONS.join(
    _INTERACTIONS,
    (_INTERACTIONS.c.organisation == _C.organisation) & (_INTERACTIONS.c.id == _C.interaction_id),
)


@dataclass(frozen=True, slots=True)
class DecisionFilters:
    """What is not given does not filter. `until` itself is not included."""

    customer_id: CustomerId | None = None
    interaction_id: InteractionId | None = None
    outcome: Outcome | None = None
    intent: Intent | None = None
    mode: Mode | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedDecision:
    record: RecordedDecision
    customer_id: CustomerId


async def list_decisions(
    session: Session, filters: DecisionFilters, *, limit: int, cursor: str | None
) -> Page[ListedDecision]:
    """Every stage is a decision of its own."""
    conditions = [_C.organisation == session.organisation, *_conditions(filters)]
    if cursor:
        conditions.append(tuple_(_C.at, _C.id) < decode(cursor))
    statement = _selected().where(*conditions).order_by(_C.at.desc(), _C.id.desc()).limit(checked_limit(limit))
    return page(await session.all(statement), limit, _listed, lambda row: Position(row.at, row.id))


async def get_decision(session: Session, decision_id: DecisionId) -> ListedDecision:
    """Raises `DecisionNotFound`."""
    rows = await session.all(_selected().where(_C.organisation == session.organisation, _C.id == decision_id))
    if not rows:
        raise DecisionNotFound("no such decision")
    return _listed(rows[0])


async def approval_of(session: Session, listed: ListedDecision) -> HandoffId | None:
    """The approval that was asked for on this decision, if one was."""
    found = await session.all(
        select(_HANDOFFS.c.id)
        .where(
            _HANDOFFS.c.organisation == session.organisation,
            _HANDOFFS.c.interaction_id == listed.record.interaction_id,
            _HANDOFFS.c.decision_id == listed.record.id,
            _HANDOFFS.c.kind == HandoffKind.APPROVAL.value,
        )
        .order_by(_HANDOFFS.c.opened_at.desc(), _HANDOFFS.c.id)
        .limit(1)
    )
    return HandoffId(found[0].id) if found else None


def _selected() -> Any:
    text_of: list[ColumnElement[Any]] = [
        literal_column(f"decisions.{name}::text").label(name) for name in ("decision", "proposal", "facts")
    ]
    return select(
        _C.id, _C.interaction_id, _C.stage, _C.mode, _C.at, _INTERACTIONS.c.customer_id, *text_of
    ).select_from(_FROM)


def _conditions(filters: DecisionFilters) -> list[ColumnElement[Any]]:
    conditions = [
        _C[name] == value
        for name in ("interaction_id", "outcome", "intent", "mode")
        if (value := getattr(filters, name)) is not None
    ]
    if filters.customer_id is not None:
        conditions.append(_INTERACTIONS.c.customer_id == filters.customer_id)
    if filters.since is not None:
        conditions.append(_C.at >= filters.since)
    if filters.until is not None:
        conditions.append(_C.at < filters.until)
    return conditions


def _listed(row: Record) -> ListedDecision:
    return ListedDecision(read_decision(row), CustomerId(row.customer_id))
