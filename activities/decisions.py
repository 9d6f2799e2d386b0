"""Decide, once, on facts read now; reserve what may run in the same transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime

from temporalio import activity

from activities.failures import durable
from activities.judging import Judging
from domain.approval import approval_digest
from domain.correction import FIRST, CorrectInput, correction_in, stage_of_correction
from domain.decision import Outcome
from domain.errors import ApprovalStale, ReservationRefused
from domain.interaction import AdmitInput, InteractionRef, PlannedEffect, Verdict
from schema.decisions import DecisionRepository
from schema.effects import Approval, EffectRepository, Reservation
from schema.handoffs import Handoff, HandoffRepository
from schema.money import Amount, check_money
from schema.records import load_recorded
from schema.session import Database, Session


class DecisionActivities:
    def __init__(self, db: Database, *, judging: Judging, now: Callable[[], datetime]) -> None:
        self._db = db
        self._judging = judging
        self._now = now

    @activity.defn(name="decisions.judge")
    @durable
    async def judge(self, ref: InteractionRef) -> Verdict:
        """Understand, gather facts, propose, judge; record the decision and reserve its effects: one transaction, once.

        A repeat returns the first record. Without a model all of this is milliseconds, so it is one step.
        """
        async with self._db.transaction(ref.organisation) as session:
            recorded = await load_recorded(session, ref.interaction_id, FIRST)
            if recorded.decision is None:
                return await self._judging.decide(session, ref, recorded.interaction)
            return self._judging.verdict(recorded.decision, await self._judging.standing(session, ref))

    @activity.defn(name="decisions.correct")
    @durable
    async def correct(self, request: CorrectInput) -> Verdict:
        """Judge again what a person corrected, under the same rules and limits; recorded as a stage of its own, once.

        Raises `ApprovalStale` if nobody said so: being told by Temporal is not enough.
        """
        ref, stage = request.interaction, stage_of_correction(request.round)
        async with self._db.transaction(ref.organisation) as session:
            recorded = await load_recorded(session, ref.interaction_id, stage)
            if recorded.decision is not None:
                return self._judging.verdict(recorded.decision, await self._judging.standing(session, ref))
            handoff = await HandoffRepository(session).get(request.handoff_id)
            correction = correction_in(handoff.resolution)
            if handoff.interaction_id != ref.interaction_id or correction is None:
                raise ApprovalStale("a correction is what a person said about this interaction")
            return await self._judging.decide(session, ref, recorded.interaction, stage, correction)

    @activity.defn(name="decisions.admit")
    @durable
    async def admit(self, request: AdmitInput) -> Verdict:
        """Reserve exactly what a person approved; the approval is consumed with it, once. A repeat finds it done.

        No effects in the verdict mean that what was approved is no longer possible.
        """
        ref = request.interaction
        async with self._db.transaction(ref.organisation) as session:
            handoff = await HandoffRepository(session).get(request.handoff_id)
            stage = await self._stage_of(session, handoff)
            recorded = await load_recorded(session, ref.interaction_id, stage)
            decision, decision_id = recorded.decision, recorded.decision_id
            if decision is None or decision_id is None:
                raise ApprovalStale("an approval names a recorded decision")
            effects = await self._judging.standing(session, ref)
            if not effects and await self._judging.is_still_allowed(session, recorded.interaction, stage):
                wanted = self._judging.reservations(recorded.interaction, decision, decision_id, self._now())
                asked = recorded.interaction
                bound = approval_digest(asked.id, asked.customer_id, decision, handoff.expires_at)
                effects = await self._admit(session, wanted, Approval(request.handoff_id, bound))
        verdict = self._judging.verdict(decision, effects)
        return verdict.model_copy(update={"outcome": Outcome.PROCEED})

    async def _stage_of(self, session: Session, handoff: Handoff) -> str:
        """The decision whose actions an approval lets run: the one it was opened on, as last edited."""
        if handoff.stage:
            return handoff.stage
        stage = await DecisionRepository(session).stage_of(handoff.decision_id) if handoff.decision_id else None
        return stage or FIRST

    async def _admit(
        self, session: Session, wanted: Sequence[Reservation], approval: Approval
    ) -> tuple[PlannedEffect, ...]:
        """The ledger uses the approval up only if a person gave it, to exactly this; else `ApprovalStale`."""
        amounts = [Amount(r.money, r.subject) for r in wanted if r.money is not None]
        try:
            if amounts:
                await check_money(session, wanted[0].customer_id, amounts, None, self._now())
        except ReservationRefused:
            return ()
        return self._judging.planned(wanted, await EffectRepository(session).reserve(wanted, approval=approval))
