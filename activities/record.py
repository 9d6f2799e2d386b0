"""Everything recorded about one interaction, read in one transaction: what replies and answers are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.answer import Answer, Asked, ShownAction, ShownHandoff, answer_of
from domain.decision import Decision, Issue, Outcome
from domain.digest import digest
from domain.facts import Facts
from domain.interaction import EffectState, InteractionRef, InteractionStatus, PlannedEffect
from domain.tools.tool import AnyTool
from domain.values import DecisionId, Json, Mode
from domain.verification.evidence import DoneAction
from schema.effects import Effect, EffectRepository, EffectStanding
from schema.interactions import Interaction
from schema.records import load_recorded
from schema.session import Session

FIRST = "first"
"""The stage of the decision taken on the message itself."""


@dataclass(frozen=True)
class Record:
    interaction: Interaction
    facts: Facts
    decision_id: DecisionId | None
    decision: Decision | None
    """None when the rules were never reached: something failed before."""
    effects: tuple[EffectStanding, ...]

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
            actions=[shown(action) for action in self.done(tools)],
            reply_issues=issues,
            handoff=handoff,
        )


def shown(action: DoneAction) -> ShownAction:
    """To the outside, an effect under way is a reserved one."""
    state = EffectState.RESERVED if action.effect_state is EffectState.DISPATCHED else action.effect_state
    return ShownAction(tool=action.tool, arguments=action.arguments, effect=state, result=action.result)


def planned(effects: Sequence[Effect], tools: Mapping[str, AnyTool]) -> tuple[PlannedEffect, ...]:
    """How each reserved effect must be carried out."""
    return tuple(
        PlannedEffect(effect_id=e.id, tool=e.tool, atomic=tools[e.tool].atomic, outlet=tools[e.tool].outlet)
        for e in effects
        if e.tool in tools
    )


def proposed_actions(decision: Decision) -> list[Json]:
    """What an approval would let run, with exact arguments."""
    return [
        {"tool": action.tool, "arguments": action.arguments, "digest": action.digest}
        for action in decision.actions
        if action.outcome is not Outcome.REFUSE
    ]


def approval_digest(interaction: Interaction, decision: Decision, proposed: Sequence[Json]) -> str:
    """What an approval binds: exactly these calls, for this customer, in this interaction, under this policy.

    It is computed from the recorded decision when it is shown and again when it is used, never taken on trust.
    """
    return digest(
        {
            "interaction": interaction.id,
            "customer": interaction.customer_id,
            "policyVersion": decision.policy_version,
            "actions": list(proposed),
        }
    )


def status_of(outcome: Outcome) -> InteractionStatus:
    """How an interaction ends that nobody has to look at."""
    return InteractionStatus.REFUSED if outcome is Outcome.REFUSE else InteractionStatus.COMPLETED


async def read_record(session: Session, ref: InteractionRef, now: datetime) -> Record:
    """Raises `InteractionNotFound`. Facts are those of the decision, with the account as it is now."""
    recorded = await load_recorded(session, ref.interaction_id, FIRST)
    return Record(
        interaction=recorded.interaction,
        facts=recorded.facts or Facts(now=now, account=recorded.account),
        decision_id=recorded.decision_id,
        decision=recorded.decision,
        effects=await EffectRepository(session).list_for_interaction(ref.interaction_id),
    )


def _preview(tool: AnyTool, arguments: Json, facts: Facts) -> Json:
    return tool.preview(tool.parse(arguments), facts)
