"""What an agent is: what it is for, what it may use, and how sure it must be. All of it data that rules can check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources

from domain.confidence import Bands
from domain.facts import Facts
from domain.proposal import Proposal, Understanding
from domain.values import Intent


@dataclass(frozen=True)
class Grant:
    """Tools by name. What is in `read` may not have consequences, whatever the tool is called."""

    read: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()

    def __or__(self, other: "Grant") -> "Grant":
        return Grant(self.read | other.read, self.write | other.write)


@dataclass(frozen=True)
class ActionLimits:
    """How many actions with consequences one customer may see before a person looks. A pack can be stricter."""

    per_minute: int = 10
    per_hour: int = 50


@dataclass(frozen=True)
class AgentSpec:
    """An automated agent. It only proposes; `domain.judgement` decides within what is written here."""

    name: str
    version: int
    purpose: str
    propose: Callable[[Understanding, Facts], Proposal]
    """Deterministic rules from what was understood to what is suggested. Always available, with or without a model."""
    always: Grant = Grant()
    """Granted whatever the intent is."""
    grants: Mapping[Intent, Grant] = field(default_factory=dict)
    """Granted for an intent; an intent that is not listed gets nothing but `always`."""
    confirm: frozenset[str] = frozenset()
    """Tools that need the customer's yes to exactly these arguments."""
    bands: Bands = field(default_factory=Bands)
    limits: ActionLimits = ActionLimits()

    def granted(self, intent: Intent) -> Grant:
        """What may be used for `intent`."""
        return self.always | self.grants.get(intent, Grant())

    def granted_at_all(self) -> Grant:
        """What may be used for some intent: the bound for proposals that name actions instead of an intent."""
        everything = self.always
        for grant in self.grants.values():
            everything = everything | grant
        return everything

    def prompt(self) -> str:
        """The instructions a language model gets when one proposes in this agent's name."""
        file = resources.files("domain.agents") / "prompts" / f"{self.name}.v{self.version}.md"
        return file.read_text(encoding="utf-8")
