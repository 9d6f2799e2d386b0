"""Forgetting a customer: at once, and once more when nothing that had read them can still be writing."""

from datetime import timedelta

from temporalio import workflow

from activities.erasures import ErasureActivities
from domain.erasure import ErasureRef
from workflows import ids, options

SETTLED = timedelta(minutes=2)
"""No transaction lives so long: a statement has 30 s, an idle transaction 60 s."""
HELD = timedelta(hours=1)
"""How long after a hold is over somebody who was to be forgotten before it began is forgotten, at most."""


@workflow.defn(name=ids.ERASURE_WORKFLOW)
class ErasureWorkflow:
    """One erasure. Ends when nothing personal is there and nothing can write any again."""

    @workflow.run
    async def run(self, start: ErasureRef) -> None:
        attempt = await workflow.execute_local_activity_method(
            ErasureActivities.erase, start, summary="overwrite what is personal", **options.STEP
        )
        if attempt is not None and attempt.is_held:
            await workflow.sleep(HELD, summary="a legal hold keeps it")
            workflow.continue_as_new(start)
        await workflow.sleep(SETTLED, summary="until what was under way has ended")
        await workflow.execute_local_activity_method(
            ErasureActivities.finish, start, summary="once more", **options.STEP
        )
