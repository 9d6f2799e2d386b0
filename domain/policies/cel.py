"""The one door to the expression language (CEL). What passes it is typed, pure, total and bounded.

An expression that could take long is refused when it is written: no regular expressions, no `map`, no loop inside a
loop, little inside a loop, few concatenations. What is handed in is bounded by `domain.policies.inputs`. So an ordinary
rule takes microseconds and the worst one some milliseconds, and each ends in true, false or `ConditionFailed`, which
callers turn into *ask a human*.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from domain.errors import HoldfastError

MAX_LENGTH = 1_000
MAX_LENGTH_WITH_LOOP = 300
MAX_NESTING = 16
MAX_ADDITIONS = 16

Parameter = int | str | tuple[str, ...]
"""A named limit of a pack."""

_VARIABLES = {
    "action": cel.Type.DYN,
    "action.tool": cel.Type.STRING,
    "action.arguments": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "actions": cel.Type.List(cel.Type.STRING),
    "consequences": cel.Type.INT,
    "amount": cel.Type.INT,
    "customer.identity": cel.Type.STRING,
    "customer.plan": cel.Type.STRING,
    "customer.status": cel.Type.STRING,
    "customer.language": cel.Type.STRING,
    "customer.region": cel.Type.STRING,
    "customer.time_zone": cel.Type.STRING,
    "facts": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "facts.invoice": cel.Type.DYN,
    "facts.invoice_count": cel.Type.INT,
    "history.refunded_in_period": cel.Type.INT,
    "history.escalations_in_period": cel.Type.INT,
    "history.actions_last_minute": cel.Type.INT,
    "history.actions_last_hour": cel.Type.INT,
    "history.open_tickets": cel.Type.INT,
    "intent": cel.Type.STRING,
    "confidence": cel.Type.DOUBLE,
    "wants_human": cel.Type.BOOL,
    "now": cel.Type.TIMESTAMP,
}
VARIABLES = frozenset(_VARIABLES)
"""The names an expression may use, besides `limits.<parameter>` of its own pack."""

# `map` and `+` on text grow values; `matches` costs what its pattern wants. A rule over typed facts needs neither.
_STANDARD_LIBRARY = """
name: policies
stdlib:
  exclude_macros: [map]
  exclude_functions:
  - name: matches
  - name: _+_
    overloads: [{id: add_string}, {id: add_bytes}]
"""
_UNREADABLE = re.compile(r"\\|//|'''|\"\"\"|[^\x20-\x7e\n]")
_STRING = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\($")
_PATH = re.compile(r"(?<![\w.])[a-z_]\w*(?:\.[a-z_]\w*)*(?!\w*\s*\()")


class PolicyInvalid(HoldfastError):
    """A rule or pack that cannot be used. `details` holds `line` and `column` where they are known."""

    code = "policy_invalid"


class ConditionFailed(HoldfastError):
    """A condition had no answer for these inputs. Never means yes: the caller asks a human."""

    code = "condition_failed"


@dataclass(frozen=True)
class Bound:
    """Inputs ready for any number of conditions of one pack."""

    activation: Any


@dataclass(frozen=True)
class Condition:
    """A compiled rule: the same inputs give the same answer on every machine."""

    expression: str
    references: tuple[str, ...]
    """The variables it reads, as dotted paths, sorted."""
    program: Any

    def evaluate(self, bound: Bound) -> bool:
        """True or false; raises `ConditionFailed` for everything else."""
        try:
            result = self.program.eval(activation=bound.activation).value()
        except Exception as error:
            raise ConditionFailed("the condition could not be evaluated") from error
        # An error inside CEL comes back as text, so anything but a boolean is one.
        if not isinstance(result, bool):
            raise ConditionFailed("the condition has no answer for these inputs")
        return result


@dataclass(frozen=True)
class Environment:
    """The names and types one pack's rules may use."""

    env: Any

    @staticmethod
    def of(parameters: Mapping[str, Parameter]) -> "Environment":
        return _environment(tuple(sorted((name, _kind(value)) for name, value in parameters.items())))

    def compile(self, expression: str) -> Condition:
        """Checks syntax, names, types and cost. Raises `PolicyInvalid`."""
        _check_cost(expression)
        try:
            program = self.env.compile(expression)
        except Exception as error:
            raise _invalid(str(error)) from error
        if program.return_type() != cel.Type.BOOL:
            raise PolicyInvalid(f"a condition is true or false; this one is {program.return_type().name()}")
        paths = _PATH.findall(_STRING.sub("''", expression))
        roots = {name.split(".")[0] for name in VARIABLES} | {"limits"}
        return Condition(expression, tuple(sorted({p for p in paths if p.split(".")[0] in roots})), program)

    def bind(self, variables: Mapping[str, object], parameters: Mapping[str, Parameter]) -> Bound:
        """Hand over bounded inputs (`domain.policies.inputs`) and the pack's own limits."""
        limits = {f"limits.{name}": list(v) if isinstance(v, tuple) else v for name, v in parameters.items()}
        try:
            return Bound(self.env.Activation({**variables, **limits}))
        except Exception as error:
            raise ConditionFailed("the inputs cannot be given to a condition") from error


def compile_rule(expression: str, parameters: Mapping[str, Parameter] | None = None) -> Condition:
    """The condition `expression` stands for, or `PolicyInvalid`. `parameters` are visible as `limits.<name>`."""
    return Environment.of(parameters or {}).compile(expression)


@lru_cache(maxsize=64)
def _environment(kinds: tuple[tuple[str, str], ...]) -> Environment:
    types = {"int": cel.Type.INT, "str": cel.Type.STRING, "list": cel.Type.List(cel.Type.STRING)}
    limits = {f"limits.{name}": types[kind] for name, kind in kinds}
    config = cel.NewEnvConfigFromYaml(_STANDARD_LIBRARY)
    return Environment(cel.NewEnv(config=config, variables={**_VARIABLES, **limits}))


def _kind(value: Parameter) -> str:
    if isinstance(value, tuple):
        return "list"
    return "str" if isinstance(value, str) else "int"


def _check_cost(expression: str) -> None:
    if not 0 < len(expression) <= MAX_LENGTH:
        raise PolicyInvalid(f"a condition has 1 to {MAX_LENGTH} characters")
    if _UNREADABLE.search(expression):
        raise PolicyInvalid("a condition is plain ASCII without escapes, comments or triple quotes")
    bare = _STRING.sub("''", expression)
    if bare.count("+") > MAX_ADDITIONS:
        raise PolicyInvalid(f"a condition has at most {MAX_ADDITIONS} additions")
    _check_nesting(bare)


def _check_nesting(bare: str) -> None:
    brackets: list[bool] = []
    for position, character in enumerate(bare):
        if character in "([{":
            brackets.append(_LOOP.search(bare[: position + 1]) is not None)
            if brackets[-1] and len(bare) > MAX_LENGTH_WITH_LOOP:
                raise PolicyInvalid(f"a condition with a loop has at most {MAX_LENGTH_WITH_LOOP} characters")
        elif character in ")]}" and brackets:
            brackets.pop()
        if len(brackets) > MAX_NESTING or sum(brackets) > 1:
            raise PolicyInvalid("a condition is nested too deeply, or loops inside a loop", column=position + 1)


def _invalid(text: str) -> PolicyInvalid:
    """The compiler's first complaint, with its place. It quotes the rule only, never a fact."""
    found = re.search(r"<input>:(\d+):(\d+): ([^\n]+)", text)
    if not found:
        return PolicyInvalid("the condition cannot be compiled: it is nested too deeply or not an expression")
    line, column = int(found[1]), int(found[2])
    message = re.sub(r" \(in container ''\)", "", found[3])
    return PolicyInvalid(f"line {line}, column {column}: {message}", line=line, column=column)
