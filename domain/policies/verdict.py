"""One pack, one look at the inputs, one explanation."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.decision import Outcome, Reason
from domain.policies.cel import Bound, Condition, ConditionFailed, Environment, PolicyInvalid
from domain.policies.inputs import Inputs
from domain.policies.pack import Hit, PolicyPack, Rule, Then
from domain.values import Json, Priority, Value

POLICY_ERROR = "policy_error"
"""The code of a rule that had no answer: a person decides."""
FORMALITIES = frozenset({"tool_allowed", "no_consequences"})
"""Codes of rulings that only say that nothing stood in the way."""
_TOKEN = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


class Result(StrEnum):
    """What came of trying one rule."""

    HIT = "hit"
    MISS = "miss"
    ERROR = "error"


class Tried(Value):
    rule: str
    result: Result


class Ruling(Value):
    """One thing that was ruled, and why."""

    outcome: Outcome = Outcome.ASK_HUMAN
    reason: Reason


class Verdict(Value):
    """What one pack says. Every rule that was tried is in `trace`, in order."""

    subject: str
    version: int = 0
    pack_hash: str = ""
    rulings: tuple[Ruling, ...] = ()
    """Strictest first. Empty when the pack has nothing to say against proceeding, or gives a priority only."""
    priority: Priority | None = None
    trace: tuple[Tried, ...] = ()

    @property
    def outcome(self) -> Outcome:
        return strictest(self.rulings)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return tuple(ruling.reason for ruling in self.rulings)


def strictest(rulings: Sequence[Ruling]) -> Outcome:
    """The strictest of the outcomes; *proceed* where nothing was ruled."""
    return max((ruling.outcome for ruling in rulings), key=lambda o: o.strictness, default=Outcome.PROCEED)


def reasons_for(outcome: Outcome, rulings: Sequence[Ruling]) -> tuple[Reason, ...]:
    """Why `outcome`: what ruled it first, then what else stood in the way, strictest first; each code once. Formalities
    are named only when nothing else was said."""
    against = [ruling for ruling in rulings if ruling.outcome is not Outcome.PROCEED]
    told = [ruling for ruling in rulings if ruling.reason.code not in FORMALITIES] or list(rulings)
    ordered = sorted(against or told, key=lambda r: (r.outcome is not outcome, -r.outcome.strictness))
    return tuple({ruling.reason.code: ruling.reason for ruling in reversed(ordered)}[code] for code in _codes(ordered))


def _codes(rulings: Sequence[Ruling]) -> list[str]:
    return list(dict.fromkeys(ruling.reason.code for ruling in rulings))


@dataclass(frozen=True)
class CompiledPack:
    """A pack whose every rule compiled."""

    pack: PolicyPack
    environment: Environment
    conditions: tuple[Condition, ...]
    hash: str

    @staticmethod
    def of(pack: PolicyPack) -> "CompiledPack":
        """Raises `PolicyInvalid` naming the rule that does not compile."""
        environment = Environment.of(pack.parameters)
        conditions = []
        for rule in pack.rules:
            try:
                conditions.append(environment.compile(rule.when))
            except PolicyInvalid as error:
                raise PolicyInvalid(f"{pack.subject}.{rule.id}: {error.message}", **error.details) from error
        return CompiledPack(pack, environment, tuple(conditions), pack.hash)

    def evaluate(self, inputs: Inputs) -> Verdict:
        """Total: a rule without an answer becomes an *ask a human* with the code `policy_error`."""
        pack = self.pack
        said: list[tuple[Rule | None, Condition | None, Then]] = []
        trace: list[Tried] = []
        for rule, condition, result in self._try(inputs):
            trace.append(Tried(rule=rule.id, result=result))
            if result is Result.HIT:
                said.append((rule, condition, rule.then))
            elif result is Result.ERROR:
                said.append((rule, condition, self._error()))
            if said and pack.hit is Hit.FIRST:
                break
        if not said:
            said.append((None, None, pack.default))
        rulings = [self._ruling(*item, inputs) for item in said if item[2].outcome and item[2].code]
        return Verdict(
            subject=pack.subject,
            version=pack.version,
            pack_hash=self.hash,
            rulings=tuple(sorted(rulings, key=lambda r: -r.outcome.strictness)),
            priority=max((t.priority for _, _, t in said if t.priority), key=lambda p: p.rank, default=None),
            trace=tuple(trace),
        )

    def _try(self, inputs: Inputs) -> Iterator[tuple[Rule, Condition, Result]]:
        bound: Bound | None = None
        for rule, condition in zip(self.pack.rules, self.conditions, strict=True):
            try:
                bound = bound or self.environment.bind(inputs.variables, self.pack.parameters)
                yield rule, condition, Result.HIT if condition.evaluate(bound) else Result.MISS
            except ConditionFailed:
                yield rule, condition, Result.ERROR

    def _error(self) -> Then:
        return Then(outcome=Outcome.ASK_HUMAN, code=POLICY_ERROR)

    def _ruling(self, rule: Rule | None, condition: Condition | None, then: Then, inputs: Inputs) -> Ruling:
        failed = then.code == POLICY_ERROR
        reason = Reason(
            code=then.code or POLICY_ERROR,
            rule=self.pack.subject,
            message="A rule had no answer for these facts." if failed else (rule.reason if rule else ""),
            version=self.pack.version,
            facts={"rule": rule.id if rule else "default", **self._facts(condition, inputs.variables)},
        )
        return Ruling(outcome=then.outcome or Outcome.ASK_HUMAN, reason=reason)

    def _facts(self, condition: Condition | None, variables: Mapping[str, object]) -> Json:
        """What the rule read. Numbers, flags and short tokens only: free text may be personal."""
        limits = {f"limits.{name}": value for name, value in self.pack.parameters.items()}
        found = {path: look_up({**variables, **limits}, path) for path in (condition.references if condition else ())}
        return {path: value for path, value in found.items() if _is_showable(value)}


def look_up(variables: Mapping[str, object], path: str) -> object:
    """The value at a dotted path, found from its longest named prefix as the rules do; `()` when there is none."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in variables:
            value = variables[name]
            for part in parts[length:]:
                value = value.get(part, ()) if isinstance(value, Mapping) else ()
            return value
    return ()


def _is_showable(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and _TOKEN.fullmatch(value) is not None)
