"""An edit of what is proposed: other arguments for the same calls, judged and verified like the first ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.agents.agent import AgentSpec
from domain.agents.support import SUPPORT
from domain.approval import proposed_actions
from domain.decision import Decision, Issue, Outcome, Reason
from domain.errors import HoldfastError, RequestInvalid
from domain.facts import Facts
from domain.judgement import judge
from domain.policies import PolicyBook
from domain.proposal import Proposal, ProposedAction
from domain.tools import TOOLS
from domain.tools.tool import AnyTool
from domain.values import Json, Value
from domain.verification import verify_action


class EditRefused(HoldfastError):
    """These arguments cannot be approved: the rules refuse them, or facts do not back them. `details` has `reasons`
    and `issues`. Nothing changed."""

    code = "edit_refused"


class Change(Value):
    """One field of one action that was edited."""

    action: int
    """Which one, counted from 0."""
    tool: str
    field: str
    """Its name; a dotted path where it lies deeper."""
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Rules:
    """Everything a proposal is judged by."""

    book: PolicyBook
    tools: Mapping[str, AnyTool]
    agent: AgentSpec

    @staticmethod
    def shipped() -> "Rules":
        return Rules(PolicyBook.shipped(), TOOLS, SUPPORT)

    def judge(self, proposal: Proposal, facts: Facts) -> Decision:
        return judge(proposal, facts, book=self.book, tools=self.tools, agent=self.agent, verify=self._verify)

    def _verify(self, action: ProposedAction, facts: Facts) -> Sequence[Issue]:
        return verify_action(action, facts, self.tools)


@dataclass(frozen=True)
class Revised:
    """What is on the table after an edit."""

    proposal: Proposal
    decision: Decision
    changes: tuple[Change, ...]
    """None: it says what was said before."""
    raises: bool
    """More money leaves, or it cannot be compared."""


def revise(
    before: Sequence[Json], edits: Sequence[ProposedAction], proposal: Proposal, facts: Facts, rules: Rules
) -> Revised:
    """The proposal with the arguments of `edits`, action by action. Raises `EditRefused`, or `RequestInvalid` if the
    edits are not about the same calls in the same order."""
    if [str(action["tool"]) for action in before] != [edit.tool for edit in edits]:
        raise RequestInvalid("name every proposed action, in order, with its tool", fields=["arguments"])
    edited = proposal.model_copy(update={"actions": tuple(edits)})
    decision = rules.judge(edited, facts)
    after = proposed_actions(decision)
    if decision.outcome is Outcome.REFUSE or decision.issues or len(after) != len(before):
        raise EditRefused(
            "these arguments cannot be approved", reasons=_said(decision.reasons), issues=_found(decision.issues)
        )
    changes = tuple(
        change
        for number, (old, new) in enumerate(zip(before, after, strict=True))
        for change in _changes(number, new["tool"], old["arguments"], new["arguments"])
    )
    pairs = zip(before, after, strict=True)
    return Revised(edited, decision, changes, any(_raises(rules.tools[n["tool"]], o, n) for o, n in pairs))


def _raises(tool: AnyTool, before: Json, after: Json) -> bool:
    try:
        old, new = tool.money(tool.parse(before["arguments"])), tool.money(tool.parse(after["arguments"]))
    except RequestInvalid:
        return True
    if new is None:
        return False
    return old is None or new.currency != old.currency or new.amount > old.amount


def _changes(number: int, tool: str, before: object, after: object, path: str = "") -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _changes(number, tool, before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif before != after:
        yield Change(action=number, tool=tool, field=path, before=before, after=after)


def _said(reasons: Sequence[Reason]) -> list[Json]:
    return [{"code": r.code, "rule": r.rule, "message": r.message} for r in reasons]


def _found(issues: Sequence[Issue]) -> list[Json]:
    return [{"code": i.code, "check": i.check, "message": i.message} for i in issues]
