"""What happens while a thing waits for a person."""

from datetime import timedelta

from temporalio import workflow

from activities.handoffs import HandoffActivities
from domain.handoff import BreachInput, HandoffDecision, HandoffInput, Resolution
from workflows import ids, options
from workflows.attributes import DUE_AT, HANDOFF_STATUS


@workflow.defn(name=ids.HANDOFF_WORKFLOW)
class HandoffWorkflow:
    """One thing that needs a person, from the moment its record is open until somebody decided.

    Ends as: approved, rejected, resolved. Passing its due time breaches it once and changes nothing else: silence
    never means yes. The decision is taken in Postgres, atomically; this workflow is told.
    """

    @workflow.init
    def __init__(self, start: HandoffInput) -> None:
        self._start = start
        self._resolution: Resolution | None = None

    @workflow.run
    async def run(self, start: HandoffInput) -> Resolution:
        self._show("Waiting for a person to decide.")
        if not await self._decided_in_time():
            await self._mark_breached()
            self._show("Past its due time; still waiting for a person.")
            await workflow.wait_condition(lambda: self._resolution is not None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        resolution = self._resolution or Resolution(handoff_id=start.handoff_id)
        workflow.upsert_search_attributes([HANDOFF_STATUS.value_set(resolution.decision.value)])
        self._show(f"Decided: {resolution.decision.value}.")
        return resolution

    @workflow.signal(name="decided", description="A person decided; Postgres already holds the decision.")
    def decided(self, resolution: Resolution) -> None:
        """The first word counts, if it is about this handoff; being told again changes nothing."""
        if self._resolution is None and resolution.handoff_id == self._start.handoff_id:
            self._resolution = resolution

    @workflow.query(name="status", description="The decision, once there is one.")
    def status(self) -> HandoffDecision | None:
        return self._resolution.decision if self._resolution else None

    async def _decided_in_time(self) -> bool:
        due_at = self._start.sla_due_at
        if due_at is None:
            await workflow.wait_condition(lambda: self._resolution is not None)
            return True
        workflow.upsert_search_attributes([DUE_AT.value_set(due_at), HANDOFF_STATUS.value_set("open")])
        remaining = max(timedelta(0), due_at - workflow.now())
        try:
            await workflow.wait_condition(
                lambda: self._resolution is not None, timeout=remaining, timeout_summary="until it is due"
            )
        except TimeoutError:
            return False
        return True

    async def _mark_breached(self) -> None:
        await workflow.execute_local_activity_method(
            HandoffActivities.mark_breached,
            BreachInput(handoff=self._start, detected_at=workflow.now()),
            summary="due time passed",
            **options.STEP,
        )
        workflow.upsert_search_attributes([HANDOFF_STATUS.value_set("breached")])

    def _show(self, line: str) -> None:
        workflow.set_current_details(f"**{self._start.kind.value}** · {line}")
