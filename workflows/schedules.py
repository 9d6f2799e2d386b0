"""What runs by the clock, as a table."""

import dataclasses
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.converter import WorkflowSerializationContext

from domain.audit import SealInput
from domain.values import Value
from workflows import ids, options


@dataclass(frozen=True, slots=True)
class Recurring:
    """A workflow that runs again and again, never twice at once. What was missed while Temporal was down is not made up
    for: the next run does all there is."""

    id: str
    workflow: str
    every: timedelta
    start: tuple[Value, ...] = ()
    """What it is started with."""

    def schedule(self, task_queue: str) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                self.workflow,
                args=self.start,
                id=self.id,
                task_queue=task_queue,
                task_timeout=options.TASK_TIMEOUT,
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=self.every)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=self.every),
        )


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SCHEDULES = (
    # Until it is sealed, an event and the rows it is about can be changed by who owns the database, and nobody notices.
    Recurring("audit-seal", ids.AUDIT_SEAL_WORKFLOW, timedelta(seconds=20), (SealInput(),)),
    Recurring("rollups", ids.ROLLUP_WORKFLOW, MINUTE),
    Recurring("retention", ids.RETENTION_WORKFLOW, HOUR),
)


async def ensure_schedules(client: Client, task_queue: str) -> None:
    """Makes every schedule, or brings one that is there to what the table says and seals what it starts with under
    today's key; who paused it finds it paused. Safe to repeat, and for many workers at once."""
    for each in SCHEDULES:
        try:
            await client.create_schedule(each.id, each.schedule(task_queue))
        except ScheduleAlreadyRunningError:
            await _update(client, each, task_queue)


async def _update(client: Client, wanted: Recurring, task_queue: str) -> None:
    context = WorkflowSerializationContext(client.namespace, wanted.id)
    sealed = [dict(one.metadata) for one in await client.data_converter.with_context(context).encode(wanted.start)]

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        before, now = found.description.schedule, wanted.schedule(task_queue)
        if _says(before) == _says(now) and _sealed(before) == sealed:
            return None
        return ScheduleUpdate(dataclasses.replace(now, state=before.state))

    await client.get_schedule_handle(wanted.id).update(changed)


def _sealed(schedule: Schedule) -> list[dict[str, bytes]]:
    """How what it starts with is encoded, and under which key."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    return [dict(payload.metadata) for payload in action.args]


def _says(schedule: Schedule) -> tuple[object, ...]:
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    every = [interval.every for interval in schedule.spec.intervals]
    return action.workflow, action.task_queue, every, schedule.policy.overlap
