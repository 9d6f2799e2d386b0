"""The audit is sealed, once."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.audit import AuditActivities
from domain.audit import SealInput, SealResult
from workflows import ids, options

SEALING = options.RegularOptions(
    start_to_close_timeout=timedelta(minutes=30),
    schedule_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=3, maximum_interval=timedelta(minutes=1)
    ),
)
"""Usually milliseconds; a backlog of millions takes a while and says that it lives."""


@workflow.defn(name=ids.AUDIT_SEAL_WORKFLOW)
class AuditSealWorkflow:
    """Gives what was committed since the last run its place in the chains. A schedule starts it; so may a person."""

    @workflow.run
    async def run(self, start: SealInput) -> SealResult:
        return await workflow.execute_activity_method(AuditActivities.seal, start, **SEALING)
