"""A request that was taken in and not answered is taken up again, whoever lost it; in the end it fails visibly."""

import asyncio
from datetime import timedelta

import structlog
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from api.deps import Services
from api.erasing import resume_erasures
from api.intake import work_on
from domain.answer import Asked, answer_of
from domain.decision import Issue, Outcome
from domain.errors import HoldfastError
from domain.interaction import EffectState, InteractionStatus
from domain.values import Intent, InteractionId, Mode, OrganisationId
from domain.webhook import DomainEvent, EventType
from schema.audit import AuditEvent, AuditRepository
from schema.effects import EffectRepository
from schema.events import EventRepository
from schema.interactions import Interaction, InteractionRepository
from schema.session import Session
from schema.stalls import StallRepository

AGAIN_S = 30.0
UNANSWERED_FOR = timedelta(minutes=5)
"""Whoever asked has long been told to come back later; a workflow answers within seconds, or waits for a person."""
LOOK_AGAIN = timedelta(minutes=10)
AT_ONCE = 50
MOST_RESUMES = 5
GIVEN_UP = "could_not_be_worked_on"
REPLY = "I'm sorry, your request could not be finished. Please contact us again."

log = structlog.get_logger("resuming")


async def keep_resuming(services: Services) -> None:
    """Runs as long as the process."""
    while True:
        try:
            await resume_unanswered(services)
            await resume_erasures(services)
        except HoldfastError as error:
            log.info("cannot look for what nobody works on now", code=error.code)
        except Exception as error:  # this task must outlive whatever went wrong in one round
            log.error("a round of resuming failed", error=type(error).__name__)
        await asyncio.sleep(AGAIN_S)


async def resume_unanswered(services: Services) -> None:
    """One round, over all organisations, `AT_ONCE` at most."""
    now = services.now()
    for stalled in await services.db.unanswered_interactions(now - UNANSWERED_FOR, now, AT_ONCE):
        await _resume(services, stalled.organisation, stalled.interaction_id)


async def _resume(services: Services, organisation: OrganisationId, interaction_id: InteractionId) -> None:
    now = services.now()
    async with services.db.transaction(organisation) as session:
        interaction = await InteractionRepository(session).get(interaction_id)
    if await _is_worked_on(services, interaction):
        async with services.db.transaction(organisation) as session:
            await StallRepository(session).look_later(interaction_id, now + LOOK_AGAIN)
        return
    async with services.db.transaction(organisation) as session:
        times = await StallRepository(session).take_up(interaction_id, now, now + LOOK_AGAIN)
        if times is not None and times > MOST_RESUMES:
            await _give_up(services, session, interaction)
    if times is not None and times <= MOST_RESUMES:
        await work_on(services, organisation, interaction)


async def _is_worked_on(services: Services, interaction: Interaction) -> bool:
    """Whether its workflow runs. While Temporal cannot say so, nobody takes anything up."""
    try:
        found = await services.temporal.get_workflow_handle(interaction.workflow_id).describe()
    except RPCError as error:
        return error.status is not RPCStatusCode.NOT_FOUND
    except RuntimeError:
        return True
    return found.status is WorkflowExecutionStatus.RUNNING


async def _give_up(services: Services, session: Session, interaction: Interaction) -> None:
    """It failed: whoever asked and whoever listens hear so, and what was reserved for it is free or in doubt."""
    now, ledger = services.now(), EffectRepository(session)
    for standing in await ledger.list_for_interaction(interaction.id):
        if not standing.state.is_final:
            state = EffectState.UNKNOWN if standing.attempt else EffectState.FAILED
            await ledger.close(standing, state, GIVEN_UP, now)
    issue = Issue(code=GIVEN_UP, message="nobody could work on this request", check=GIVEN_UP)
    asked = Asked.model_validate(interaction, from_attributes=True)
    answer = answer_of(asked, status=InteractionStatus.FAILED, reply=REPLY, decision=None, reply_issues=[issue])
    answered = await InteractionRepository(session).answer(
        interaction.id,
        status=InteractionStatus.FAILED,
        intent=Intent.OTHER,
        confidence=0.0,
        outcome=Outcome.REFUSE,
        reply=REPLY,
        answer=answer.model_dump(mode="json"),
        at=now,
    )
    if not answered.first or interaction.mode is Mode.SHADOW:
        return
    event = AuditEvent(now, "system", "interaction.failed", interaction.id, {"reason": GIVEN_UP})
    await AuditRepository(session).append(event)
    told = {"conversationId": interaction.conversation_id, "reason": GIVEN_UP}
    await EventRepository(session).record(DomainEvent(EventType.INTERACTION_FAILED, interaction.id, now, told))
