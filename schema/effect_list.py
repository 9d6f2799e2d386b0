"""A customer's effects, page by page."""

from sqlalchemy import text

from domain.values import CustomerId
from schema.effect_rows import STANDING, EffectStanding, read_standing
from schema.page import END_OF_TIME, Page, Position, checked_limit, decode, page
from schema.session import Session

_OF_CUSTOMER = text(
    STANDING
    + """ e.customer_id = :customer_id AND (e.reserved_at, e.id) < (:before_at, :before_id)
    ORDER BY e.reserved_at DESC, e.id DESC LIMIT :limit"""
)


async def list_effects(
    session: Session, customer_id: CustomerId, *, limit: int = 50, cursor: str | None = None
) -> Page[EffectStanding]:
    """Everything we did to this customer, or tried; the latest first."""
    before = decode(cursor) if cursor else END_OF_TIME
    rows = await session.all(
        _OF_CUSTOMER, customer_id=customer_id, before_at=before.at, before_id=before.id, limit=checked_limit(limit)
    )
    return page(rows, limit, read_standing, lambda row: Position(row.reserved_at, row.id))
