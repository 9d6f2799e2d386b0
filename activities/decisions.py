"""Decide, once, on facts read now; reserve what may run in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from temporalio import activity

from activities.conversations import in_its_conversation
from activities.failures import durable
from activities.record import planned, reservation
from domain.agents.agent import AgentSpec
from domain.approval import approval_digest
from domain.conversation import is_passed_on
from domain.correction import FIRST, CorrectInput, Correction, corrected, correction_in, stage_of_correction
from domain.decision import Decision, Issue, Outcome, Reason, asking
from domain.errors import ApprovalStale, ReservationRefused
from domain.facts import Facts, IdentityFacts
from domain.handoff import HandoffKind
from domain.identity import asks_for_proof, held_back, only_as_asked
from domain.interaction import AdmitInput, InteractionRef, PlannedEffect, Verdict
from domain.judgement import judge
from domain.policies import PolicyBook
from domain.ports import IntentModel
from domain.proposal import Proposal, ProposedAction, Understanding
from domain.tools.handoff_to_human import handoff_to_human
from domain.tools.tool import AnyTool
from domain.understanding.understand import understand, understood_somehow
from domain.values import DecisionId, EffectId, Mode
from domain.verification import verify_action
from schema.decisions import DecisionRepository
from schema.effects import Approval, EffectRepository, Reservation, ReservationLimits
from schema.facts import load_facts
from schema.handoffs import Handoff, HandoffRepository
from schema.interactions import Interaction
from schema.money import Amount, check_money
from schema.records import load_recorded
from schema.session import Database, Session


class DecisionActivities:
    def __init__(
        self,
        db: Database,
        *,
        intents: IntentModel,
        book: PolicyBook,
        agent: AgentSpec,
        tools: Mapping[str, AnyTool],
        now: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._intents = intents
        self._book = book
        self._agent = agent
        self._tools = tools
        self._now = now
        self._limits = ReservationLimits(
            cumulative=book.parameter("refund", "cumulative_limit"),
            period=timedelta(days=book.parameter("refund", "period_days")),
        )

    @activity.defn(name="decisions.judge")
    @durable
    async def judge(self, ref: InteractionRef) -> Verdict:
        """Understand, gather facts, propose, judge; record the decision and reserve its effects: one transaction, once.

        A repeat returns the first record. Without a model all of this is milliseconds, so it is one step.
        """
        async with self._db.transaction(ref.organisation) as session:
            recorded = await load_recorded(session, ref.interaction_id, FIRST)
            if recorded.decision is None:
                return await self.decide(session, ref, recorded.interaction)
            return self.verdict(recorded.decision, await self.standing(session, ref))

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
                return self.verdict(recorded.decision, await self.standing(session, ref))
            handoff = await HandoffRepository(session).get(request.handoff_id)
            correction = correction_in(handoff.resolution)
            if handoff.interaction_id != ref.interaction_id or correction is None:
                raise ApprovalStale("a correction is what a person said about this interaction")
            return await self.decide(session, ref, recorded.interaction, stage, correction)

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
            effects = await self.standing(session, ref)
            if not effects and await self._is_still_allowed(session, recorded.interaction, stage):
                wanted = self._reservations(recorded.interaction, decision, decision_id, self._now())
                asked = recorded.interaction
                bound = approval_digest(asked.id, asked.customer_id, decision, handoff.expires_at)
                effects = await self._admit(session, wanted, Approval(request.handoff_id, bound))
        verdict = self.verdict(decision, effects)
        return verdict.model_copy(update={"outcome": Outcome.PROCEED})

    async def decide(
        self,
        session: Session,
        ref: InteractionRef,
        interaction: Interaction,
        stage: str = FIRST,
        correction: Correction | None = None,
        proven_for: str | None = None,
    ) -> Verdict:
        """Judge and record, in the caller's transaction. `proven_for`: what the customer gave a code for."""
        proposal, facts, decision = await self._judged(session, interaction, correction, self._now())
        if correction is None:
            decision = await in_its_conversation(session, ref, interaction, decision, facts)
        decision = _as_known(decision, interaction, proven_for)
        live = ref.mode is Mode.LIVE
        if live and decision.outcome is Outcome.PROCEED and await self._refused(session, interaction, decision, facts):
            # Somebody was quicker. Under the lock that refused, no other one can be: judged on what they left.
            proposal, facts, decision = await self._judged(session, interaction, correction, facts.now)
            decision = _as_known(decision, interaction, proven_for)
            if decision.outcome is Outcome.PROCEED:
                refused = await self._refused(session, interaction, decision, facts)
                decision = asking(decision, refused) if refused else decision
        decision_id, decision = await DecisionRepository(session).record_once(
            ref.interaction_id, stage, decision, proposal=proposal, facts=facts, mode=ref.mode, at=facts.now
        )
        effects: tuple[PlannedEffect, ...] = ()
        if live and decision.outcome is Outcome.PROCEED:
            wanted = self._reservations(interaction, decision, decision_id, facts.now)
            effects = self._planned(wanted, await EffectRepository(session).reserve(wanted, limits=self._limits))
        return self.verdict(decision, effects)

    async def _judged(
        self, session: Session, interaction: Interaction, correction: Correction | None, at: datetime
    ) -> tuple[Proposal, Facts, Decision]:
        """What the rules say on the facts of this moment, as of `at`."""
        facts = await load_facts(
            session,
            interaction.customer_id,
            at,
            refund_period=self._limits.period,
            conversation_id=interaction.conversation_id,
            interaction_id=interaction.id,
        )
        facts = facts.model_copy(update={"identity": IdentityFacts(kind=interaction.assurance)})
        proposal = self._agent.propose(self._understand(interaction.message, correction), facts)
        decision = judge(proposal, facts, book=self._book, tools=self._tools, agent=self._agent, verify=self._verify)
        return proposal, facts, decision

    async def _refused(
        self, session: Session, interaction: Interaction, decision: Decision, facts: Facts
    ) -> Reason | None:
        """The rules looked at facts; the ledger looks again, and holds its locks. Why what is to be paid no longer
        fits, or None."""
        amounts = [
            Amount(r.money, r.subject)
            for r in self._reservations(interaction, decision, DecisionId(""), facts.now)
            if r.money is not None
        ]
        try:
            if amounts:
                await check_money(session, interaction.customer_id, amounts, self._limits, facts.now)
        except ReservationRefused as refused:
            return Reason(code=str(refused.details["reason"]), rule="ledger", message=refused.message)
        return None

    async def _stage_of(self, session: Session, handoff: Handoff) -> str:
        """The decision whose actions an approval lets run: the one it was opened on, as last edited."""
        if handoff.stage:
            return handoff.stage
        stage = await DecisionRepository(session).stage_of(handoff.decision_id) if handoff.decision_id else None
        return stage or FIRST

    async def _is_still_allowed(self, session: Session, interaction: Interaction, stage: str) -> bool:
        """Judged again on the facts of now, at the time of the request (how long people took is not the customer's
        fault): what the rules refuse by now, or what facts no longer back, an older yes does not cover."""
        first = await DecisionRepository(session).find(interaction.id, stage)
        if first is None:
            return False
        now = await load_facts(session, interaction.customer_id, self._now(), refund_period=self._limits.period)
        facts = now.model_copy(update={"now": first.facts.now, "identity": IdentityFacts(kind=interaction.assurance)})
        again = judge(first.proposal, facts, book=self._book, tools=self._tools, agent=self._agent, verify=self._verify)
        same_account = facts.account.status is first.facts.account.status
        return (
            same_account and again.outcome is not Outcome.REFUSE and not set(again.issues) - set(first.decision.issues)
        )

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
        return self._planned(wanted, await EffectRepository(session).reserve(wanted, approval=approval))

    async def standing(self, session: Session, ref: InteractionRef) -> tuple[PlannedEffect, ...]:
        standing = await EffectRepository(session).list_for_interaction(ref.interaction_id)
        return planned([s.effect for s in standing], self._tools)

    def _planned(self, wanted: Sequence[Reservation], ids: Sequence[EffectId]) -> tuple[PlannedEffect, ...]:
        return tuple(
            PlannedEffect(
                effect_id=effect_id, tool=r.tool, atomic=self._tools[r.tool].atomic, outlet=self._tools[r.tool].outlet
            )
            for r, effect_id in zip(wanted, ids, strict=True)
        )

    def _reservations(
        self, interaction: Interaction, decision: Decision, decision_id: DecisionId, at: datetime
    ) -> tuple[Reservation, ...]:
        """One per action with consequences, in order. A refused action is never among them."""
        return tuple(
            reservation(self._tools[action.tool], action, interaction, ordinal, decision, decision_id, at)
            for ordinal, action in enumerate(decision.actions)
            if action.outcome is not Outcome.REFUSE and self._has_consequences(action.tool)
        )

    def _has_consequences(self, name: str) -> bool:
        return name in self._tools and name != handoff_to_human.name and self._tools[name].has_consequences

    def _understand(self, message: str, correction: Correction | None) -> Understanding:
        if correction is None:
            return understand(message, self._intents)
        return corrected(understood_somehow(message, self._intents), correction)

    def _verify(self, action: ProposedAction, facts: Facts) -> Sequence[Issue]:
        return verify_action(action, facts, self._tools)

    def verdict(self, decision: Decision, effects: tuple[PlannedEffect, ...]) -> Verdict:
        approvable = any(self._has_consequences(a.tool) and a.outcome is not Outcome.REFUSE for a in decision.actions)
        return Verdict(
            outcome=decision.outcome,
            priority=decision.priority,
            intent=decision.intent,
            confidence=decision.confidence,
            reasons=tuple(reason.code for reason in decision.reasons),
            effects=effects,
            handoff_kind=HandoffKind.APPROVAL if approvable else HandoffKind.TAKEOVER,
            passed_on=is_passed_on(decision),
            asks_for_proof=asks_for_proof(decision),
        )


def _as_known(decision: Decision, interaction: Interaction, proven_for: str | None) -> Decision:
    """The decision for somebody who is known so well as this interaction's customer is."""
    decision = held_back(decision, interaction.assurance)
    return decision if proven_for is None else only_as_asked(decision, proven_for)
