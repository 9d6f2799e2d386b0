"""What happens to one message that goes out, until somebody has it or a person lets it be."""

import itertools
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError, is_cancelled_exception

from activities.deliveries import DeliveryActivities
from domain.delivery import DeliveryRef, DeliveryResult, DeliveryStatus, SendInput, SendResult
from workflows import ids, options
from workflows.attributes import ORGANISATION, STATUS
from workflows.starting import start_deliveries

SENDING = options.RegularOptions(
    start_to_close_timeout=timedelta(seconds=60),
    schedule_to_close_timeout=timedelta(days=7),
    heartbeat_timeout=timedelta(seconds=5),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
    ),
)
"""One attempt. Temporal repeats it only when our own side failed: a worker died, the database was away. What a receiver
said comes back as a result, and when to try again is decided from it."""

SOON = timedelta(seconds=30)
MANY = 50
"""Steps one run takes: a dead letter may be redriven for years, and its history must not grow with it."""


@workflow.defn(name=ids.DELIVERY_WORKFLOW)
class DeliveryWorkflow:
    """One outbound message: attempts on a schedule, then a person.

    Ends as: *delivered* (the other side took it), *discarded* (a person let it be). A dead letter waits here, for as
    long as it takes, to be redriven or discarded; that is decided in Postgres, and this workflow is told to look.
    """

    @workflow.init
    def __init__(self, start: DeliveryRef) -> None:
        self._start = start
        self._told = False
        self._busy = 0
        self._result = SendResult(status=DeliveryStatus.PENDING)

    @workflow.run
    async def run(self, start: DeliveryRef) -> DeliveryResult:
        workflow.upsert_search_attributes([ORGANISATION.value_set(start.organisation)])
        for steps in itertools.count(1):
            self._told = False
            await self._step()
            if self._result.status.is_final:
                break
            await self._wait()
            if steps >= MANY:
                workflow.continue_as_new(start)
        return DeliveryResult(status=self._result.status)

    @workflow.signal(name="decided", description="A person redrove or discarded it; Postgres already holds that.")
    def decided(self) -> None:
        """Look again. Being told twice, or for nothing, changes nothing."""
        self._told = True

    @workflow.query(name="status", description="How it stands: status, attempts, the last code.")
    def status(self) -> SendResult:
        return self._result

    async def _step(self) -> None:
        """Whatever is next for it: usually one attempt."""
        try:
            result = await workflow.execute_activity_method(
                DeliveryActivities.send, SendInput(delivery=self._start, busy=self._busy), **SENDING
            )
        except FailureError as failure:
            if is_cancelled_exception(failure):
                raise
            result = await self._give_up()
        self._busy = self._busy + 1 if result.is_busy else 0
        self._show(result)
        await start_deliveries(self._start.organisation, result.starts)

    async def _give_up(self) -> SendResult:
        return await workflow.execute_local_activity_method(
            DeliveryActivities.give_up, self._start, summary="what is known?", **options.STEP
        )

    async def _wait(self) -> None:
        if self._result.status is DeliveryStatus.PENDING:
            wait = self._result.wait if self._result.wait is not None else SOON
            await workflow.sleep(wait, summary=self._result.code or "until the next attempt")
        else:
            await workflow.wait_condition(lambda: self._told)

    def _show(self, result: SendResult) -> None:
        if result.status is not self._result.status or not self._result.attempts:
            workflow.upsert_search_attributes([STATUS.value_set(result.status.value)])
        self._result = result
        again = f"\n\nagain in {result.wait.total_seconds():.0f} s" if result.wait is not None else ""
        because = f" · {result.code}" if result.code else ""
        workflow.set_current_details(f"**{result.status.value}** · {result.attempts} attempts{because}{again}")
