"""What Temporal remembers of work, for a database that was set back to an earlier moment."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.converter import ActivitySerializationContext
from temporalio.service import RPCError, RPCStatusCode

from domain.delivery import DeliveryResult, DeliveryStatus
from domain.interaction import CallInput, EffectOutcome, EffectState, InteractionRef
from domain.values import DeliveryId, EffectId, InteractionId, OrganisationId
from workflows import ids

CALL = "tools.call"
REASON = "the database was restored to an earlier moment"
T = TypeVar("T")


@dataclass(frozen=True)
class Past:
    """What the runs of one interaction did that our own database cannot have taken back."""

    last_change: datetime
    is_running: bool
    calls: Mapping[EffectId, EffectState | None]
    """Effects that were called outside, with what the call ended as; None if nobody said."""
    messages: frozenset[DeliveryId]
    """Deliveries that were set going."""

    @property
    def acted(self) -> bool:
        """Something may have left us."""
        return bool(self.calls or self.messages)

    def stood_still(self, since: datetime) -> bool:
        """It runs, and did nothing at or after a moment. An attempt of a call leaves no event before it ends, so
        whoever is in a call may have made one at any time."""
        return self.is_running and self.last_change < since and None not in self.calls.values()

    def __or__(self, other: "Past") -> "Past":
        """Of several runs of one interaction, what happened in any."""
        return Past(
            last_change=max(self.last_change, other.last_change),
            is_running=self.is_running or other.is_running,
            calls={**self.calls, **{e: state for e, state in other.calls.items() if state or e not in self.calls}},
            messages=self.messages | other.messages,
        )


NOTHING = Past(last_change=datetime.min.replace(tzinfo=UTC), is_running=False, calls={}, messages=frozenset())


def organisation_of(workflow_id: str) -> OrganisationId:
    """Whose it is: the second part of every id of ours."""
    return OrganisationId(workflow_id.split(":", 2)[1])


async def remembered(client: Client, kind: str, since: datetime) -> AsyncIterator[WorkflowExecution]:
    """Every run of a kind of workflow that ran at or after a moment, as far as Temporal still keeps it."""
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    query = f"WorkflowType = '{kind}' AND (ExecutionStatus = 'Running' OR CloseTime >= '{moment}')"
    async for run in client.list_workflows(query):
        yield run


async def past_of(client: Client, workflow_id: str, run_id: str | None = None) -> Past:
    """What one run of an interaction did, the latest without `run_id`; nothing if there is none."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    try:
        described = await handle.describe()
        history = await client.get_workflow_handle(workflow_id, run_id=described.run_id).fetch_history()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return NOTHING
        raise
    return Past(
        last_change=history.events[-1].event_time.ToDatetime(tzinfo=UTC),
        is_running=described.status is WorkflowExecutionStatus.RUNNING,
        calls=await _calls(client, workflow_id, history.events),
        messages=frozenset(_messages(history.events)),
    )


async def ended_as(client: Client, organisation: OrganisationId, delivery_id: DeliveryId) -> DeliveryStatus | None:
    """What became of a delivery in the end, as its last run said; None if it did not end, or nobody remembers."""
    handle = client.get_workflow_handle(ids.delivery(organisation, delivery_id), result_type=DeliveryResult)
    try:
        described = await handle.describe()
        if described.status is not WorkflowExecutionStatus.COMPLETED:
            return None
        result: DeliveryResult = await handle.result()
    except WorkflowFailureError:
        return None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return result.status if result.status.is_final else None


async def end(client: Client, workflow_id: str) -> None:
    """Ends what runs under an id. Nothing happens if nothing does."""
    try:
        await client.get_workflow_handle(workflow_id).terminate(reason=REASON)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def free(client: Client, workflow_id: str, task_queue: str) -> None:
    """Ends what runs under the id of an interaction, and lets it be used again although a run under it completed: the
    last run of an id decides that, so one is begun that no worker sees, and ended. What ran before stays to be read."""
    await client.start_workflow(
        "interaction",
        InteractionRef(organisation=organisation_of(workflow_id), interaction_id=InteractionId("lost")),
        id=workflow_id,
        task_queue=task_queue,
        start_delay=timedelta(days=1),
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        static_summary=REASON,
    )
    await end(client, workflow_id)


async def _calls(
    client: Client, workflow_id: str, events: Sequence[HistoryEvent]
) -> dict[EffectId, EffectState | None]:
    scheduled, calls = dict[int, EffectId](), dict[EffectId, EffectState | None]()
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            began = event.activity_task_scheduled_event_attributes
            if began.activity_type.name == CALL:
                asked = await _decoded(client, workflow_id, began.input.payloads, CallInput)
                scheduled[event.event_id] = asked.effect.effect_id
                calls.setdefault(asked.effect.effect_id, None)
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            ended = event.activity_task_completed_event_attributes
            if ended.scheduled_event_id in scheduled:
                said = await _decoded(client, workflow_id, ended.result.payloads, EffectOutcome)
                calls[said.effect_id] = said.state
    return calls


def _messages(events: Sequence[HistoryEvent]) -> list[DeliveryId]:
    started = (event.start_child_workflow_execution_initiated_event_attributes for event in events)
    return [
        DeliveryId(child.workflow_id.rsplit(":", 1)[1])
        for child in started
        if child.workflow_type.name == ids.DELIVERY_WORKFLOW
    ]


async def _decoded(client: Client, workflow_id: str, payloads: Sequence[Payload], kind: type[T]) -> T:
    """As the activity itself would read it."""
    context = ActivitySerializationContext(
        namespace=client.namespace,
        workflow_id=workflow_id,
        workflow_type="interaction",
        activity_id=None,
        activity_type=CALL,
        activity_task_queue=None,
        is_local=False,
    )
    (value,) = await client.data_converter.with_context(context).decode(payloads, [kind])
    return value  # type: ignore[no-any-return]
