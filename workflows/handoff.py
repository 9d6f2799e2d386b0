"""What happens while a thing waits for a person."""

import contextlib
from datetime import timedelta

from temporalio import workflow

from activities.clocks import ClockActivities
from domain.handoff import HandoffDecision, HandoffInput, KeepTimeInput, Resolution, TimeKept
from domain.values import OrganisationId
from workflows import ids, options
from workflows.attributes import DUE_AT, HANDOFF_STATUS
from workflows.starting import start_deliveries


@workflow.defn(name=ids.HANDOFF_WORKFLOW)
class HandoffWorkflow:
    """One thing that needs a person, from the moment its record is open until somebody decided.

    Ends as: approved, rejected, resolved, withdrawn, or expired when its whole time is over. Its clocks warn, breach
    and escalate on the way, and change nothing else: silence never means yes. The decision is taken in Postgres,
    atomically; this workflow is told. Clocks are recomputed there too: this workflow holds the timer.
    """

    @workflow.init
    def __init__(self, start: HandoffInput) -> None:
        self._start = start
        self._resolution: Resolution | None = None
        self._changed = start.reopened
        self._look_at = start.look_at
        self._until = "first"

    @workflow.run
    async def run(self, start: HandoffInput) -> Resolution:
        self._show("Waiting for a person to decide.")
        self._mark("open")
        while self._resolution is None or self._is_late:
            await self._wait()
            if self._resolution is None or self._is_late:
                await self._keep_time()
            if workflow.info().is_continue_as_new_suggested() and self._resolution is None:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(start.model_copy(update={"look_at": self._look_at, "reopened": True}))
        await workflow.wait_condition(workflow.all_handlers_finished)
        resolution = self._resolution
        self._mark(resolution.decision.value)
        self._show(f"Decided: {resolution.decision.value}.")
        return resolution

    @workflow.signal(name="decided", description="A person decided; Postgres already holds the decision.")
    def decided(self, resolution: Resolution) -> None:
        """The first word counts, if it is about this handoff; being told again changes nothing."""
        if self._resolution is None and resolution.handoff_id == self._start.handoff_id:
            self._resolution = resolution

    @workflow.signal(name="changed", description="Something happened that clocks listen to; Postgres has what.")
    def changed(self) -> None:
        """Being told too often costs a look."""
        self._changed = True

    @workflow.query(name="status", description="The decision, once there is one.")
    def status(self) -> HandoffDecision | None:
        return self._resolution.decision if self._resolution else None

    @property
    def _is_late(self) -> bool:
        """Something fell due before the decision, and is not on record yet: it is owed all the same."""
        return self._look_at is not None and self._look_at <= workflow.now()

    async def _wait(self) -> None:
        """Until somebody decided, something changed, or something fell due."""
        remaining = max(timedelta(0), self._look_at - workflow.now()) if self._look_at else None
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._resolution is not None or self._changed,
                timeout=remaining,
                timeout_summary=f"until {self._until}",
            )
        self._changed = False

    async def _keep_time(self) -> None:
        kept: TimeKept = await workflow.execute_local_activity_method(
            ClockActivities.keep_time,
            KeepTimeInput(handoff=self._start, at=workflow.now()),
            summary=f"{self._until}: what fell due?",
            **options.STEP,
        )
        self._resolution = self._resolution or kept.standing
        self._look_at, self._until = kept.look_at, kept.until
        if kept.breached and self._resolution is None:
            self._mark("breached")
            self._show("Past its due time; still waiting for a person.")
        await start_deliveries(OrganisationId(self._start.organisation), kept.starts)

    def _mark(self, status: str) -> None:
        due = [DUE_AT.value_set(self._start.sla_due_at)] if self._start.sla_due_at and status == "open" else []
        workflow.upsert_search_attributes([*due, HANDOFF_STATUS.value_set(status)])

    def _show(self, line: str) -> None:
        workflow.set_current_details(f"**{self._start.kind.value}** · {line}")
