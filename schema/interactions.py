"""Interactions: one row per request of a customer, claimed once, answered once, kept for ever."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.decision import Outcome
from domain.errors import ConversationNotFound, CustomerNotFound, InteractionNotFound, RequestIdReused
from domain.interaction import InteractionStatus
from domain.values import (
    HandoffId,
    Intent,
    InteractionId,
    Json,
)
from schema.base import json_values
from schema.interaction_list import InteractionFilters, list_interactions
from schema.interaction_rows import COLUMNS, Interaction, NewInteraction, read_interaction
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
class Claimed:
    interaction: Interaction
    created: bool
    """False: this request was here before, with the same body."""


@dataclass(frozen=True, slots=True)
class Answered:
    answer: Json
    first: bool
    """False: an answer had been given, and this is it."""


_CLAIM = text(
    f"""
    INSERT INTO interactions (organisation, id, customer_id, request_id, conversation_id, channel, mode, message,
                              fingerprint, body_fields, workflow_id, status, created_at, proposal, blocked_by,
                              assurance)
    SELECT c.organisation, :id, c.id, :request_id, coalesce(v.id, c.conversation_id), :channel, :mode, :message,
           :fingerprint, :body_fields, CAST(:workflow_id AS varchar), 'running', :created_at,
           CAST(:proposal AS jsonb),
           (SELECT 'restored' FROM lost_requests l
            WHERE l.organisation = :organisation AND l.workflow_id = CAST(:workflow_id AS varchar) AND l.acted),
           CASE WHEN CAST(:sender AS varchar) IS NULL THEN :assurance
                WHEN EXISTS (SELECT FROM customer_channels h
                    WHERE h.organisation = :organisation AND h.customer_id = :customer_id
                        AND h.address_hash = :sender AND h.verified_at IS NOT NULL) THEN 'channel'
                ELSE 'none' END
    FROM customers c LEFT JOIN conversations v
        ON v.organisation = c.organisation AND v.customer_id = c.id AND v.id = :conversation_id
    WHERE c.organisation = :organisation AND c.id = :customer_id
        AND (CAST(:conversation_id AS varchar) IS NULL OR v.id IS NOT NULL)
    ON CONFLICT (organisation, customer_id, request_id) DO NOTHING
    RETURNING {COLUMNS}
    """
).bindparams(*json_values("body_fields"))
_CLAIMED_BEFORE = text(
    f"""
    SELECT {COLUMNS}, fingerprint, body_fields FROM interactions
    WHERE organisation = :organisation AND customer_id = :customer_id AND request_id = :request_id
    """
)
_CUSTOMER_EXISTS = text("SELECT 1 FROM customers WHERE organisation = :organisation AND id = :customer_id")
_GET = text(f"SELECT {COLUMNS} FROM interactions WHERE organisation = :organisation AND id = :id")
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
        if new.organisation != self._session.organisation:
            raise ValueError("an interaction is claimed in its own organisation's transaction")
        row = await self._session.first(
            _CLAIM,
            id=new.id,
            customer_id=new.customer_id,
            request_id=new.request_id,
            conversation_id=new.conversation_id,
            channel=new.channel,
            mode=new.mode,
            message=new.message,
            fingerprint=new.fingerprint,
            body_fields=new.body_fields,
            workflow_id=new.workflow_id,
            created_at=new.created_at,
            assurance=new.assurance,
            sender=new.sender,
            proposal=None if new.proposal is None else new.proposal.model_dump_json(),
        )
        if row is not None:
            return Claimed(read_interaction(row), created=True)
        return Claimed(await self._claimed_before(new), created=False)

    async def _claimed_before(self, new: NewInteraction) -> Interaction:
        row = await self._session.first(_CLAIMED_BEFORE, customer_id=new.customer_id, request_id=new.request_id)
        if row is None:
            if await self._session.first(_CUSTOMER_EXISTS, customer_id=new.customer_id):
                raise ConversationNotFound("this customer has no such conversation")
            raise CustomerNotFound("no such customer")
        if row.fingerprint != new.fingerprint:
            raise RequestIdReused(
                "this request id was used for another body", fields=_differing(row.body_fields, new.body_fields)
            )
        return read_interaction(row)

    async def get(self, interaction_id: InteractionId) -> Interaction:
        """The interaction, or `InteractionNotFound`."""
        row = await self._session.first(_GET, id=interaction_id)
        if row is None:
            raise InteractionNotFound("no such interaction")
        return read_interaction(row)

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


def _differing(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)) or ["body"]
