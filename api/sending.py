"""Sets deliveries going, and tells their workflows what people decided. What could not be told is told again."""

import asyncio
from datetime import timedelta

import structlog
from temporalio.service import RPCError

from api.deps import Services
from domain.delivery import DeliveryRef
from domain.errors import HoldfastError
from domain.values import DeliveryId, OrganisationId
from schema.deliveries import DeliveryRepository
from workflows import ids
from workflows.options import TASK_TIMEOUT, fair_share

AGAIN_S = 5.0
"""How often a process looks for deliveries nobody set going: one indexed query over rows that are normally none."""
START_WITHIN = timedelta(seconds=3)
LONGEST_PAUSE = timedelta(minutes=10)

log = structlog.get_logger("sending")


async def set_going(services: Services, organisation: OrganisationId, *deliveries: DeliveryId) -> bool:
    """Starts the workflow of each, or tells it to look at its row if it runs. False if Temporal cannot be reached: then
    `keep_sending` does it later, for the rows say that nobody was told."""
    for delivery_id in deliveries:
        try:
            await services.temporal.start_workflow(
                ids.DELIVERY_WORKFLOW,
                DeliveryRef(organisation=organisation, delivery_id=delivery_id),
                id=ids.delivery(organisation, delivery_id),
                task_queue=services.task_queue,
                task_timeout=TASK_TIMEOUT,
                start_signal="decided",
                rpc_timeout=START_WITHIN,
                static_summary="a delivery",
                priority=fair_share(organisation),
            )
        except (RPCError, RuntimeError):
            return False
    return True


async def keep_sending(services: Services) -> None:
    """Runs as long as the process: sets going what a crash between record and start, or a Temporal that was down, left
    over."""
    while True:
        try:
            for untold in await services.db.untold_deliveries():
                await _again(services, untold.organisation, untold.delivery_id)
        except HoldfastError as error:
            log.info("cannot look for deliveries now", code=error.code)
        except Exception as error:  # this task must outlive whatever went wrong in one round
            log.error("a round of sending failed", error=type(error).__name__)
        await asyncio.sleep(AGAIN_S)


async def _again(services: Services, organisation: OrganisationId, delivery_id: DeliveryId) -> None:
    """Its first step marks it as told. Until then it is left out for as long again as it has been waiting."""
    async with services.db.transaction(organisation) as session:
        deliveries = DeliveryRepository(session)
        delivery = await deliveries.get(delivery_id)
        waited = services.now() - (delivery.decided_at or delivery.created_at)
        pause = min(max(waited, timedelta(seconds=AGAIN_S)), LONGEST_PAUSE)
        await deliveries.tell_later(delivery_id, services.now() + pause)
    await set_going(services, organisation, delivery_id)
