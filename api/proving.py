"""A code is given back: heard in Postgres, one answer after the other; then the workflow is told to look."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError

from api.auth import Caller
from api.deps import Services
from api.sending import set_going
from domain.errors import InteractionNotFound, RateLimited
from domain.step_up import (
    MOST_SENDS,
    MOST_TRIES,
    SEND_AGAIN_AFTER,
    CodeOver,
    CodeState,
    CodeWrong,
    answer_hash,
    code_of,
    is_right,
)
from domain.values import InteractionId, Mode
from schema.audit import AuditEvent, AuditRepository
from schema.code_deliveries import send_code
from schema.codes import CodeRepository, SentCode
from schema.interactions import Interaction, InteractionRepository
from schema.session import Session
from workflows import ids
from workflows.interaction import InteractionWorkflow


@dataclass(frozen=True)
class Heard:
    """What an answer was. It counts once the transaction that heard it is committed."""

    code_id: str
    is_right: bool = False
    is_first: bool = True
    """False: this very answer was heard before."""
    tries_left: int = 0
    over: str | None = None

    def check(self) -> None:
        """Raises `CodeOver` or `CodeWrong` unless it was right."""
        if self.over is not None:
            raise CodeOver("no code can be given back here", reason=self.over)
        if not self.is_right:
            raise CodeWrong("this is not the code", tries_left=self.tries_left)


async def hear(services: Services, session: Session, caller: Caller, code: SentCode | None, given: str) -> Heard:
    """One answer. Commit the transaction whatever it says: a wrong one counts too."""
    if code is None:
        return Heard("", over="not_asked")
    at, said = services.now(), answer_hash(services.id_key, code.id, given)
    if code.state is not CodeState.OPEN or code.nonce is None:
        again = code.state is CodeState.PROVEN and code.tried[-1:] == (said,)
        return Heard(code.id, is_right=again, is_first=False, over=None if again else code.state.value)
    if code.expires_at <= at:
        return Heard(code.id, over=CodeState.EXPIRED.value)
    if is_right(given, code_of(services.id_key, code.id, code.bound, code.nonce)):
        await CodeRepository(session).tried(code, said)
        await CodeRepository(session).end(code, CodeState.PROVEN, at)
        await _audit(session, services, caller, "code.proven", code.interaction_id or code.channel_id)
        return Heard(code.id, is_right=True)
    return await _wrong(services, session, caller, code, said)


async def _wrong(services: Services, session: Session, caller: Caller, code: SentCode, said: str) -> Heard:
    """Counted, unless this very answer was counted before."""
    if said in code.tried:
        return Heard(code.id, is_first=False, tries_left=MOST_TRIES - len(code.tried))
    left = MOST_TRIES - len(code.tried) - 1
    await CodeRepository(session).tried(code, said)
    await _audit(session, services, caller, "code.wrong", code.interaction_id or code.channel_id, tries_left=left)
    if left:
        return Heard(code.id, tries_left=left)
    await CodeRepository(session).end(code, CodeState.USED_UP, services.now())
    return Heard(code.id, over=CodeState.USED_UP.value)


async def prove(
    services: Services, caller: Caller, interaction_id: InteractionId, given: str, *, wait: timedelta
) -> None:
    """The customer is who they say, or `CodeWrong`, `CodeOver`, `InteractionNotFound`. Waits for what follows from it,
    at most so long: it is on record in any case, and the workflow finds it by itself when the code is over."""
    async with services.db.transaction(caller.organisation) as session:
        interaction = await visible(session, caller, interaction_id)
        codes = CodeRepository(session)
        heard = await hear(services, session, caller, await codes.find(interaction_id), given)
        if heard.is_right and heard.is_first:
            await codes.proves(interaction_id)
    if heard.is_right or heard.over == CodeState.USED_UP.value:
        await _tell(services, interaction, heard, wait)
    heard.check()


async def send_again(services: Services, caller: Caller, interaction_id: InteractionId) -> int:
    """The same code once more; how often that may be asked still. Raises `CodeOver`, `RateLimited` (too soon),
    `InteractionNotFound`."""
    async with services.db.transaction(caller.organisation) as session:
        await visible(session, caller, interaction_id)
        codes, at = CodeRepository(session), services.now()
        code = await codes.find(interaction_id)
        if code is None or code.state is not CodeState.OPEN or code.expires_at <= at:
            state = CodeState.EXPIRED if code and code.state is CodeState.OPEN else code and code.state
            raise CodeOver("there is no code to send again", reason=state.value if state else "not_asked")
        if code.sends >= MOST_SENDS:
            raise CodeOver("this code was sent often enough", reason="sends")
        check_not_too_soon(services, code)
        delivery_id = await send_code(session, code, code.sends + 1, at)
        await codes.sent_again(code, at)
        await _audit(session, services, caller, "code.sent_again", interaction_id)
    await set_going(services, caller.organisation, delivery_id)
    return MOST_SENDS - code.sends - 1


def check_not_too_soon(services: Services, code: SentCode) -> None:
    """Raises `RateLimited` if the last one is on its way still."""
    wait = code.sent_at + SEND_AGAIN_AFTER - services.now()
    if wait > timedelta(0):
        raise RateLimited("it was sent a moment ago", limit="code", retry_after=int(wait.total_seconds()) + 1)


async def visible(session: Session, caller: Caller, interaction_id: InteractionId) -> Interaction:
    """The interaction, or `InteractionNotFound`: for a customer there are no others than their own."""
    interaction = await InteractionRepository(session).get(interaction_id)
    if caller.is_other(interaction.customer_id) or (caller.customer_id and interaction.mode is not Mode.LIVE):
        raise InteractionNotFound("no such interaction")
    return interaction


async def _tell(services: Services, interaction: Interaction, heard: Heard, wait: timedelta) -> None:
    """Whatever prevents it: the timer of the code makes the workflow look."""
    handle = services.temporal.get_workflow_handle(interaction.workflow_id)
    failures = (RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError, RuntimeError)
    with contextlib.suppress(TimeoutError, *failures):
        async with asyncio.timeout(wait.total_seconds()):
            _: object = await handle.execute_update(
                InteractionWorkflow.proven, id=f"{ids.PROVEN_UPDATE}-{heard.code_id}"
            )


async def _audit(
    session: Session, services: Services, caller: Caller, action: str, subject: str, **details: object
) -> None:
    await AuditRepository(session).append(AuditEvent(services.now(), caller.name, action, subject, details))
