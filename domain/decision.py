"""The decision: what the rules say about a proposal. Every default is *ask a human*."""

from enum import StrEnum

from pydantic import Field

from domain.digest import digest
from domain.values import Intent, Json, Priority, Value


class Outcome(StrEnum):
    """Ordered from loosest to strictest: `strictness` grows."""

    PROCEED = "proceed"
    ASK_HUMAN = "ask_human"
    REFUSE = "refuse"

    @property
    def strictness(self) -> int:
        return list(Outcome).index(self)


class Reason(Value):
    """Why, for people and for machines: one rule that fired."""

    code: str
    """Stable snake_case, e.g. `within_limit`, `over_auto_limit`, `outside_window`."""
    rule: str
    """The pack or invariant it comes from, e.g. `refund`."""
    message: str = ""
    """A sentence for an operator. Contains no personal data."""
    version: int = 0
    """Version of the pack; 0 for an invariant in code."""
    facts: Json = {}
    """The facts the rule looked at, by name. No personal data."""


class Issue(Value):
    """A claim or an argument that facts do not back."""

    code: str
    check: str
    """The verification rule, e.g. `amounts`."""
    message: str = ""


class JudgedAction(Value):
    """One action with its verdict. `digest` binds an approval to exactly this call."""

    tool: str
    arguments: Json = {}
    outcome: Outcome = Outcome.ASK_HUMAN
    digest: str = ""


class Decision(Value):
    """What may happen. `proceed` needs every action to proceed; one refusal refuses all, one doubt asks a person."""

    outcome: Outcome = Outcome.ASK_HUMAN
    priority: Priority = Priority.NORMAL
    intent: Intent = Intent.OTHER
    confidence: float = Field(default=0.0, ge=0.0, le=1.0)
    actions: tuple[JudgedAction, ...] = ()
    reasons: tuple[Reason, ...] = ()
    issues: tuple[Issue, ...] = ()
    """What verification of the actions found. Any issue means it did not proceed."""
    policy_version: int = 0
    digest: str = ""
    """SHA-256 over outcome, actions, reasons and versions: equal facts give equal digests, on every machine."""


def sealed(decision: Decision, **versions: Json) -> Decision:
    """The decision with its digest. `versions` says which rules and which agent were in force, by name.

    Left out are the wording of messages, which decides nothing, and confidence and priority, which are inputs of the
    reasons and of the queue.
    """
    said = {
        "outcome": decision.outcome,
        "actions": [action.model_dump(mode="json") for action in decision.actions],
        "reasons": [reason.model_dump(mode="json", exclude={"message"}) for reason in decision.reasons],
        "issues": [issue.model_dump(mode="json", exclude={"message"}) for issue in decision.issues],
        "policyVersion": decision.policy_version,
        "versions": versions,
    }
    return decision.model_copy(update={"digest": digest(said)})


def asking(decision: Decision, reason: Reason) -> Decision:
    """The decision after a later check said no to what was to proceed (a limit reached meanwhile, say): a person is
    asked, for `reason` first, and nothing in it proceeds. A decision that did not proceed stays as it is."""
    if decision.outcome is not Outcome.PROCEED:
        return decision
    held = tuple(action.model_copy(update={"outcome": Outcome.ASK_HUMAN}) for action in decision.actions)
    changes = {"outcome": Outcome.ASK_HUMAN, "actions": held, "reasons": (reason, *decision.reasons)}
    return sealed(decision.model_copy(update=changes), before={"digest": decision.digest})
