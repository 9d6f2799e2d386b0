"""Decide, once, on facts read now; reserve what may run in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from temporalio import activity

from activities.failures import durable
from activities.record import FIRST, approval_digest, planned, proposed_actions
from domain.agents.agent import AgentSpec
from domain.agents.support import propose
from domain.decision import Decision, Issue, JudgedAction, Outcome, Reason, asking
from domain.errors import ApprovalStale, ReservationRefused
from domain.facts import Facts
from domain.handoff import HandoffKind
from domain.interaction import AdmitInput, InteractionRef, PlannedEffect, Verdict
from domain.judgement import judge
from domain.policies import PolicyBook
from domain.ports import Failpoints, IntentModel
from domain.proposal import ProposedAction
from domain.tools.handoff_to_human import handoff_to_human
from domain.tools.tool import AnyTool
from domain.understanding.understand import understand
from domain.values import DecisionId, EffectId, Mode
from domain.verification import verify_action
from schema.decisions import DecisionRepository
from schema.effects import Approval, EffectRepository, Reservation, ReservationLimits
from schema.facts import load_facts
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
        failpoints: Failpoints,
    ) -> None:
        self._db = db
        self._intents = intents
        self._book = book
        self._agent = agent
        self._tools = tools
        self._now = now
        self._failpoints = failpoints
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
                return await self._decide(session, ref, recorded.interaction)
            return self._verdict(recorded.decision, await self._standing(session, ref))

    @activity.defn(name="decisions.admit")
    @durable
    async def admit(self, request: AdmitInput) -> Verdict:
        """Reserve exactly what a person approved; the approval is consumed with it, once. A repeat finds it done.

        No effects in the verdict mean that what was approved is no longer possible.
        """
        ref = request.interaction
        async with self._db.transaction(ref.organisation) as session:
            recorded = await load_recorded(session, ref.interaction_id, FIRST)
            decision, decision_id = recorded.decision, recorded.decision_id
            if decision is None or decision_id is None:
                raise ApprovalStale("an approval names a recorded decision")
            effects = await self._standing(session, ref)
            if not effects and await self._is_still_allowed(session, recorded.interaction):
                wanted = self._reservations(recorded.interaction, decision, decision_id, self._now())
                bound = approval_digest(recorded.interaction, decision, proposed_actions(decision))
                effects = await self._admit(session, wanted, Approval(request.handoff_id, bound))
        verdict = self._verdict(decision, effects)
        return verdict.model_copy(update={"outcome": Outcome.PROCEED})

    async def _decide(self, session: Session, ref: InteractionRef, interaction: Interaction) -> Verdict:
        facts = await load_facts(session, interaction.customer_id, self._now(), refund_period=self._limits.period)
        proposal = propose(understand(interaction.message, self._intents), facts)
        decision = judge(proposal, facts, book=self._book, tools=self._tools, agent=self._agent, verify=self._verify)
        live = ref.mode is Mode.LIVE
        if live and decision.outcome is Outcome.PROCEED:
            decision = await self._unless_over_limit(session, interaction, decision, facts.now)
        decision_id, decision = await DecisionRepository(session).record_once(
            ref.interaction_id, FIRST, decision, proposal=proposal, facts=facts, mode=ref.mode, at=facts.now
        )
        effects: tuple[PlannedEffect, ...] = ()
        if live and decision.outcome is Outcome.PROCEED:
            wanted = self._reservations(interaction, decision, decision_id, facts.now)
            effects = self._planned(wanted, await EffectRepository(session).reserve(wanted, limits=self._limits))
        return self._verdict(decision, effects)

    async def _unless_over_limit(
        self, session: Session, interaction: Interaction, decision: Decision, at: datetime
    ) -> Decision:
        """The rules looked at facts; the ledger looks again under its lock. What no longer fits asks a person."""
        amounts = [
            Amount(r.money, r.subject)
            for r in self._reservations(interaction, decision, DecisionId(""), at)
            if r.money is not None
        ]
        if not amounts:
            return decision
        try:
            await check_money(session, interaction.customer_id, amounts, self._limits, at)
        except ReservationRefused as refused:
            reason = Reason(code=str(refused.details["reason"]), rule="ledger", message=refused.message)
            return asking(decision, reason)
        return decision

    async def _is_still_allowed(self, session: Session, interaction: Interaction) -> bool:
        """Judged again on the facts of now, at the time of the request (how long people took is not the customer's
        fault): what the rules refuse by now, or what facts no longer back, an older yes does not cover."""
        first = await DecisionRepository(session).find(interaction.id, FIRST)
        if first is None:
            return False
        now = await load_facts(session, interaction.customer_id, self._now(), refund_period=self._limits.period)
        facts = now.model_copy(update={"now": first.facts.now})
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

    async def _standing(self, session: Session, ref: InteractionRef) -> tuple[PlannedEffect, ...]:
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

    def _verify(self, action: ProposedAction, facts: Facts) -> Sequence[Issue]:
        return verify_action(action, facts, self._tools)

    def _verdict(self, decision: Decision, effects: tuple[PlannedEffect, ...]) -> Verdict:
        approvable = any(self._has_consequences(a.tool) and a.outcome is not Outcome.REFUSE for a in decision.actions)
        return Verdict(
            outcome=decision.outcome,
            priority=decision.priority,
            intent=decision.intent,
            confidence=decision.confidence,
            reasons=tuple(reason.code for reason in decision.reasons),
            effects=effects,
            handoff_kind=HandoffKind.APPROVAL if approvable else HandoffKind.TAKEOVER,
        )


def reservation(
    tool: AnyTool,
    action: JudgedAction,
    interaction: Interaction,
    ordinal: int,
    decision: Decision,
    decision_id: DecisionId,
    at: datetime,
) -> Reservation:
    """What the ledger must hold of one judged action."""
    arguments = tool.parse(action.arguments)
    return Reservation(
        interaction_id=interaction.id,
        decision_id=decision_id,
        customer_id=interaction.customer_id,
        ordinal=ordinal,
        tool=tool.name,
        effect_class=tool.effect,
        arguments=action.arguments,
        digest=action.digest,
        policy_version=decision.policy_version,
        at=at,
        subject=tool.subject(arguments),
        money=tool.money(arguments),
    )
