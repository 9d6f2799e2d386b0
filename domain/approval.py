"""What makes an approval: what exactly a yes is bound to, whose yes counts, how many it takes, and until when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import Field, StrictInt, StringConstraints, ValidationError, model_validator

from domain.decision import Decision, Outcome
from domain.digest import digest
from domain.errors import HoldfastError, RequestInvalid
from domain.handoff import OnExpiry
from domain.policies import PolicyInvalid
from domain.policies.pack import Name, Strict
from domain.tools.tool import AnyTool
from domain.values import CustomerId, InteractionId, Json, Money

ADMIN = "admin"
"""The scope that holds every other one."""
MAX_TEXT = 20_000
_Span = Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=366))]


class NotAnApprover(HoldfastError):
    """This person's yes does not count here. `details["reason"]`: `not_named`, or `self_approval`."""

    code = "not_an_approver"


@dataclass(frozen=True)
class Approver:
    """A person, by the name decisions are recorded under: two keys, two scopes or two links are still one person."""

    name: str
    scopes: frozenset[str]
    owner: str | None = None
    """The operator behind the name, where it is a key's."""

    @property
    def person(self) -> str:
        """What a quorum counts: an operator and the keys they hold are one."""
        return self.owner or self.name


class Among(Strict):
    """Whose yes counts: everybody with a scope, or the named ones."""

    scope: Literal["operator", "admin"] | None = None
    names: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> "Among":
        if (self.scope is None) == (not self.names):
            raise ValueError("a scope or names, one of the two")
        return self

    def admits(self, person: Approver) -> bool:
        if self.scope is None:
            return person.name in self.names
        return bool(person.scopes & {self.scope, ADMIN})


class Requirement(Strict):
    """How many different people must say yes."""

    id: Name
    need: Annotated[StrictInt, Field(ge=1, le=10)]
    among: Among

    @model_validator(mode="after")
    def _can_be_met(self) -> "Requirement":
        if self.among.names and self.need > len(set(self.among.names)):
            raise ValueError("more people are needed than are named")
        return self

    def is_met(self, given: Iterable[Approver]) -> bool:
        """One person counts once."""
        return len({given_by.person for given_by in given if self.among.admits(given_by)}) >= self.need


class ApprovalRule(Requirement):
    tools: tuple[Name, ...] = ()
    """The tools whose calls it is about; none: every call."""
    above: Annotated[StrictInt, Field(ge=0, le=2**53)] | None = None
    """Only if the calls move more than so many minor units together: splitting an amount does not avoid it."""

    def fits(self, tool: str, amount: int) -> bool:
        return (not self.tools or tool in self.tools) and (self.above is None or amount > self.above)


class ApprovalPolicy(Strict):
    """Who approves what, as data."""

    version: Annotated[StrictInt, Field(ge=1)]
    expires_in: _Span
    on_expiry: OnExpiry = OnExpiry.TAKEOVER
    link_expires_in: _Span
    step_up_above: Annotated[StrictInt, Field(ge=0, le=2**53)] | None = None
    """Who signed in with a password gives it again before a yes to calls that move more minor units together; None:
    never."""
    rules: Annotated[tuple[ApprovalRule, ...], Field(max_length=100)] = ()
    default: Requirement

    @staticmethod
    def shipped() -> "ApprovalPolicy":
        """The one in `domain/approval.yaml`, read once per process."""
        return _shipped()

    def requirements(self, proposed: Sequence[Json], tools: Mapping[str, AnyTool]) -> tuple[Requirement, ...]:
        """What a yes to these calls takes; every one of them must be met. What cannot be read takes the most."""
        amount = _amount(proposed, tools)
        found = {need.id: need for action in proposed if (need := self._of(str(action.get("tool")), amount))}
        return tuple(found.values()) or (self.default,)

    def needs_step_up(self, proposed: Sequence[Json], tools: Mapping[str, AnyTool]) -> bool:
        """Whether a session is too little for a yes to these calls. What cannot be read needs it."""
        return self.step_up_above is not None and _amount(proposed, tools) > self.step_up_above

    def _of(self, tool: str, amount: int) -> Requirement:
        return next((rule for rule in self.rules if rule.fits(tool, amount)), self.default)


def is_enough(requirements: Sequence[Requirement], given: Sequence[Approver]) -> bool:
    return all(requirement.is_met(given) for requirement in requirements)


def check_may_approve(requirements: Sequence[Requirement], person: Approver, raised_by: Iterable[str] = ()) -> None:
    """Raises `NotAnApprover` if no requirement counts this person, or the person asked for more money than was
    proposed: nobody approves that alone."""
    if not any(requirement.among.admits(person) for requirement in requirements):
        raise NotAnApprover("others decide about this", reason="not_named")
    if {person.name, person.person} & set(raised_by):
        raise NotAnApprover("who asked for more does not approve it", reason="self_approval")


def proposed_actions(decision: Decision) -> list[Json]:
    """What an approval would let run, with exact arguments."""
    return [
        {"tool": action.tool, "arguments": action.arguments, "digest": action.digest}
        for action in decision.actions
        if action.outcome is not Outcome.REFUSE
    ]


def approval_digest(
    interaction_id: InteractionId, customer_id: CustomerId, decision: Decision, expires_at: datetime | None
) -> str:
    """What an approval binds: exactly these calls, for this customer, in this interaction, under this policy, until
    then.

    It is computed from the recorded decision when it is shown and again when it is used, never taken on trust.
    """
    bound: Json = {
        "interaction": interaction_id,
        "customer": customer_id,
        "policyVersion": decision.policy_version,
        "actions": proposed_actions(decision),
    }
    if expires_at is not None:
        bound["expiresAt"] = expires_at.astimezone(UTC).isoformat()
    return digest(bound)


def read_approval_policy(text: str) -> ApprovalPolicy:
    """The policy written in `text` as YAML. Raises `PolicyInvalid`, naming the first wrong field."""
    if len(text) > MAX_TEXT:
        raise PolicyInvalid(f"an approval policy has at most {MAX_TEXT} characters")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise PolicyInvalid("an approval policy has no YAML aliases")
        return ApprovalPolicy.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise PolicyInvalid("the approval policy is not YAML") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "policy"
        raise PolicyInvalid(f"{where}: {first['msg']}") from error


def _amount(proposed: Sequence[Json], tools: Mapping[str, AnyTool]) -> int:
    try:
        return sum(money.amount for action in proposed if (money := _money(action, tools)))
    except (KeyError, RequestInvalid):
        return 2**63


def _money(action: Json, tools: Mapping[str, AnyTool]) -> Money | None:
    tool = tools[action["tool"]]
    return tool.money(tool.parse(action["arguments"]))


@lru_cache(maxsize=1)
def _shipped() -> ApprovalPolicy:
    return read_approval_policy((resources.files("domain") / "approval.yaml").read_text(encoding="utf-8"))
