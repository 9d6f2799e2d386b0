"""From a proposal to a decision. Pure and total: the same facts give the same decision, and no failure gives a yes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.agents.agent import AgentSpec, Grant
from domain.confidence import Band, certainty
from domain.decision import Decision, Issue, JudgedAction, Outcome, sealed
from domain.digest import action_digest
from domain.facts import Facts
from domain.policies import Inputs, PolicyBook, Ruling, Verdict, inputs_of
from domain.policies import invariants as inv
from domain.policies.book import CAUTIOUS
from domain.policies.verdict import POLICY_ERROR, reasons_for, strictest
from domain.proposal import Proposal, ProposedAction, Source
from domain.tools.tool import AnyTool, Risk
from domain.values import Intent, Priority

Verify = Callable[[ProposedAction, Facts], Sequence[Issue]]
"""Finds what facts do not back in one action: `domain.verification.verify_action` with its tools."""
_RISKS = list(Risk)


def judge(
    proposal: Proposal,
    facts: Facts,
    *,
    book: PolicyBook,
    tools: Mapping[str, AnyTool],
    agent: AgentSpec,
    verify: Verify,
) -> Decision:
    """What may happen of `proposal`.

    Invariants, the packs of each tool and intent, verification, confidence, escalation and rates are composed by
    strictness. One refusal refuses all; one doubt asks a person; a wish for a person always reaches one, without the
    actions that were refused. Nothing in a decision is looser than the decision. Any exception asks a person.
    """
    try:
        return _Case(proposal, facts, book, tools, agent, verify).decide()
    except Exception:
        # Whatever went wrong, rules did not say yes. The cause is not told: its text could be personal.
        return _undecided(proposal)


@dataclass
class _Judged:
    """One action on its way to a verdict."""

    proposed: ProposedAction
    parsed: inv.ParsedAction | None
    rulings: list[Ruling] = field(default_factory=list)
    issues: tuple[Issue, ...] = ()


@dataclass
class _Case:
    proposal: Proposal
    facts: Facts
    book: PolicyBook
    tools: Mapping[str, AnyTool]
    agent: AgentSpec
    verify: Verify
    consulted: dict[str, Verdict] = field(default_factory=dict)

    def decide(self) -> Decision:
        if len(self.proposal.actions) > inv.MAX_ACTIONS:
            return self._seal([], [inv.ruled(Outcome.REFUSE, "too_many_actions")], Priority.NORMAL)
        judged = [self._read(action) for action in self.proposal.actions]
        parsed = [action.parsed for action in judged if action.parsed]
        amount = sum(action.money.amount for action in parsed if action.money)
        consequences = sum(action.tool.has_consequences for action in parsed)
        names = [action.tool.name for action in parsed]
        inputs = inputs_of(self.proposal, self.facts, actions=names, consequences=consequences, amount=amount)
        for action in judged:
            self._rule_on(action, inputs)
        limits = self.agent.limits
        whole = [
            *self._unanswered(inputs),
            *self._confidence(parsed, amount),
            *inv.check_payments(parsed),
            *inv.check_rate(consequences, self.facts.history, limits.per_minute, limits.per_hour),
            *(ruling for subject in self.book.for_proposals() for ruling in self._consult(subject, inputs)),
        ]
        if consequences == 0:
            whole.append(inv.ruled(Outcome.PROCEED, "no_consequences"))
        priority, verdicts = self.book.priority(inputs)
        whole.extend(ruling for verdict in verdicts for ruling in verdict.rulings)
        return self._seal(judged, whole, priority)

    def _read(self, action: ProposedAction) -> _Judged:
        parsed = inv.parse(action, self.tools)
        return _Judged(action, None, [parsed]) if isinstance(parsed, Ruling) else _Judged(action, parsed)

    def _rule_on(self, judged: _Judged, inputs: Inputs) -> None:
        if judged.parsed is None:
            return
        try:
            self._rule_on_call(judged, judged.parsed, inputs)
        except Exception:
            judged.rulings.append(inv.ruled(Outcome.ASK_HUMAN, POLICY_ERROR, tool=judged.parsed.tool.name))

    def _rule_on_call(self, judged: _Judged, action: inv.ParsedAction, inputs: Inputs) -> None:
        grant = self._grant()
        forbidden = inv.check_grant(action, grant.read, grant.write)
        if forbidden:
            judged.rulings.extend(forbidden)
            return
        subjects = self.book.for_tool(action.tool.name)
        seen = inputs.for_action(action.tool.name, action.visible, action.invoice(self.facts), self.facts)
        said = [ruling for subject in subjects for ruling in self._consult(subject, seen)]
        judged.rulings.extend(said)
        if strictest(said) is Outcome.REFUSE:
            return  # The answer is no, and why is said: whether the arguments are backed no longer matters.
        source, confirmed = self.proposal.source, self.proposal.confirmed
        judged.rulings.extend(inv.check_confirmation(action, source, confirmed, self.agent.confirm))
        judged.rulings.extend(inv.check_money(action, self.facts, governed=bool(said)))
        judged.rulings.append(inv.ruled(Outcome.PROCEED, "tool_allowed", tool=action.tool.name))
        judged.issues = tuple(self.verify(judged.proposed, self.facts))
        if judged.issues:
            checks = sorted({issue.check for issue in judged.issues})
            judged.rulings.append(inv.ruled(Outcome.ASK_HUMAN, "verification_failed", checks=checks))

    def _grant(self) -> Grant:
        named_by_actions = self.proposal.source is Source.EXTERNAL and self.proposal.intent is Intent.OTHER
        return self.agent.granted_at_all() if named_by_actions else self.agent.granted(self.proposal.intent)

    def _unanswered(self, inputs: Inputs) -> list[Ruling]:
        """A request of a governed kind for which none of the governed tools was proposed is judged all the same."""
        proposed = {action.tool for action in self.proposal.actions}
        packs = [p for p in self.book.for_intent(self.proposal.intent) if not proposed & set(p.tools)]
        return [ruling for pack in packs for ruling in self._consult(pack.subject, inputs)]

    def _confidence(self, parsed: Sequence[inv.ParsedAction], amount: int) -> list[Ruling]:
        """An explicit yes to exactly these arguments stands for certainty about what is wanted. It raises no limit."""
        if self.proposal.source is Source.EXTERNAL and self.proposal.confirmed:
            return []
        risk = max((action.tool.risk for action in parsed), key=_RISKS.index, default=Risk.LOW)
        if self.agent.bands.band(self.proposal.confidence, risk, amount) is Band.ACT:
            return []
        seen = {"confidence": certainty(self.proposal.confidence), "risk": risk.value}
        return [inv.ruled(Outcome.ASK_HUMAN, "low_confidence", **seen)]

    def _consult(self, subject: str, inputs: Inputs) -> tuple[Ruling, ...]:
        verdict = self.book.evaluate(subject, inputs)
        self.consulted[subject] = verdict
        return verdict.rulings

    def _seal(self, judged: Sequence[_Judged], whole: Sequence[Ruling], priority: Priority) -> Decision:
        wants_human = self.proposal.wants_human
        asked = [inv.ruled(Outcome.ASK_HUMAN, "customer_asked_for_human")] if wants_human else []
        rulings = [*asked, *(ruling for action in judged for ruling in action.rulings), *whole]
        outcome = Outcome.ASK_HUMAN if wants_human else strictest(rulings)
        reasons = reasons_for(outcome, rulings)
        version = reasons[0].version or max((v.version for v in self.consulted.values()), default=self.book.version)
        kept = [a for a in judged if not (wants_human and strictest(a.rulings) is Outcome.REFUSE)]
        decision = Decision(
            outcome=outcome,
            priority=priority,
            intent=self.proposal.intent,
            confidence=certainty(self.proposal.confidence),
            actions=tuple(self._action(action, outcome, version) for action in kept),
            reasons=reasons,
            issues=tuple(issue for action in judged for issue in action.issues),
            policy_version=version,
        )
        packs = {subject: verdict.pack_hash for subject, verdict in self.consulted.items()}
        return sealed(decision, packs=packs, agent={"name": self.agent.name, "version": self.agent.version})

    def _action(self, judged: _Judged, outcome: Outcome, version: int) -> JudgedAction:
        """Bound to customer and version. What is no call of a known tool is recorded without its arguments."""
        tool = judged.parsed.tool.name if judged.parsed else "unknown"
        arguments = judged.parsed.stored if judged.parsed else {}
        name = action_digest(tool, arguments, customer_id=self.facts.account.customer_id, policy_version=version)
        return JudgedAction(tool=tool, arguments=arguments, outcome=outcome, digest=name)


def _undecided(proposal: Proposal) -> Decision:
    return sealed(
        Decision(
            outcome=Outcome.ASK_HUMAN,
            priority=CAUTIOUS,
            intent=proposal.intent,
            confidence=certainty(proposal.confidence),
            reasons=(inv.ruled(Outcome.ASK_HUMAN, POLICY_ERROR).reason,),
        )
    )
