"""Counting what happened, so that a dashboard need not."""

from temporalio import workflow

from activities.rollups import RollupActivities
from workflows import ids, options


@workflow.defn(name=ids.ROLLUP_WORKFLOW)
class RollupWorkflow:
    """One round of counting, over every organisation; a schedule starts one every minute, and never two at once."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            RollupActivities.roll, args=[], summary="count what happened", **options.SWEEP
        )
