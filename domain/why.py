"""A decision in words, and every rule that was tried on the way, recomputed from what is on record."""

from collections.abc import Iterator

from domain.decision import Decision, Outcome, Reason
from domain.facts import Facts
from domain.policies import ConditionFailed, Verdict, inputs_of
from domain.policies import invariants as inv
from domain.proposal import Proposal, Source
from domain.revision import Rules
from domain.values import Json, Value

_SAID = {
    Outcome.PROCEED: "The rules let this happen by itself",
    Outcome.ASK_HUMAN: "A person is asked",
    Outcome.REFUSE: "The rules refuse this",
}
_BY = {
    Source.RULES: "rules read it from the message",
    Source.EMBEDDED: "the embedded model read it from the message",
    Source.MODEL: "a language model read it from the message",
    Source.EXTERNAL: "an agent from outside proposed it",
    Source.PERSON: "a person said what was meant",
}


class TriedPack(Value):
    """One set of rules, and what came of each rule in it, in order, until one hit."""

    subject: str
    version: int
    outcome: Outcome
    tried: tuple[Json, ...] = ()


class Why(Value):
    """Everything a decision rests on."""

    prose: str
    """For people. Nothing personal."""
    confidence: float
    thresholds: Json = {}
    """How sure the agent must be, by the risk of what is to be done."""
    rules: tuple[TriedPack, ...] = ()
    reproduced: bool = False
    """The rules in force now, on the facts on record, say exactly this. False: the rules have changed since, or a later
    check (the ledger's limits, who holds the conversation) said more than they do."""


def why(decision: Decision, proposal: Proposal, facts: Facts, rules: Rules) -> Why:
    """The explanation of a recorded decision. The same record gives the same words under the same rules."""
    again = rules.judge(proposal, facts)
    bands = rules.agent.bands
    return Why(
        prose=in_prose(decision, proposal),
        confidence=decision.confidence,
        thresholds={risk.value: least for risk, least in bands.act_from.items()},
        rules=_all_tried(proposal, facts, rules),
        reproduced=again.digest == decision.digest,
    )


def in_prose(decision: Decision, proposal: Proposal) -> str:
    """A few sentences: what was decided, why, who suggested it and how sure that was."""
    first, *further = decision.reasons or (Reason(code="no_reason", rule="none"),)
    sentences = [f"{_SAID[decision.outcome]}: {_sentence(first)}"]
    sentences += [f"Also: {_sentence(reason)}" for reason in further]
    sentences += [f"Facts do not back it: {issue.message or issue.code}." for issue in decision.issues]
    wanted = ", ".join(action.tool for action in proposal.actions) or "no action"
    sure = "" if proposal.source is Source.EXTERNAL else f", {decision.confidence:.0%} sure of what is wanted"
    sentences.append(f"Suggested was {wanted}: {_BY[proposal.source]}{sure}.")
    if proposal.source is Source.EXTERNAL and proposal.actions:
        yes = "has" if proposal.confirmed else "has not"
        sentences.append(f"The customer {yes} confirmed exactly these arguments, as the caller says.")
    return " ".join(sentences)


def _sentence(reason: Reason) -> str:
    words = (reason.message or reason.code.replace("_", " ")).rstrip(".")
    seen = ", ".join(f"{name} = {value}" for name, value in reason.facts.items() if name != "rule")
    version = f" v{reason.version}" if reason.version else ""
    rule = reason.facts.get("rule")
    return f"{words} ({reason.rule}{version}{f', rule {rule}' if rule else ''}{f'; {seen}' if seen else ''})."


def _all_tried(proposal: Proposal, facts: Facts, rules: Rules) -> tuple[TriedPack, ...]:
    try:
        return tuple(_tried(proposal, facts, rules))
    except ConditionFailed:  # beyond what rules may look at: none was tried, and a person was asked
        return ()


def _tried(proposal: Proposal, facts: Facts, rules: Rules) -> Iterator[TriedPack]:
    """The packs that judge these calls and this proposal, as `domain.judgement` consults them."""
    parsed = [
        a for a in (inv.parse(action, rules.tools) for action in proposal.actions) if isinstance(a, inv.ParsedAction)
    ]
    inputs = inputs_of(
        proposal,
        facts,
        actions=[action.tool.name for action in parsed],
        consequences=sum(action.tool.has_consequences for action in parsed),
        amount=sum(action.money.amount for action in parsed if action.money),
    )
    for action in parsed:
        seen = inputs.for_action(action.tool.name, action.visible, action.invoice(facts), facts)
        yield from (_shown(rules.book.evaluate(subject, seen)) for subject in rules.book.for_tool(action.tool.name))
    yield from (_shown(rules.book.evaluate(subject, inputs)) for subject in rules.book.for_proposals())


def _shown(verdict: Verdict) -> TriedPack:
    tried = tuple({"rule": one.rule, "result": one.result.value} for one in verdict.trace)
    return TriedPack(subject=verdict.subject, version=verdict.version, outcome=verdict.outcome, tried=tried)
