"""An approval whose time is over: decided as `expired`, by whoever notices first, once and on record."""

from datetime import datetime

from domain.handoff import HandoffDecision
from schema.audit import AuditEvent, AuditRepository
from schema.handoffs import Handoff, HandoffRepository
from schema.session import Session


async def expired(session: Session, handoff: Handoff, at: datetime) -> Handoff:
    """The handoff, which is over (`Handoff.is_over`), decided so. Lock it before."""
    decided = await HandoffRepository(session).decide(handoff.id, HandoffDecision.EXPIRED, by="system", at=at)
    details = {"onExpiry": handoff.on_expiry.value}
    await AuditRepository(session).append(AuditEvent(at, "system", "handoff.expired", handoff.id, details))
    return decided.record
