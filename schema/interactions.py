"""Interactions: one row per request of a customer, claimed once, answered once, kept for ever."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.decision import Outcome
from domain.errors import InteractionNotFound
from domain.interaction import InteractionStatus
from domain.values import (
    HandoffId,
    Intent,
    InteractionId,
    Json,
)
from schema.base import json_values
from schema.claims import Claimed, Claiming, NewInteraction
from schema.interaction_list import InteractionFilters, list_interactions
from schema.interaction_rows import COLUMNS, KEYS, Interaction, read_interactions
from schema.page import Page
from schema.session import Session
from schema.timeline import TimelineEntry, read_timeline

__all__ = [
    "Answered",
    "Claimed",
    "Interaction",
    "InteractionFilters",
    "InteractionRepository",
    "NewInteraction",
    "TimelineEntry",
]


@dataclass(frozen=True, slots=True)
class Answered:
    answer: Json
    first: bool
    """False: an answer had been given, and this is it."""


_GET = text(f"SELECT {COLUMNS}, {KEYS} AS keys FROM interactions WHERE organisation = :organisation AND id = :id")
_ANSWER = text(
    """
    UPDATE interactions SET
        status = :status, intent = :intent, confidence = :confidence, outcome = :outcome, reply = :reply,
        answer = :answer, handoff_id = :handoff_id, answered_at = :at,
        finished_at = CASE WHEN :finished THEN CAST(:at AS timestamptz) END
    WHERE organisation = :organisation AND id = :id AND answered_at IS NULL
    """
).bindparams(*json_values("answer"))
_FIRST_ANSWER = text("SELECT answer FROM interactions WHERE organisation = :organisation AND id = :id")
_FINISH = text(
    """
    UPDATE interactions SET status = :status, reply = coalesce(:reply, reply), finished_at = :at
    WHERE organisation = :organisation AND id = :id AND finished_at IS NULL
    """
)
_WAIT = text(
    """
    UPDATE interactions SET status = :status, reply = :reply, handoff_id = coalesce(:handoff_id, handoff_id)
    WHERE organisation = :organisation AND id = :id AND finished_at IS NULL
    """
)
_OPEN = {InteractionStatus.RUNNING, InteractionStatus.WAITING_FOR_CUSTOMER, InteractionStatus.WAITING_FOR_HUMAN}


class InteractionRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, new: NewInteraction) -> Claimed:
        """Take the request id for this body, once, however many ask at the same moment.

        Raises `RequestIdReused` (naming the fields) for another body, `CustomerNotFound`, `ConversationNotFound`;
        then nothing was stored and the request id is still free.
        """
        return await Claiming(self._session).claim(new)

    async def get(self, interaction_id: InteractionId) -> Interaction:
        """The interaction, or `InteractionNotFound`."""
        row = await self._session.first(_GET, id=interaction_id)
        if row is None:
            raise InteractionNotFound("no such interaction")
        return (await read_interactions(self._session, [row]))[0]

    async def answer(
        self,
        interaction_id: InteractionId,
        *,
        status: InteractionStatus,
        intent: Intent,
        confidence: float,
        outcome: Outcome,
        reply: str,
        answer: Json,
        at: datetime,
        handoff_id: HandoffId | None = None,
        ends: bool = False,
    ) -> Answered:
        """Give the answer, once: a repeat changes nothing and returns the first one. `ends`: nothing follows, whatever
        the status says (a shadow run waits for nobody)."""
        given = await self._session.run(
            _ANSWER,
            id=interaction_id,
            status=status,
            intent=intent,
            confidence=confidence,
            outcome=outcome,
            reply=reply,
            answer=answer,
            at=at,
            handoff_id=handoff_id,
            finished=ends or status not in _OPEN,
        )
        if given:
            return Answered(answer, first=True)
        first = await self.read_answer(interaction_id)
        assert first is not None
        return Answered(first, first=False)

    async def read_answer(self, interaction_id: InteractionId) -> Json | None:
        """The first answer, verbatim; None while there is none."""
        row = await self._session.first(_FIRST_ANSWER, id=interaction_id)
        if row is None:
            raise InteractionNotFound("no such interaction")
        answer: Json | None = row.answer
        return answer

    async def finish(
        self, interaction_id: InteractionId, status: InteractionStatus, reply: str | None, at: datetime
    ) -> bool:
        """End it with its last reply (none keeps the one it has). False if it had ended before: nothing changed."""
        return await self._session.run(_FINISH, id=interaction_id, status=status, reply=reply, at=at) == 1

    async def wait(
        self, interaction_id: InteractionId, status: InteractionStatus, reply: str, handoff_id: HandoffId | None = None
    ) -> None:
        """For somebody else than before, after the first answer was given."""
        await self._session.run(_WAIT, id=interaction_id, status=status, reply=reply, handoff_id=handoff_id)

    async def list(
        self, filters: InteractionFilters | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Interaction]:
        """Newest first."""
        return await list_interactions(self._session, filters or InteractionFilters(), limit, cursor)

    async def timeline(self, interaction_id: InteractionId) -> tuple[TimelineEntry, ...]:
        """Everything on record about it, in the order it happened; `InteractionNotFound` if there is no such one."""
        await self.get(interaction_id)
        return await read_timeline(self._session, interaction_id)
