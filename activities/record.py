"""Everything recorded about one interaction, read in one transaction: what replies and answers are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.answer import Answer, Asked, ShownAction, ShownHandoff, answer_of
from domain.decision import Decision, Issue, JudgedAction, Outcome
from domain.facts import Facts
from domain.interaction import EffectState, InteractionRef, InteractionStatus, PlannedEffect
from domain.tools.tool import AnyTool
from domain.values import DecisionId, Json, Mode
from domain.verification.evidence import DoneAction
from schema.effects import Effect, EffectRepository, EffectStanding, Reservation
from schema.interactions import Interaction
from schema.records import load_recorded
from schema.session import Session


@dataclass(frozen=True)
class Record:
    interaction: Interaction
    facts: Facts
    decision_id: DecisionId | None
    decision: Decision | None
    """None when the rules were never reached: something failed before."""
    effects: tuple[EffectStanding, ...]
    is_listened_to: bool = False
    """Whether other systems might want to hear of it."""

    def done(self, tools: Mapping[str, AnyTool]) -> tuple[DoneAction, ...]:
        """What happened, action by action. In shadow: what would have, as previews that count as done."""
        if self.interaction.mode is Mode.SHADOW:
            return tuple(self._previews(tools))
        return tuple(
            DoneAction(tool=s.effect.tool, arguments=s.effect.arguments, effect_state=s.state, result=s.result or {})
            for s in self.effects
        )

    def done_before_the_reply(self, tools: Mapping[str, AnyTool]) -> tuple[DoneAction, ...]:
        """What the reply may speak of: not what carries it."""
        return tuple(action for action in self.done(tools) if not tools[action.tool].outlet)

    def _previews(self, tools: Mapping[str, AnyTool]) -> Sequence[DoneAction]:
        return [
            DoneAction(
                tool=action.tool,
                arguments=action.arguments,
                effect_state=EffectState.PREVIEW,
                result=_preview(tools[action.tool], action.arguments, self.facts),
            )
            for action in (self.decision.actions if self.decision else ())
            if action.outcome is not Outcome.REFUSE and action.tool in tools and tools[action.tool].has_consequences
        ]

    def answer(
        self,
        tools: Mapping[str, AnyTool],
        *,
        status: InteractionStatus,
        reply: str | None,
        issues: Sequence[Issue] = (),
        handoff: ShownHandoff | None = None,
    ) -> Answer:
        """The answer as of now."""
        asked = Asked.model_validate(self.interaction, from_attributes=True)
        return answer_of(
            asked,
            status=status,
            reply=reply,
            decision=self.decision,
            actions=[ShownAction.of(a.tool, a.arguments, a.effect_state, a.result) for a in self.done(tools)],
            reply_issues=issues,
            handoff=handoff,
        )


def planned(effects: Sequence[Effect], tools: Mapping[str, AnyTool]) -> tuple[PlannedEffect, ...]:
    """How each reserved effect must be carried out."""
    return tuple(
        PlannedEffect(effect_id=e.id, tool=e.tool, atomic=tools[e.tool].atomic, outlet=tools[e.tool].outlet)
        for e in effects
        if e.tool in tools
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


def status_of(outcome: Outcome) -> InteractionStatus:
    """How an interaction ends that nobody has to look at."""
    return InteractionStatus.REFUSED if outcome is Outcome.REFUSE else InteractionStatus.COMPLETED


async def read_record(session: Session, ref: InteractionRef, now: datetime) -> Record:
    """Raises `InteractionNotFound`. Facts are those of the decision, with the account as it is now."""
    recorded = await load_recorded(session, ref.interaction_id, None)
    return Record(
        interaction=recorded.interaction,
        facts=recorded.facts or Facts(now=now, account=recorded.account),
        decision_id=recorded.decision_id,
        decision=recorded.decision,
        effects=await EffectRepository(session).list_for_interaction(ref.interaction_id),
        is_listened_to=recorded.is_listened_to,
    )


def _preview(tool: AnyTool, arguments: Json, facts: Facts) -> Json:
    return tool.preview(tool.parse(arguments), facts)
