"""What a person says about a dead letter: decided in Postgres, once, audited; then its workflow is told."""

from collections.abc import Sequence
from dataclasses import replace

from api.auth import Caller
from api.deps import Services
from api.sending import set_going
from domain.errors import Conflict, RequestInvalid
from domain.interaction import EffectState
from domain.values import DeliveryId, Json
from schema.audit import AuditEvent, AuditRepository
from schema.dead_letters import Correction, DeadLetterRepository, Settled
from schema.deliveries import Delivery, DeliveryFilters, DeliveryRepository
from schema.effects import EffectRepository
from schema.page import MAX_PAGE
from schema.session import Session


async def redrive(
    services: Services, caller: Caller, delivery_id: DeliveryId, correction: Correction | None = None
) -> Delivery:
    """Send it again, as it is or corrected. Raises `Conflict`, `NotFound`, `RequestInvalid`."""
    async with services.db.transaction(caller.organisation) as session:
        if correction is not None:
            delivery = await DeliveryRepository(session).get(delivery_id)
            if delivery.endpoint_id is not None:
                raise RequestInvalid("what happened is told as it was; change the webhook instead", fields=["correct"])
        letters = DeadLetterRepository(session)
        await letters.lock(delivery_id)
        settled = await letters.redrive(delivery_id, caller.name, services.now(), correction)
        details = {"round": settled.record.round, "version": settled.record.version}
        await _audit(services, session, caller, settled, "delivery.redriven", details)
    await set_going(services, caller.organisation, delivery_id)
    return settled.record


async def discard(services: Services, caller: Caller, delivery_id: DeliveryId, note: str) -> Delivery:
    """Let it be. The effect behind it is closed: failed if it surely did not happen, else unknown."""
    async with services.db.transaction(caller.organisation) as session:
        letters = DeadLetterRepository(session)
        await letters.lock(delivery_id)
        settled = await letters.discard(delivery_id, note, caller.name, services.now())
        if settled.first and settled.record.effect_id is not None:
            ledger = EffectRepository(session)
            standing = await ledger.get(settled.record.effect_id)
            if not standing.state.is_final:
                surely_not = standing.state is EffectState.RESERVED
                state = EffectState.FAILED if surely_not else EffectState.UNKNOWN
                await ledger.close(standing, state, "discarded", services.now())
        await _audit(services, session, caller, settled, "delivery.discarded", {"round": settled.record.round})
    await set_going(services, caller.organisation, delivery_id)
    return settled.record


async def find_dead_letters(
    services: Services, caller: Caller, filters: DeliveryFilters
) -> tuple[Sequence[Delivery], bool]:
    """The dead letters these filters mean, newest first, 200 at most; and whether there are more.

    What may have arrived is not among them unless it is asked for by its reason: sending that again is a decision
    about one message, not about a heap.
    """
    if filters.reason is None:
        filters = replace(filters, reason_is_not="outcome_unknown")
    async with services.db.transaction(caller.organisation) as session:
        page = await DeliveryRepository(session).list(filters=filters, limit=MAX_PAGE)
    return page.items, page.next_cursor is not None


async def redrive_all(services: Services, caller: Caller, found: Sequence[Delivery]) -> list[DeliveryId]:
    """Those of them that were still dead letters."""
    sent = []
    for delivery in found:
        try:
            await redrive(services, caller, delivery.id)
        except Conflict:
            continue
        sent.append(delivery.id)
    return sent


async def _audit(
    services: Services, session: Session, caller: Caller, settled: Settled, action: str, details: Json
) -> None:
    if settled.first:
        event = AuditEvent(services.now(), caller.name, action, settled.record.id, details)
        await AuditRepository(session).append(event)
