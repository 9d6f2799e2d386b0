"""Takes a request in exactly once, and waits for its answer.

The key row in Postgres is the promise: from then on the request is known by (organisation, customer, request id),
whatever happens to this process or to Temporal. The workflow is started from the row, and can be again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import structlog
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from api.deps import Services
from domain.errors import DependencyDown, HoldfastError
from domain.interaction import InteractionRef, InteractionResult, InteractionStatus
from domain.values import Json, OrganisationId
from schema.interactions import Claimed, Interaction, InteractionRepository, NewInteraction
from schema.rollups import count_replay
from workflows import ids
from workflows.attributes import CHANNEL, CONVERSATION, CUSTOMER, MODE, ORGANISATION, STATUS
from workflows.interaction import InteractionWorkflow
from workflows.options import TASK_TIMEOUT, fair_share

START_WITHIN = timedelta(seconds=3)
"""How long Temporal may take to say that it holds a workflow whose answer nobody waits for any more."""


@dataclass(frozen=True)
class Taken:
    """A request that is safe with us. `answer` is None while it is still being worked on."""

    interaction: Interaction
    answer: Json | None
    replayed: bool


async def take(services: Services, organisation: OrganisationId, new: NewInteraction, *, wait: timedelta) -> Taken:
    """Take a request in and wait up to `wait` for its answer. A repeated key joins or repeats the first answer.

    Raises `CustomerNotFound`, `ConversationNotFound`, `RequestIdReused`, `DependencyDown`.
    """
    services.failpoints.hit("F1")
    claimed = await services.db.one_by_one(organisation, lambda session: InteractionRepository(session).claim(new))
    structlog.contextvars.bind_contextvars(interaction_id=claimed.interaction.id)
    services.failpoints.hit("F2")
    if not claimed.created:
        with contextlib.suppress(HoldfastError):  # worth knowing, not worth failing for
            await count_replay(services.db, organisation, new.mode, services.now())
    if claimed.interaction.answer is not None:
        return Taken(claimed.interaction, claimed.interaction.answer, replayed=True)
    ref = _ref(organisation, claimed.interaction)
    try:
        await _work(services, claimed.interaction, ref, wait)
    except DependencyDown:
        # It may have ended between our look and our call: then Temporal refuses, and the answer is in the store.
        taken = await _read_answer(services, organisation, claimed)
        if taken.answer is None:
            raise
        return taken
    services.failpoints.hit("F3")
    return await _read_answer(services, organisation, claimed)


async def _read_answer(services: Services, organisation: OrganisationId, claimed: Claimed) -> Taken:
    interaction_id = claimed.interaction.id
    answer = await services.db.one_by_one(organisation, lambda s: InteractionRepository(s).read_answer(interaction_id))
    return Taken(claimed.interaction, answer, replayed=not claimed.created)


async def _work(services: Services, interaction: Interaction, ref: InteractionRef, wait: timedelta) -> None:
    """Start or join the workflow. Returns when an answer is stored, or when the wait is over and Temporal has said that
    it holds the workflow: who is told to come back later must be able to rely on somebody working."""
    options = _options(services, interaction, ref)
    start = WithStartWorkflowOperation(InteractionWorkflow.run, ref, **options)
    try:
        async with _temporal_errors(start), asyncio.timeout(wait.total_seconds()):
            status: object = await services.temporal.execute_update_with_start_workflow(
                InteractionWorkflow.answer, id=ids.ANSWER_UPDATE, start_workflow_operation=start
            )
        if status is InteractionStatus.FAILED:
            # The run ended without an answer, and its update is remembered: the repeat needs a run of its own.
            raise TimeoutError
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        async with _temporal_errors():
            await services.temporal.start_workflow(InteractionWorkflow.run, ref, rpc_timeout=START_WITHIN, **options)


async def work_on(services: Services, organisation: OrganisationId, interaction: Interaction) -> None:
    """Make sure that somebody works on an interaction that has not ended: whoever terminated its workflow, or lost it
    with Temporal's state, did not end the interaction. What is running is left alone.

    Raises `DependencyDown`."""
    ref = _ref(organisation, interaction)
    async with _temporal_errors():
        with contextlib.suppress(WorkflowAlreadyStartedError):  # it completed in this moment
            await services.temporal.start_workflow(
                InteractionWorkflow.run, ref, rpc_timeout=START_WITHIN, **_options(services, interaction, ref)
            )


async def begin_anew(services: Services, organisation: OrganisationId, interaction: Interaction) -> None:
    """A new run of an interaction, from its row, whatever Temporal remembers of it: for a database that was set back.

    Raises `DependencyDown`."""
    ref = _ref(organisation, interaction)
    anew = {
        **_options(services, interaction, ref),
        "id_conflict_policy": WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    }
    async with _temporal_errors():
        await services.temporal.start_workflow(InteractionWorkflow.run, ref, rpc_timeout=START_WITHIN, **anew)


def _ref(organisation: OrganisationId, interaction: Interaction) -> InteractionRef:
    return InteractionRef(
        organisation=organisation,
        interaction_id=interaction.id,
        mode=interaction.mode,
        blocked_by=interaction.blocked_by,
    )


def _options(services: Services, interaction: Interaction, ref: InteractionRef) -> Json:
    """How the workflow is started, whichever way: the same options twice are one workflow."""
    return {
        "id": interaction.workflow_id,
        "task_queue": services.task_queue,
        "task_timeout": TASK_TIMEOUT,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        "search_attributes": TypedSearchAttributes(
            [
                SearchAttributePair(ORGANISATION, ref.organisation),
                SearchAttributePair(CUSTOMER, ids.opaque(interaction.customer_id, services.id_key)),
                SearchAttributePair(CONVERSATION, interaction.conversation_id),
                SearchAttributePair(CHANNEL, interaction.channel.value),
                SearchAttributePair(MODE, interaction.mode.value),
                SearchAttributePair(STATUS, interaction.status.value),
            ]
        ),
        "static_summary": f"{interaction.channel.value} message, {interaction.mode.value}",
        "priority": fair_share(ref.organisation),
    }


@contextlib.asynccontextmanager
async def _temporal_errors(
    start: WithStartWorkflowOperation[InteractionWorkflow, InteractionResult] | None = None,
) -> AsyncIterator[None]:
    """Temporal's failures in our words. The request is safe in Postgres: repeating it is the cure for each."""
    try:
        yield
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise
    except (RPCError, WorkflowUpdateFailedError, WorkflowAlreadyStartedError, RuntimeError) as error:
        raise DependencyDown("the request is stored; repeat it for its answer", dependency="temporal") from error
    finally:
        if start is not None:
            # Collects the start's own failure, which nobody else asks for; it is done or cancelled by now.
            with contextlib.suppress(BaseException):
                async with asyncio.timeout(0):
                    await start.workflow_handle()
