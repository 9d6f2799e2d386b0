"""A decision is taken in Postgres; then its workflow is told. What could not be told is told again until it is."""

import asyncio
from datetime import timedelta
from enum import Enum

import structlog
from temporalio.service import RPCError, RPCStatusCode

from api.deps import Services
from api.intake import work_on
from domain.errors import HoldfastError
from domain.handoff import HandoffDecision
from domain.values import HandoffId, OrganisationId
from schema.handoffs import Handoff, HandoffRepository
from schema.interactions import InteractionRepository
from schema.wakes import WakeRepository
from workflows import ids
from workflows.handoff import HandoffWorkflow

AGAIN_S = 5.0
"""How often a process looks for decisions nobody told: one indexed query over rows that are normally none."""

WAKE_AGAIN = timedelta(seconds=30)
"""A workflow that was told to look and did not, by then, is told again."""
LONGEST_PAUSE = timedelta(minutes=10)

log = structlog.get_logger("telling")


class Told(Enum):
    YES = "yes"
    NOT_NOW = "not now"
    """Temporal cannot be reached, or is busy: it stays marked as untold."""
    NO_WORKFLOW = "no workflow"
    """Nobody is there to hear it: the workflow is not there yet, or not any more."""


async def tell(services: Services, organisation: OrganisationId, handoff: Handoff) -> Told:
    """Signal the decision to its workflow, make sure that the interaction goes on, and mark the decision as told."""
    if (said := handoff.said) is None:
        return Told.NO_WORKFLOW
    workflow = services.temporal.get_workflow_handle(ids.handoff(organisation, handoff.id))
    try:
        await workflow.signal(HandoffWorkflow.decided, said)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            return Told.NOT_NOW
        await _resume(services, organisation, handoff)
        return Told.NO_WORKFLOW
    except RuntimeError:
        return Told.NOT_NOW
    services.failpoints.hit("F10")
    await _resume(services, organisation, handoff)
    await _mark_told(services, organisation, handoff.id)
    return Told.YES


async def _resume(services: Services, organisation: OrganisationId, handoff: Handoff) -> None:
    """A decision is acted on by the interaction's workflow. Where that was ended, it is started again from the row."""
    async with services.db.transaction(organisation) as session:
        interaction = await InteractionRepository(session).get(handoff.interaction_id)
    if interaction.finished_at is None:
        await work_on(services, organisation, interaction)


async def _mark_told(services: Services, organisation: OrganisationId, handoff_id: HandoffId) -> None:
    async with services.db.transaction(organisation) as session:
        await HandoffRepository(session).mark_told(handoff_id, services.now())


async def keep_telling(services: Services) -> None:
    """Runs as long as the process: tells what a crash before the signal, or a Temporal that was down, left over."""
    while True:
        try:
            for untold in await services.db.untold_handoffs():
                await _tell_again(services, untold.organisation, untold.handoff_id)
            for changed in await services.db.changed_handoffs():
                await _wake(services, changed.organisation, changed.handoff_id)
        except HoldfastError as error:
            log.info("cannot look for untold decisions now", code=error.code)
        except Exception as error:  # this task must outlive whatever went wrong in one round
            log.error("a round of telling failed", error=type(error).__name__)
        await asyncio.sleep(AGAIN_S)


async def _wake(services: Services, organisation: OrganisationId, handoff_id: HandoffId) -> None:
    """Something happened that a handoff's clocks listen to. Its workflow takes the row away when it has looked."""
    workflow = services.temporal.get_workflow_handle(ids.handoff(organisation, handoff_id))
    async with services.db.transaction(organisation) as session:
        handoff = await HandoffRepository(session).get(handoff_id)
        await WakeRepository(session).later(handoff_id, services.now() + WAKE_AGAIN)
    try:
        await workflow.signal(HandoffWorkflow.changed)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            return
        if handoff.decision is None:
            await _resume(services, organisation, handoff)
            return
        async with services.db.transaction(organisation) as session:  # nobody will look any more
            wakes = WakeRepository(session)
            await wakes.looked(await wakes.pending(handoff_id))


async def _tell_again(services: Services, organisation: OrganisationId, handoff_id: HandoffId) -> None:
    async with services.db.transaction(organisation) as session:
        handoff = await HandoffRepository(session).get(handoff_id)
        interaction = await InteractionRepository(session).get(handoff.interaction_id)
    told = await tell(services, organisation, handoff)
    if told is Told.YES:
        return
    is_over = interaction.finished_at is not None or handoff.decision is HandoffDecision.WITHDRAWN
    if told is Told.NO_WORKFLOW and is_over:
        # It was heard before: a crash came between signal and mark. Or another handoff took its place: nobody waits.
        await _mark_told(services, organisation, handoff_id)
        return
    # Its workflow is about to start, or Temporal is down. What cannot be told now must not stand before what can.
    async with services.db.transaction(organisation) as session:
        await HandoffRepository(session).tell_later(handoff_id, services.now() + _pause(services, handoff))


def _pause(services: Services, handoff: Handoff) -> timedelta:
    """As long again as it has been waiting: the tries double, and there are never many for one decision."""
    waited = services.now() - (handoff.decided_at or services.now())
    return min(max(waited, timedelta(seconds=AGAIN_S)), LONGEST_PAUSE)
