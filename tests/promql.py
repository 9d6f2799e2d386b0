"""As much of PromQL as our alerts use, over scrapes at known times. What it does not know it refuses.

Range functions take the first and the last sample of the series, whatever the range says: tests scrape before and after
something happens, and say how much time they pretend lies between. A counter that appears begins at nothing.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = frozenset[tuple[str, str]]
Vector: TypeAlias = dict[Labels, float]
_TOKEN = re.compile(r'\s*(>=|<=|==|!=|=~|!~|"[^"]*"|\[\d+[smhd]\]|[A-Za-z_:][\w:]*|\d+(?:\.\d+)?|[-+*/(){}<>,=])')
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_COMPUTE: Mapping[str, Callable[[float, float], float]] = {
    "*": operator.mul, "/": operator.truediv, "+": operator.add, "-": operator.sub,
}  # fmt: skip
_GATHER: Mapping[str, Callable[[Sequence[float]], float]] = {"sum": sum, "max": max, "min": min}
_RANGE = {"rate", "increase", "delta"}
NOTHING: Labels = frozenset()


class NotSupported(Exception):
    """Write the alert in simpler words, or teach this file."""


@dataclass(frozen=True)
class Scrape:
    at: float
    """Seconds."""
    samples: Mapping[str, Vector]


def scraped(at: float, *texts: str) -> Scrape:
    """What Prometheus would keep of these expositions, of as many processes."""
    samples: dict[str, Vector] = {}
    for instance, text in enumerate(texts):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = frozenset({**sample.labels, "instance": str(instance)}.items())
                samples.setdefault(sample.name, {})[labels] = sample.value
    return Scrape(at, samples)


def evaluate(expression: str, scrapes: Sequence[Scrape]) -> Vector | float:
    """The value at the last scrape. An alert fires if it is not empty."""
    parser = _Parser(_tokens(expression), scrapes)
    value = parser.any_of()
    if parser.tokens:
        raise NotSupported(f"not understood from {parser.tokens[0]!r} on")
    return value


def metrics_in(expression: str) -> set[str]:
    """The metrics an expression asks for."""
    asked = set[str]()
    _Parser(_tokens(expression), [], asked).any_of()
    return asked


def _tokens(text: str) -> list[str]:
    tokens, place = list[str](), 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise NotSupported(f"not understood: {text[place:]!r}")
        tokens.append(match[1])
        place = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str], scrapes: Sequence[Scrape], asked: set[str] | None = None) -> None:
        self.tokens = tokens
        self._scrapes = scrapes
        self._asked = asked

    def any_of(self) -> Vector | float:
        left = self._compared()
        while self._next() == "and":
            self._take()
            right = self._compared()
            if isinstance(left, float) or isinstance(right, float):
                raise NotSupported("`and` of numbers")
            left = {labels: value for labels, value in left.items() if labels in right}
        return left

    def _compared(self) -> Vector | float:
        left = self._computed()
        if self._next() in _COMPARE:
            compare, right = _COMPARE[self._take()], self._computed()
            if isinstance(left, float):
                raise NotSupported("a number is compared")
            return {
                labels: value
                for labels, value in left.items()
                if (other := _at(right, labels)) is not None and compare(value, other)
            }
        return left

    def _computed(self) -> Vector | float:
        left = self._one()
        while self._next() in _COMPUTE:
            how = self._take()
            right = self._one()
            if isinstance(left, float):
                raise NotSupported("a number on the left")
            pairs = {labels: (value, _at(right, labels)) for labels, value in left.items()}
            compute = _COMPUTE[how]
            left = {labels: compute(a, b) for labels, (a, b) in pairs.items() if b is not None and (b or how != "/")}
        return left

    def _one(self) -> Vector | float:
        word = self._take()
        if re.fullmatch(r"\d+(\.\d+)?", word):
            return float(word)
        if word == "(":
            value = self.any_of()
            self._take(")")
            return value
        if word in _GATHER:
            return self._gathered(_GATHER[word])
        if word in _RANGE or word == "absent":
            self._take("(")
            value = self._selected(self._take(), word)
            self._take(")")
            return value
        return self._selected(word, "")

    def _gathered(self, gather: Callable[[Sequence[float]], float]) -> Vector:
        kept = set[str]()
        if self._next() == "by":
            self._take()
            self._take("(")
            while (name := self._take()) != ")":
                kept |= {name} - {","}
        self._take("(")
        inner = self.any_of()
        self._take(")")
        if isinstance(inner, float):
            raise NotSupported("a number is gathered")
        groups: dict[Labels, list[float]] = {}
        for labels, value in inner.items():
            groups.setdefault(frozenset((n, v) for n, v in labels if n in kept), []).append(value)
        return {labels: gather(values) for labels, values in groups.items()}

    def _selected(self, name: str, function: str) -> Vector:
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or self._next() == "(":
            raise NotSupported(f"{name!r} is no metric and no function known here")
        wanted = self._matchers()
        ranged = (self._next() or "").startswith("[")
        if ranged:
            self._take()
        if ranged != (function in _RANGE):
            raise NotSupported("a range belongs to rate, increase or delta")
        if self._asked is not None:
            self._asked.add(name)
        if not self._scrapes:
            return {}
        first, last = (
            _matching(scrape.samples.get(name, {}), wanted) for scrape in (self._scrapes[0], self._scrapes[-1])
        )
        if function == "absent":
            return {} if last else {NOTHING: 1.0}
        if not function:
            return last
        passed = self._scrapes[-1].at - self._scrapes[0].at
        grown = {labels: value - first.get(labels, 0.0) for labels, value in last.items()}
        return {labels: g / passed for labels, g in grown.items()} if function == "rate" else grown

    def _matchers(self) -> list[Callable[[Mapping[str, str]], bool]]:
        found = list[Callable[[Mapping[str, str]], bool]]()
        if self._next() != "{":
            return found
        self._take()
        while (name := self._take()) != "}":
            if name == ",":
                continue
            found.append(_matcher(name, self._take(), self._take().strip('"')))
        return found

    def _next(self) -> str | None:
        return self.tokens[0] if self.tokens else None

    def _take(self, wanted: str | None = None) -> str:
        if not self.tokens or (wanted is not None and self.tokens[0] != wanted):
            raise NotSupported(f"{wanted or 'more'} is missing before {' '.join(self.tokens[:3])!r}")
        return self.tokens.pop(0)


def _matcher(name: str, how: str, value: str) -> Callable[[Mapping[str, str]], bool]:
    match how:
        case "=":
            return lambda labels: labels.get(name, "") == value
        case "!=":
            return lambda labels: labels.get(name, "") != value
        case "=~":
            return lambda labels: re.fullmatch(value, labels.get(name, "")) is not None
        case "!~":
            return lambda labels: re.fullmatch(value, labels.get(name, "")) is None
        case _:
            raise NotSupported(f"matcher {how!r}")


def _matching(series: Vector, wanted: Sequence[Callable[[Mapping[str, str]], bool]]) -> Vector:
    return {labels: value for labels, value in series.items() if all(fits(dict(labels)) for fits in wanted)}


def _at(value: Vector | float, labels: Labels) -> float | None:
    return value if isinstance(value, float) else value.get(labels)
