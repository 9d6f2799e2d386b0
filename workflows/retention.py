"""What has had its time ends, once."""

from temporalio import workflow

from activities.retention import RetentionActivities
from domain.retention import RetentionResult
from workflows import ids, options


@workflow.defn(name=ids.RETENTION_WORKFLOW)
class RetentionWorkflow:
    """One round over every organisation; a schedule starts one every hour, and never two at once."""

    @workflow.run
    async def run(self) -> RetentionResult:
        return await workflow.execute_activity_method(
            RetentionActivities.end, args=[], summary="end what has had its time", **options.SWEEP
        )
