"""Takes a request in exactly once, and waits for its answer.

The key row in Postgres is the promise: from then on the request is known by (organisation, customer, request id),
whatever happens to this process or to Temporal. The workflow is started from the row, and can be again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from api.deps import Services
from domain.errors import DependencyDown
from domain.interaction import InteractionRef, InteractionResult
from domain.values import Json, OrganisationId
from schema.interactions import Claimed, Interaction, InteractionRepository, NewInteraction
from workflows import ids
from workflows.attributes import CHANNEL, CONVERSATION, CUSTOMER, MODE, ORGANISATION, STATUS
from workflows.interaction import InteractionWorkflow


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
    async with services.db.transaction(organisation) as session:
        claimed = await InteractionRepository(session).claim(new)
    services.failpoints.hit("F2")
    if claimed.interaction.answer is not None:
        return Taken(claimed.interaction, claimed.interaction.answer, replayed=True)
    answered = await _work(services, organisation, claimed.interaction, wait)
    services.failpoints.hit("F3")
    if not answered:
        return Taken(claimed.interaction, None, replayed=not claimed.created)
    return await _read_answer(services, organisation, claimed)


async def _read_answer(services: Services, organisation: OrganisationId, claimed: Claimed) -> Taken:
    async with services.db.transaction(organisation) as session:
        answer = await InteractionRepository(session).read_answer(claimed.interaction.id)
    return Taken(claimed.interaction, answer, replayed=not claimed.created)


async def _work(services: Services, organisation: OrganisationId, interaction: Interaction, wait: timedelta) -> bool:
    """Start or join the workflow. True when an answer is stored, False when the wait ran out."""
    start = _start(services, organisation, interaction)
    try:
        async with _temporal_errors(start), asyncio.timeout(wait.total_seconds()):
            _ = await services.temporal.execute_update_with_start_workflow(
                InteractionWorkflow.answer, id=ids.ANSWER_UPDATE, start_workflow_operation=start
            )
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        return False
    return True


def _start(
    services: Services, organisation: OrganisationId, interaction: Interaction
) -> WithStartWorkflowOperation[InteractionWorkflow, InteractionResult]:
    ref = InteractionRef(organisation=organisation, interaction_id=interaction.id, mode=interaction.mode)
    return WithStartWorkflowOperation(
        InteractionWorkflow.run,
        ref,
        id=interaction.workflow_id,
        task_queue=services.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(ORGANISATION, organisation),
                SearchAttributePair(CUSTOMER, ids.opaque(interaction.customer_id, services.id_key)),
                SearchAttributePair(CONVERSATION, interaction.conversation_id),
                SearchAttributePair(CHANNEL, interaction.channel.value),
                SearchAttributePair(MODE, interaction.mode.value),
                SearchAttributePair(STATUS, interaction.status.value),
            ]
        ),
        static_summary=f"{interaction.channel.value} message, {interaction.mode.value}",
        static_details=f"Interaction `{interaction.id}` of conversation `{interaction.conversation_id}`.",
        priority=Priority(fairness_key=organisation),
    )


@contextlib.asynccontextmanager
async def _temporal_errors(
    start: WithStartWorkflowOperation[InteractionWorkflow, InteractionResult],
) -> AsyncIterator[None]:
    """Temporal's failures in our words. The request is safe in Postgres: repeating it is the cure for each."""
    try:
        yield
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise
    except (RPCError, WorkflowUpdateFailedError, WorkflowAlreadyStartedError, RuntimeError) as error:
        raise DependencyDown("the request is stored; repeat it for its answer", dependency="temporal") from error
    finally:
        # Collects the start's own failure, which nobody else asks for; it is done or cancelled by now.
        with contextlib.suppress(BaseException):
            async with asyncio.timeout(0):
                await start.workflow_handle()
