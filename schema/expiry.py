"""An approval whose time is over: decided as `expired`, by whoever notices first, once and on record."""

from datetime import datetime

from domain.handoff import HandoffDecision
from schema.audit import AuditEvent, AuditRepository
from schema.decided import tell_of_decision
from schema.handoffs import Handoff, HandoffRepository
from schema.session import Session


async def expired(session: Session, handoff: Handoff, at: datetime) -> Handoff:
    """The handoff, which is over (`Handoff.is_over`), decided so, and word of it on record. Lock it before."""
    decided = await HandoffRepository(session).decide(handoff.id, HandoffDecision.EXPIRED, by="system", at=at)
    details = {"onExpiry": handoff.on_expiry.value}
    await AuditRepository(session).append(AuditEvent(at, "system", "handoff.expired", handoff.id, details))
    await tell_of_decision(session, decided.record, at)
    return decided.record
