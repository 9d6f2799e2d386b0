"""What a policy pack is: rules as data, versioned, readable by people who do not program."""

from enum import StrEnum
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, StrictInt, StringConstraints, ValidationError, model_validator

from domain.decision import Outcome
from domain.digest import digest
from domain.policies.cel import Parameter, PolicyInvalid
from domain.values import Intent, Priority, Value

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Limit = Annotated[StrictInt, Field(ge=0, le=2**53)] | Annotated[str, StringConstraints(max_length=64)] | tuple[str, ...]

MAX_RULES = 100
MAX_PACK_CHARACTERS = 100_000


class Strict(Value):
    """A pack is written by hand: an unknown key is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid")


class Hit(StrEnum):
    """Which rules count."""

    FIRST = "first"
    """The first whose condition is true, in the order written. For verdicts that exclude each other."""
    ALL = "all"
    """Every one whose condition is true; the strictest outcome (or highest priority) wins."""


class Then(Strict):
    """What a rule says: an outcome with its code, or a priority."""

    outcome: Outcome | None = None
    priority: Priority | None = None
    code: Name | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Then":
        if (self.outcome is None) == (self.priority is None):
            raise ValueError("a rule gives an outcome or a priority, one of the two")
        if self.outcome not in (None, Outcome.PROCEED) and self.code is None:
            raise ValueError("what does not proceed needs a code")
        return self


class Rule(Strict):
    id: Name
    when: str
    """A condition in CEL over the variables of `docs/how-to/add-a-policy.md`."""
    then: Then
    reason: str = Field(default="", max_length=500)
    """A sentence for an operator. Contains no personal data."""


class PolicyPack(Strict):
    """All rules about one subject. `default` holds when no rule does; unless written otherwise it asks a human."""

    subject: Name
    version: Annotated[StrictInt, Field(ge=1)]
    summary: str = Field(default="", max_length=500)
    tools: tuple[Name, ...] = ()
    """The tools whose every call this pack judges. A pack with neither tools nor intents judges whole proposals."""
    intents: tuple[Intent, ...] = ()
    """Requests that are judged by this pack (with `action == null`) when none of its tools is proposed."""
    parameters: dict[Name, Limit] = {}
    """Named limits, visible to the rules as `limits.<name>`."""
    hit: Hit = Hit.FIRST
    rules: tuple[Rule, ...] = Field(default=(), max_length=MAX_RULES)
    default: Then = Then(outcome=Outcome.ASK_HUMAN, code="no_rule_matched")

    @model_validator(mode="after")
    def _of_one_kind(self) -> "PolicyPack":
        ids = [rule.id for rule in self.rules]
        if len(ids) != len(set(ids)):
            raise ValueError("two rules have the same id")
        if len({then.outcome is None for then in (self.default, *(rule.then for rule in self.rules))}) > 1:
            raise ValueError("a pack gives outcomes or priorities, not both")
        return self

    @property
    def gives_priority(self) -> bool:
        return self.default.priority is not None

    @property
    def hash(self) -> str:
        """SHA-256 of everything the pack says: equal hashes judge equally."""
        return digest(self.model_dump(mode="json"))

    def parameter(self, name: str) -> Parameter:
        if name not in self.parameters:
            raise PolicyInvalid(f"the pack {self.subject} has no parameter {name!r}")
        return self.parameters[name]


def pack_of(data: Any) -> PolicyPack:
    """The pack in `data` (an object as YAML or JSON gives it). Raises `PolicyInvalid` naming the first wrong field."""
    try:
        return PolicyPack.model_validate(data)
    except (ValidationError, RecursionError) as error:
        first = error.errors(include_input=False)[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in first["loc"]) if first else "pack"
        raise PolicyInvalid(f"{where or 'pack'}: {first['msg'] if first else 'nested too deeply'}") from error


def read_pack(text: str) -> PolicyPack:
    """The pack written in `text` as YAML. Raises `PolicyInvalid`."""
    if len(text) > MAX_PACK_CHARACTERS:
        raise PolicyInvalid(f"a pack has at most {MAX_PACK_CHARACTERS} characters")
    try:
        # Aliases let a few lines stand for gigabytes; a pack has no use for them.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise PolicyInvalid("a pack has no YAML aliases")
        return pack_of(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PolicyInvalid("the pack is not readable as YAML") from error
