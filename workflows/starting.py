"""How any workflow sets deliveries going, without importing their workflow."""

from collections.abc import Iterable

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from domain.delivery import DeliveryRef
from domain.values import DeliveryId, OrganisationId
from workflows import ids, options


async def start_deliveries(organisation: OrganisationId, deliveries: Iterable[DeliveryId]) -> None:
    """Starts the workflow of each delivery on record and waits for none: they outlive whoever starts them. One that
    runs already is left alone."""
    for delivery_id in deliveries:
        try:
            await workflow.start_child_workflow(
                ids.DELIVERY_WORKFLOW,
                DeliveryRef(organisation=organisation, delivery_id=delivery_id),
                id=ids.delivery(organisation, delivery_id),
                task_timeout=options.TASK_TIMEOUT,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary="a delivery",
            )
        except WorkflowAlreadyStartedError:
            continue
