"""What the rules say about one interaction, recorded, and reserved in the same transaction: what each step that decides
is made of."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from activities.conversations import in_its_conversation
from activities.record import planned, reservation
from domain.agents.agent import AgentSpec
from domain.conversation import is_passed_on
from domain.correction import FIRST, Correction, corrected
from domain.decision import Decision, Issue, Outcome, Reason, asking
from domain.errors import ReservationRefused
from domain.facts import Facts, IdentityFacts
from domain.handoff import HandoffKind
from domain.identity import asks_for_proof, held_back, only_as_asked
from domain.interaction import InteractionRef, PlannedEffect, Verdict
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
from schema.effects import EffectRepository, Reservation, ReservationLimits
from schema.facts import load_facts
from schema.interactions import Interaction
from schema.money import Amount, check_money
from schema.session import Session


class Judging:
    """The rules in force, the agent whose suggestions they judge, and the ledger they reserve in."""

    def __init__(
        self,
        *,
        intents: IntentModel,
        book: PolicyBook,
        agent: AgentSpec,
        tools: Mapping[str, AnyTool],
        now: Callable[[], datetime],
    ) -> None:
        self._intents = intents
        self._book = book
        self._agent = agent
        self._tools = tools
        self._now = now
        self._limits = ReservationLimits(
            cumulative=book.parameter("refund", "cumulative_limit"),
            period=timedelta(days=book.parameter("refund", "period_days")),
        )

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
            wanted = self.reservations(interaction, decision, decision_id, facts.now)
            effects = self.planned(wanted, await EffectRepository(session).reserve(wanted, limits=self._limits))
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
        proposal = self._proposal(interaction, correction, facts)
        decision = judge(proposal, facts, book=self._book, tools=self._tools, agent=self._agent, verify=self._verify)
        return proposal, facts, decision

    async def _refused(
        self, session: Session, interaction: Interaction, decision: Decision, facts: Facts
    ) -> Reason | None:
        """The rules looked at facts; the ledger looks again, and holds its locks. Why what is to be paid no longer
        fits, or None."""
        amounts = [
            Amount(r.money, r.subject)
            for r in self.reservations(interaction, decision, DecisionId(""), facts.now)
            if r.money is not None
        ]
        try:
            if amounts:
                await check_money(session, interaction.customer_id, amounts, self._limits, facts.now)
        except ReservationRefused as refused:
            return Reason(code=str(refused.details["reason"]), rule="ledger", message=refused.message)
        return None

    async def is_still_allowed(self, session: Session, interaction: Interaction, stage: str) -> bool:
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

    async def standing(self, session: Session, ref: InteractionRef) -> tuple[PlannedEffect, ...]:
        standing = await EffectRepository(session).list_for_interaction(ref.interaction_id)
        return planned([s.effect for s in standing], self._tools)

    def planned(self, wanted: Sequence[Reservation], ids: Sequence[EffectId]) -> tuple[PlannedEffect, ...]:
        return tuple(
            PlannedEffect(
                effect_id=effect_id, tool=r.tool, atomic=self._tools[r.tool].atomic, outlet=self._tools[r.tool].outlet
            )
            for r, effect_id in zip(wanted, ids, strict=True)
        )

    def reservations(
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

    def _proposal(self, interaction: Interaction, correction: Correction | None, facts: Facts) -> Proposal:
        """Somebody else's suggestion is judged like our own. What a person corrects is ours again."""
        if interaction.proposal is not None and correction is None:
            return interaction.proposal
        return self._agent.propose(self._understand(interaction.message, correction), facts)

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
