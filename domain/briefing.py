"""What an operator reads first: what this is about, what could be answered, how risky it is, and what seems right.

Composed by rules from facts, the recorded decision and the effect ledger; always a suggestion, each part with what it
rests on. References: `fact:<name>`, `reason:<code>`, `issue:<code>`, `effect:<tool>:<state>`, `action:<number>`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.calls import in_words, money_and_subject
from domain.decision import Decision, Outcome
from domain.facts import Facts
from domain.handoff import HandoffDecision, HandoffKind
from domain.interaction import EffectState
from domain.replies import compose_reply, operator_declined_reply
from domain.tools.tool import AnyTool
from domain.values import Intent, Json, Value
from domain.verification import verify_reply
from domain.verification.evidence import DoneAction, Evidence

MANY_ESCALATIONS = 2
"""So many handoffs within a day mean that something is wrong with how this customer is served."""


class RiskLevel(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Said(Value):
    """One part of a briefing."""

    text: str
    evidence: tuple[str, ...] = ()


class RiskSeen(Value):
    level: RiskLevel
    reasons: tuple[str, ...] = ()
    """Codes, the gravest first."""
    evidence: tuple[str, ...] = ()


class Step(StrEnum):
    """What could be done next."""

    APPROVE = "approve"
    CHECK = "check"
    """Look at the reasons before deciding."""
    REJECT = "reject"
    ANSWER = "answer"
    FIND_OUT = "find_out"
    """Find out whether an effect happened, before anything else."""
    DO_BY_HAND = "do_by_hand"


class SuggestedStep(Said):
    step: Step


class ReplyDraft(Said):
    goes_with: HandoffDecision
    """For an approval the no; a yes brings its own, made from what then happened."""


class Briefing(Value):
    """A suggestion, never an instruction. Nothing in the product acts on it."""

    suggestion: bool = True
    by: str = "rules"
    summary: Said
    reply: ReplyDraft | None = None
    """A draft whose every claim is backed; none if no such draft can be made."""
    risk: RiskSeen
    resolution: SuggestedStep


@dataclass(frozen=True)
class Case:
    """Everything a briefing is made from."""

    kind: HandoffKind
    reason: str
    decision: Decision
    facts: Facts
    proposed: Sequence[Json]
    """What is on the table now."""
    done: Sequence[DoneAction]
    tools: Mapping[str, AnyTool]
    people: int = 1
    """How many must say yes."""


def brief(case: Case) -> Briefing:
    """The briefing on a handoff. The same case gives the same words."""
    return Briefing(summary=_summary(case), reply=_reply(case), risk=_risk(case), resolution=_resolution(case))


def _summary(case: Case) -> Said:
    account, intent = case.facts.account, case.decision.intent
    wish = (
        "asks for something we could not name" if intent is Intent.OTHER else f"wants: {intent.value.replace('_', ' ')}"
    )
    who = f"A customer on the {account.plan.value} plan ({account.status.value}) {wish}."
    why = [reason.message for reason in case.decision.reasons[:1] if reason.message]
    calls = [in_words(action, case.tools) for action in case.proposed]
    happened = [f"{action.tool} is {action.effect_state.value}." for action in case.done]
    evidence = ("fact:account.plan", "fact:account.status", *_reasons(case)[:1], *_actions(case), *_effects(case))
    return Said(text=" ".join((who, *why, *calls, *happened)), evidence=evidence)


def _reply(case: Case) -> ReplyDraft | None:
    """What a person could send, if certainty allows any claim at all."""
    states = {action.effect_state for action in case.done}
    if states - {EffectState.CONFIRMED}:
        return None
    goes_with = HandoffDecision.REJECTED if case.kind is HandoffKind.APPROVAL else HandoffDecision.RESOLVED
    if goes_with is HandoffDecision.REJECTED:
        text = operator_declined_reply(case.decision)
    else:
        answered = case.decision.model_copy(update={"outcome": Outcome.PROCEED, "actions": ()})
        text = compose_reply(answered, case.facts, case.done, intent=case.decision.intent, draft=None)
    issues = verify_reply(text, Evidence.of(case.decision, case.facts, case.done, handoff=case.kind))
    evidence = ("fact:account", *_effects(case))
    return None if issues else ReplyDraft(text=text, evidence=evidence, goes_with=goes_with)


def _risk(case: Case) -> RiskSeen:
    found = list(_risks(case))
    level = max((level for level, _, _ in found), key=list(RiskLevel).index, default=RiskLevel.LOW)
    found.sort(key=lambda risk: -list(RiskLevel).index(risk[0]))
    return RiskSeen(
        level=level,
        reasons=tuple(code for _, code, _ in found),
        evidence=tuple(dict.fromkeys(reference for _, _, reference in found)),
    )


def _risks(case: Case) -> Iterator[tuple[RiskLevel, str, str]]:
    high, medium, facts = RiskLevel.HIGH, RiskLevel.MEDIUM, case.facts
    unknown = [name for name in _effects(case) if name.endswith(f":{EffectState.UNKNOWN.value}")]
    yield from ((high, "effect_unknown", name) for name in unknown)
    yield from ((high, "not_backed_by_facts", name) for name in _issues(case))
    if not facts.account.is_active:
        yield high, "account_not_active", "fact:account.status"
    if case.people > 1:
        yield high, "several_people_needed", "action:0"
    moving = [n for n, action in enumerate(case.proposed) if money_and_subject(action, case.tools)[0]]
    yield from ((medium, "moves_money", f"action:{number}") for number in moving)
    if facts.history.escalations_in_period >= MANY_ESCALATIONS:
        yield medium, "repeated_escalations", "fact:history.escalations_in_period"
    if case.reason == "low_confidence":
        yield medium, "unsure_what_is_wanted", "reason:low_confidence"


def _resolution(case: Case) -> SuggestedStep:
    states = {action.effect_state for action in case.done}
    if EffectState.UNKNOWN in states:
        return _step(case, Step.FIND_OUT, "Find out whether it happened before you answer; do not repeat it.")
    if EffectState.FAILED in states:
        return _step(case, Step.DO_BY_HAND, "It did not happen. Do it by hand if it is due, then answer.")
    if case.kind is not HandoffKind.APPROVAL:
        return _step(case, Step.ANSWER, "Answer the customer; the agent has nothing more to do here.")
    if case.decision.issues or not case.facts.account.is_active:
        return _step(case, Step.CHECK, "Check what the rules could not back before you say yes.")
    if _exceeds(case):
        return _step(case, Step.REJECT, "More than what can still be given back: lower the amount, or say no.")
    return _step(case, Step.APPROVE, "The arguments are backed by facts; only the reasons above ask for a person.")


def _step(case: Case, step: Step, text: str) -> SuggestedStep:
    return SuggestedStep(step=step, text=text, evidence=(*_reasons(case), *_issues(case), *_effects(case)))


def _exceeds(case: Case) -> bool:
    for action in case.proposed:
        money, subject = money_and_subject(action, case.tools)
        invoice = case.facts.invoice(subject) if subject else None
        if money is not None and (invoice is None or money.amount > invoice.refundable.amount):
            return True
    return False


def _reasons(case: Case) -> tuple[str, ...]:
    return tuple(f"reason:{reason.code}" for reason in case.decision.reasons) or (f"reason:{case.reason}",)


def _issues(case: Case) -> tuple[str, ...]:
    return tuple(f"issue:{issue.code}" for issue in case.decision.issues)


def _actions(case: Case) -> tuple[str, ...]:
    return tuple(f"action:{number}" for number in range(len(case.proposed)))


def _effects(case: Case) -> tuple[str, ...]:
    return tuple(f"effect:{action.tool}:{action.effect_state.value}" for action in case.done)
