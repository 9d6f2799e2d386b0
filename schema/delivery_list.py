"""Deliveries, newest first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, literal_column, select, text, tuple_

from domain.delivery import DeliveryStatus
from domain.values import CustomerId, DeliveryId, InteractionId
from schema.base import table
from schema.delivery_rows import SEALED, Delivery, DeliveryRow, read_delivery
from schema.page import Page, Position, checked_limit, decode, page
from schema.sealed import opened
from schema.session import Session

_DELIVERIES = table(DeliveryRow)
_C = _DELIVERIES.c


@dataclass(frozen=True, slots=True)
class DeliveryFilters:
    status: DeliveryStatus | None = None
    channel: str | None = None
    customer_id: CustomerId | None = None
    interaction_id: InteractionId | None = None
    endpoint_id: str | None = None
    reason: str | None = None
    reason_is_not: str | None = None


async def list_deliveries(session: Session, filters: DeliveryFilters, limit: int, cursor: str | None) -> Page[Delivery]:
    conditions = [_C.organisation == session.organisation, *_conditions(filters)]
    if cursor:
        conditions.append(tuple_(_C.created_at, _C.id) < decode(cursor))
    newest_first = (_C.created_at.desc(), _C.id.desc())
    statement = select(_DELIVERIES).where(*conditions).order_by(*newest_first).limit(checked_limit(limit))
    rows = await opened(session, await session.all(statement), SEALED)
    return page(rows, limit, read_delivery, lambda row: Position(row.created_at, row.id))


# What the attempt itself said, where the reason it was given up for says another thing.
_LAST_FAILURES = text(
    """
    SELECT DISTINCT ON (delivery_id) delivery_id, coalesce(details ->> 'said', code, 'attempt_lost') AS code
    FROM delivery_events
    WHERE organisation = :organisation AND delivery_id = ANY(CAST(:ids AS varchar[]))
        AND status IN ('retry', 'lost', 'dead_letter', 'bounced')
    ORDER BY delivery_id, at DESC, id DESC
    """
)


async def last_failures(session: Session, deliveries: Iterable[Delivery]) -> Mapping[DeliveryId, str]:
    """What went wrong last with each, as a code; of those that have not arrived and met with something."""
    ids = [delivery.id for delivery in deliveries if delivery.status is not DeliveryStatus.DELIVERED]
    rows = await session.all(_LAST_FAILURES, ids=ids) if ids else ()
    return {DeliveryId(row.delivery_id): row.code for row in rows}


def _conditions(filters: DeliveryFilters) -> list[ColumnElement[Any]]:
    conditions: list[ColumnElement[Any]] = []
    if filters.status is not None:
        # In the statement, not beside it: only so can Postgres prove that the partial index applies.
        conditions.append(literal_column(f"status = '{filters.status.value}'"))
    for name in ("channel", "customer_id", "interaction_id", "endpoint_id", "reason"):
        if (value := getattr(filters, name)) is not None:
            conditions.append(_C[name] == value)
    if filters.reason_is_not is not None:
        conditions.append(_C.reason.is_distinct_from(filters.reason_is_not))
    return conditions
