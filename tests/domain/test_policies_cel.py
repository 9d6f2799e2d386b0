"""The expression language is total, bounded and blind to anything but its inputs (P-5)."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.policies.cel import (
    MAX_LENGTH_WITH_LOOP,
    VARIABLES,
    ConditionFailed,
    Environment,
    PolicyInvalid,
    compile_rule,
)
from domain.policies.inputs import MAX_DEPTH, MAX_ITEMS, MAX_TEXT, Inputs

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BLANK: dict[str, object] = {
    "action": None,
    "action.tool": "",
    "action.arguments": {},
    "actions": [],
    "consequences": 0,
    "amount": 0,
    "facts": {},
    "facts.invoice": None,
    "intent": "other",
    "confidence": 0.0,
    "wants_human": False,
    "now": NOW,
    "customer.plan": "pro",
    "history.refunded_in_period": 0,
}


def ask(expression: str, limits: dict[str, Any] | None = None, **arguments: object) -> bool:
    """The answer of `expression` for these `action.arguments`."""
    environment = Environment.of(limits or {})
    bound = environment.bind(Inputs.of({**BLANK, "action.arguments": arguments}).variables, limits or {})
    return environment.compile(expression).evaluate(bound)


@pytest.mark.parametrize(
    ("expression", "limits", "arguments", "expected"),
    [
        ("action.arguments.amount > limits.most", {"most": 3}, {"amount": 4}, True),
        ("action.arguments.amount > limits.most", {"most": 3}, {"amount": 3}, False),
        ("action.arguments.currency in limits.known", {"known": ("EUR", "USD")}, {"currency": "EUR"}, True),
        ("action.arguments.tags.exists(t, t == limits.word)", {"word": "vip"}, {"tags": ["a", "vip"]}, True),
        ("action == null && facts.invoice == null", {}, {}, True),
        ("now < timestamp('2026-03-02T00:00:00Z')", {}, {}, True),
        ("customer.plan == 'pro' || action.arguments.absent == 1", {}, {}, True),
    ],
)
def test_a_condition_reads_facts_and_limits(
    expression: str, limits: dict[str, Any], arguments: dict[str, object], expected: bool
) -> None:
    assert ask(expression, limits, **arguments) is expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("amunt > 1", "undeclared reference to 'amunt'"),
        ("limits.mots > 1", "undeclared reference to 'limits.mots'"),
        ("history.refunds > 1", "undeclared reference"),
        ("customer.email == 'a'", "undeclared reference to 'customer"),
        ("customer.name == 'a'", "undeclared reference to 'customer"),
        ("confidence > 1", "no matching overload"),
        ("intent > 3", "no matching overload"),
        ("action.tool ==", "Syntax error"),
        ("amount", "true or false"),
        ("facts.invoice", "true or false"),
        ("", "characters"),
        ("true || " * 200 + "true", "characters"),
        ("(" * 17 + "true" + ")" * 17, "nested"),
        ("actions.all(a, actions.all(b, a == b))", "loops inside"),
        ("actions.filter(a, [a].exists_one (b, true)).size() > 0", "loops inside"),
        ("actions . all ( a, actions\n. exists ( b, a == b ) )", "loops inside"),
        ("actions.map(a, a).size() > 0", "undeclared"),
        ("intent.matches('a+')", "undeclared reference to 'matches'"),
        ("intent + intent == 'aa'", "no matching overload"),
        ("actions.all(a, a == '')" + " && true" * 40, "with a loop"),
        ("amount" + " + 1" * 17 + " > 0", "additions"),
        ("intent == r'\\'", "plain ASCII"),
        ("intent == '''a'''", "plain ASCII"),
        ("true // and more", "plain ASCII"),
        ("intent == 'é'", "plain ASCII"),
        ("intent == '\x00'", "plain ASCII"),
        ("now() > now", "undeclared reference"),
        ("rand() > 0.5", "undeclared reference"),
    ],
)
def test_what_is_wrong_or_could_be_slow_is_refused_when_written(expression: str, complaint: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        compile_rule(expression)
    assert complaint in refused.value.message


def test_a_complaint_says_where_it_is() -> None:
    with pytest.raises(PolicyInvalid) as refused:
        compile_rule("true &&\n  amunt > 1")
    assert (refused.value.details["line"], refused.value.details["column"]) == (2, 3)


def test_brackets_inside_text_are_text() -> None:
    assert compile_rule("intent == '((((((((((((((((((((.all('") is not None


def test_a_condition_knows_what_it_reads_and_no_text_is_taken_for_it() -> None:
    condition = compile_rule("facts.invoice.age_days > limits.days && intent == 'history.open_tickets'", {"days": 30})
    assert condition.references == ("facts.invoice.age_days", "intent", "limits.days")


@pytest.mark.parametrize(
    "expression",
    [
        "action.arguments.absent > 1",
        "action.arguments.nothing > 1",
        "action.arguments.text > 1",
        "action.arguments.flag > 1",
        "action.arguments.big + 1 > 1",
        "action.arguments.one / 0 > 1",
        "facts.invoice.age_days > 1",
        "action.arguments.list[7] == 1",
        "action.arguments.one.deep.deeper == 1",
        "history.open_tickets > 0",
        "has(facts.invoice) && true",
    ],
)
def test_no_answer_is_never_yes(expression: str) -> None:
    arguments: dict[str, Any] = {"nothing": None, "text": "x", "flag": True, "big": 2**63 - 1, "one": 1, "list": [1]}
    with pytest.raises(ConditionFailed):
        ask(expression, **arguments)


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def cycle() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        2**63,
        -(2**63) - 1,
        10**400,
        "a" * (MAX_TEXT + 1),
        "line\nbreak",
        "\ud800",
        "\x00",
        [0] * (MAX_ITEMS + 1),
        {str(n): n for n in range(MAX_ITEMS + 1)},
        {1: "a"},
        deep(MAX_DEPTH + 1),
        cycle(),
        [["a"] * 100] * 100,
        b"bytes",
        object(),
        {1, 2},
    ],
    ids=lambda v: type(v).__name__,
)
def test_inputs_out_of_bounds_are_not_looked_at(value: object) -> None:
    with pytest.raises(ConditionFailed):
        Inputs.of({"action.arguments": {"value": value}})


def test_inputs_at_the_bounds_are_looked_at() -> None:
    edges = [2**63 - 1, -(2**63), "a" * MAX_TEXT, [0] * MAX_ITEMS, -0.0, None, True]
    assert ask("size(action.arguments.value) == 7", value=edges)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["", "EUR", "paid", "x" * 300, "\ud800"])
)
junk = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["a", "amount", "b"]), inner),
    max_leaves=20,
)
names = st.sampled_from([*sorted(VARIABLES - {"action"}), "action.arguments.amount", "facts.a.b", "limits.most", "x"])
literals = st.sampled_from(["0", "-1", "1.5", "9223372036854775807", "'EUR'", "null", "true", "[1, 'a']", "{'a': 1}"])
operators = st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "in"])
shapes = st.sampled_from(
    [
        "!({0})",
        "-({0})",
        "({0}) ? ({1}) : ({0})",
        "size({0}) > 1",
        "{0}.exists(x, {1})",
        "{0}.all(x, {1} == x)",
        "({0})[{1}]",
        "({0}).a",
        "has({0}.a)",
        "dyn({0}) == dyn({1})",
        "string({0}) == 'a'",
        "int({0}) > 1",
        "timestamp({0}) > now",
        "duration({0}) > duration('1s')",
        "type({0}) == type({1})",
    ]
)
expressions = st.recursive(
    names | (names | literals).map("dyn({})".format) | (names | literals).map("dyn({})".format),
    lambda inner: (
        st.tuples(inner, operators, inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
        | st.tuples(shapes, inner, inner).map(lambda t: t[0].format(t[1], t[2]))
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(expressions | st.text(max_size=60), st.dictionaries(st.sampled_from(["amount", "a"]), junk), junk)
@example("!" * 900 + "true", {}, None)
@example("-" * 900 + "1 == 1", {}, None)
@example("true?" * 180 + "true" + ":true" * 180, {}, None)
@example("[" * 17 + "]" * 17, {}, None)
@example("actions.all(x, x == " * 40, {}, None)
def test_any_expression_on_any_facts_ends_in_yes_no_or_no_answer(
    expression: str, arguments: dict[str, object], facts: object
) -> None:
    try:
        condition = compile_rule(expression, {"most": 3})
        inputs = Inputs.of({**BLANK, "action.arguments": arguments, "facts": {"a": facts}})
        bound = Environment.of({"most": 3}).bind(inputs.variables, {"most": 3})
        assert condition.evaluate(bound) in (True, False)
    except (PolicyInvalid, ConditionFailed):
        pass


def test_the_fuzzed_expressions_reach_all_three_ends() -> None:
    """Negative control: a fuzz that only ever met refusals would prove nothing."""
    assert ask("(amount) == (0)") is True
    assert ask("(amount) > (0)") is False
    with pytest.raises(ConditionFailed):
        ask("(action.arguments.amount) > (0)")


def test_the_costliest_expression_allowed_still_has_an_answer() -> None:
    body = " && ".join(["!x.contains(x + x + x + x)"] * 4 + ["x.startsWith(x)"] * 7)
    expression = f"action.arguments.list.all(x, {body})"
    assert len(expression) <= MAX_LENGTH_WITH_LOOP
    assert ask(expression, list=["a" * MAX_TEXT] * MAX_ITEMS)
