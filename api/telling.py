"""A decision is taken in Postgres; then its workflow is told. What could not be told is told again until it is."""

import asyncio
from datetime import timedelta

import structlog
from temporalio.service import RPCError

from api.deps import Services
from domain.errors import HoldfastError
from domain.handoff import Resolution
from domain.values import HandoffId, OrganisationId
from schema.handoffs import Handoff, HandoffRepository
from workflows import ids
from workflows.handoff import HandoffWorkflow

GIVE_UP_AFTER = timedelta(days=1)
AGAIN_S = 5.0
"""How often a process looks for decisions nobody told: one indexed query over rows that are normally none."""

log = structlog.get_logger("telling")


async def tell(services: Services, organisation: OrganisationId, handoff: Handoff) -> bool:
    """Signal the decision to its workflow. False if Temporal could not take it now; it stays marked as untold."""
    if handoff.decision is None:
        return False
    workflow = services.temporal.get_workflow_handle(ids.handoff(organisation, handoff.id))
    try:
        await workflow.signal(HandoffWorkflow.decided, Resolution(handoff_id=handoff.id, decision=handoff.decision))
    except (RPCError, RuntimeError):
        return False
    services.failpoints.hit("F10")
    async with services.db.transaction(organisation) as session:
        await HandoffRepository(session).mark_told(handoff.id, services.now())
    return True


async def keep_telling(services: Services) -> None:
    """Runs as long as the process: tells what a crash before the signal, or a Temporal that was down, left over."""
    while True:
        try:
            for untold in await services.db.untold_handoffs():
                await _tell_again(services, untold.organisation, untold.handoff_id)
        except HoldfastError as error:
            log.info("cannot look for untold decisions now", code=error.code)
        await asyncio.sleep(AGAIN_S)


async def _tell_again(services: Services, organisation: OrganisationId, handoff_id: HandoffId) -> None:
    async with services.db.transaction(organisation) as session:
        handoff = await HandoffRepository(session).get(handoff_id)
    told = await tell(services, organisation, handoff)
    if not told and handoff.decided_at and services.now() - handoff.decided_at > GIVE_UP_AFTER:
        # Its workflow is gone for good (terminated, or lost with Temporal's state): a row nobody can deliver must not
        # stand before those that can be. The decision itself stays on record.
        log.error("a decision could not be told to its workflow", handoff=handoff_id)
        async with services.db.transaction(organisation) as session:
            await HandoffRepository(session).mark_told(handoff_id, services.now())
