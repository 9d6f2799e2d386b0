"""A message that is nothing but a code: the answer to what was asked for, and never a message on record."""

import re
from datetime import timedelta

from api.answers import ChatAnswer, current_answer, for_customer, links
from api.auth import Caller
from api.deps import Services
from api.proving import prove
from domain.step_up import CodeOver, CodeState, CodeWrong, answer_hash
from domain.values import CustomerId, Json
from schema.codes import CodeRepository, SentCode
from schema.interactions import InteractionRepository

_CODE = re.compile(r"\s*(\d{3})[ -]?(\d{3})[.!]?\s*", re.ASCII)


async def answered_by_code(
    services: Services, caller: Caller, customer_id: CustomerId, message: str, wait: timedelta
) -> Json | None:
    """How the request that waited for this code stands now; None if no request of the customer waits for one.

    A wrong one answers too, in words: whoever relays a chat shows the reply, whatever it says."""
    found = _CODE.fullmatch(message)
    if found is None:
        return None
    given = found[1] + found[2]
    async with services.db.transaction(caller.organisation) as session:
        sent = await CodeRepository(session).lately(customer_id, services.now())
    meant = _meant(services, sent, given)
    if meant is None or meant.interaction_id is None:
        return None
    words = None
    try:
        await prove(services, caller, meant.interaction_id, given, wait=wait)
    except CodeWrong as wrong:
        left = wrong.details["tries_left"]
        words = f"This is not the code we sent. Please look again: {left} more {'try' if left == 1 else 'tries'}."
    except CodeOver:
        pass  # what became of it is said by the interaction itself
    return await _as_it_stands(services, caller, meant, words)


def _meant(services: Services, sent: tuple[SentCode, ...], given: str) -> SentCode | None:
    """The newest that is open: one answer is heard for one request. Or one that was given back with this very answer,
    as when a caller repeats."""
    before = next((c for c in sent if c.tried[-1:] == (answer_hash(services.id_key, c.id, given),)), None)
    was_right = before is not None and before.state is CodeState.PROVEN
    return before if was_right else next((c for c in sent if c.state is CodeState.OPEN), None)


async def _as_it_stands(services: Services, caller: Caller, code: SentCode, words: str | None) -> Json:
    assert code.interaction_id is not None
    async with services.db.transaction(caller.organisation) as session:
        interaction = await InteractionRepository(session).get(code.interaction_id)
        now = await current_answer(session, interaction)
    told = now if words is None else now.model_copy(update={"reply": words})
    shown = ChatAnswer(**told.model_dump(by_alias=False), links=links(services, interaction)).model_dump(mode="json")
    return for_customer(shown) if caller.sees_as_customer else shown
