"""X-9: every regular expression of the product against texts made to make it slow. `python -m tests.hostile.regexes`

Expressions are found twice: what the modules compile when they are imported, wherever it came from, and every call of
`re` in the source. A call that neither way explains is an error, so none is forgotten. Attacks come from the
expression itself: what leads to each repetition, then what it repeats, 100,000 characters of it, then something that
does not fit. Prints one JSON line per expression; whoever waits for a line can kill this process.
"""

import ast
import importlib
import json
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
PRODUCT = ("domain", "schema", "activities", "workflows", "api", "adapters")
ALONE = ("settings.py", "worker.py", "stack.py")
LENGTH = 100_000
GIVE_UP_S = 5.0
CALLS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
parser: Any = importlib.import_module("re._parser")
constants: Any = importlib.import_module("re._constants")
_REPEATS = {constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT}


@dataclass(frozen=True)
class Found:
    """One expression and where it stands."""

    file: str
    line: int
    pattern: str
    flags: int
    use: str
    """`fullmatch` or `match` where it is used in no other way; else `search`."""


def _mentions() -> list[Any]:
    make = sys.modules["domain.verification.notation"].mention
    return [make(known) for known in ("inv_1", "2026-000123", "1005", "a b-c_d 77")]


def _kinds() -> list[Any]:
    spoken = sys.modules["domain.verification.spoken_actions"]
    return [re.compile(pattern) for table in (spoken._PAST, spoken._GERUNDS) for pattern in table]


MADE = {("notation.py", "mention"): _mentions, ("spoken_actions.py", "_kind_of"): _kinds}
"""By file and function: what is put together at run time, and examples of it."""


class TooSlow(Exception):
    pass


def files() -> list[Path]:
    inside = [path for name in PRODUCT for path in sorted((ROOT / name).rglob("*.py"))]
    return [path for path in inside if "migrations" not in path.parts] + [ROOT / name for name in ALONE]


def compiled_at_import() -> dict[tuple[str, int], list[re.Pattern[str]]]:
    """What is compiled while the product is imported, by the statement that does it."""
    found: dict[tuple[str, int], list[re.Pattern[str]]] = {}
    compile_: Callable[..., Any] = re.compile

    def noting(pattern: Any, flags: int = 0) -> Any:
        made = compile_(pattern, flags)
        frame = sys._getframe(1)
        found.setdefault((frame.f_code.co_filename, frame.f_lineno), []).append(made)
        return made

    re.compile = noting
    try:
        for path in files():
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    finally:
        re.compile = compile_
    return found


def expressions() -> Iterator[Found]:
    """Every expression of the product. Raises `LookupError` for a call nobody can say the expression of."""
    noted = compiled_at_import()
    for path in files():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = sys.modules[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")]
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_of_re(node)):
            lines = range(call.lineno, (call.end_lineno or call.lineno) + 1)
            made: list[Any] = [p for line in lines for p in noted.get((str(path), line), ())]
            if not made:
                at_run_time = MADE.get((path.name, _function(call, tree)))
                made = at_run_time() if at_run_time else [_evaluated(call, module)]
            for pattern in made:
                if pattern is None:
                    raise LookupError(f"{path.name}:{call.lineno}: which expression is this?")
                where, text = str(path.relative_to(ROOT)), _as_text(pattern)
                yield Found(where, call.lineno, text.pattern, text.flags, _use(call, tree))


def _as_text(pattern: re.Pattern[Any]) -> re.Pattern[str]:
    if isinstance(pattern.pattern, str):
        return pattern
    return re.compile(pattern.pattern.decode("latin-1"), pattern.flags)


def _is_of_re(call: ast.Call) -> bool:
    target = call.func
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "re"
        and target.attr in CALLS
    )


def _function(call: ast.Call, tree: ast.AST) -> str:
    """The innermost function a call stands in."""
    around = [f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) and call in set(ast.walk(f))]
    return around[-1].name if around else ""


def _evaluated(call: ast.Call, module: Any) -> re.Pattern[Any] | None:
    """The expression of a call inside a function, if it depends on nothing but the module."""
    try:
        value = eval(compile(ast.Expression(call.args[0]), "<pattern>", "eval"), dict(vars(module)))
        flags = [k.value for k in call.keywords if k.arg == "flags"]
        given = eval(compile(ast.Expression(flags[0]), "<flags>", "eval"), dict(vars(module))) if flags else 0
        return re.compile(value, given)
    except (NameError, re.error):
        return None


def _use(call: ast.Call, tree: ast.AST) -> str:
    """How what is compiled here is used in this file."""
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr != "compile":
        return call.func.attr if call.func.attr in {"match", "fullmatch"} else "search"
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and node.value is call
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names
    }
    for only in ("fullmatch", "match"):
        if used and used <= {only}:
            return only
    return "search"


def attacks(found: Found) -> list[str]:
    """Texts that pump each repetition of the expression, and a few that pump anything."""
    dice = random.Random(found.pattern)
    tree = parser.parse(found.pattern, found.flags & ~re.DEBUG)
    texts: list[str] = []
    for before, repeated in _repetitions(tree, ()):
        for _ in range(2):
            lead = _samples(before, dice)
            pump = "".join(_samples(repeated, dice) for _ in range(dice.choice((1, 2)))) or "a"
            texts += [_pumped(lead, pump, end) for end in ("\x00", "")]
    texts += [_pumped("", pump, "\x00") for pump in ("a", " ", "0", "a ", "1.", "\n", "-", "a@", "é", "(", '"a', ",")]
    return list(dict.fromkeys(texts))


def _pumped(lead: str, pump: str, end: str) -> str:
    return (lead + pump * (LENGTH // len(pump) + 1))[: LENGTH - len(end)] + end


def _repetitions(tree: Any, before: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each repetition with what comes before it on the way there."""
    for node in tree:
        kind, value = node
        if kind in _REPEATS and value[1] > 1:
            yield before, value[2]
        for inside in _inside(kind, value):
            yield from _repetitions(inside, before)
        before = (*before, node)


def _inside(kind: Any, value: Any) -> list[Any]:
    """The parts of a part."""
    if kind is constants.BRANCH:
        return list(value[1])
    if kind in _REPEATS:
        return [value[2]]
    if kind in {constants.ASSERT, constants.ASSERT_NOT}:
        return [value[1]]
    return [value[3]] if kind is constants.SUBPATTERN else [value] if kind is constants.ATOMIC_GROUP else []


def _sample(node: Any, dice: random.Random) -> str:
    """A text this part of an expression matches, most of the time."""
    kind, value = node
    if kind in _REPEATS:
        return "".join(_samples(value[2], dice) for _ in range(max(value[0], min(1, value[1]))))
    make: Callable[[], str] | None = {
        constants.LITERAL: lambda: chr(value),
        constants.NOT_LITERAL: lambda: "a" if value != ord("a") else "b",
        constants.ANY: lambda: dice.choice("a 1."),
        constants.IN: lambda: _of_class(value, dice),
        constants.BRANCH: lambda: _samples(dice.choice(value[1]), dice),
        constants.SUBPATTERN: lambda: _samples(value[3], dice),
        constants.ATOMIC_GROUP: lambda: _samples(value, dice),
    }.get(kind)
    return make() if make else ""


def _samples(parts: Any, dice: random.Random) -> str:
    return "".join(_sample(part, dice) for part in parts)


def _of_class(parts: Any, dice: random.Random) -> str:
    negated = parts[0][0] is constants.NEGATE
    pattern = re.compile("".join(_class_text(part) for part in parts).join("[]"), re.DOTALL)
    likely = "a Z0_-.@,'\"/\\\n\té\u2003;:!?#(=€$"
    if not negated:
        likely += "".join(chr(p[1]) if p[0] is constants.LITERAL else chr(p[1][0]) for p in parts
                          if p[0] in {constants.LITERAL, constants.RANGE})  # fmt: skip
    fits = [c for c in likely if pattern.fullmatch(c)]
    return dice.choice(fits) if fits else "a"


def _class_text(part: Any) -> str:
    kind, value = part
    if kind is constants.NEGATE:
        return "^"
    if kind is constants.LITERAL:
        return re.escape(chr(value))
    if kind is constants.RANGE:
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    categories = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w"}
    return categories.get(str(value).rpartition("CATEGORY_")[2], r"\W")


def slowest_ms(found: Found, most: int | None = None) -> float:
    """How long the worst of the attacks takes; `inf` where nothing ended in time."""
    pattern = re.compile(found.pattern, found.flags)
    worst = 0.0
    for text in attacks(found)[:most]:
        started = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_REAL, GIVE_UP_S)
            getattr(pattern, found.use)(text)
        except TooSlow:
            return float("inf")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        worst = max(worst, (time.process_time() - started) * 1000)
    return worst


def _too_slow(_: int, __: FrameType | None) -> None:
    raise TooSlow


def main(most: int | None) -> None:
    signal.signal(signal.SIGALRM, _too_slow)
    for found in expressions():
        line = {**found.__dict__, "ms": round(slowest_ms(found, most), 1)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
