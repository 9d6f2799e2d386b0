"""The recipes in `docs/how-to` work as printed: their code is loaded, run and held to the rules of the house."""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from domain.errors import RequestInvalid, ToolRefused
from domain.proposal import ProposedAction
from domain.tools import ALL_TOOLS, TOOLS
from domain.tools.tool import AnyTool, EffectClass, Risk, ToolCall
from domain.values import AccountStatus, Json, Plan
from domain.verification import DoneAction, verify_action, verify_reply
from domain.verification.reading import read
from tests.domain.verification_corpus import World
from tests.fakes import FakeWorld

HOW_TO = Path(__file__).parent.parent / "docs" / "how-to"
ALLOWED_IMPORTS = re.compile(r"(?:domain\..+|pydantic|typing|datetime|re|hashlib|collections\.abc)$")
CUSTOMER = World(5, Plan.PRO, "EUR")
CALL = ToolCall(key="eff_1", interaction_id="int_1", customer_id=CUSTOMER.account.customer_id, account=CUSTOMER.account)


def code_block(page: str) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```", (HOW_TO / page).read_text(encoding="utf-8"), flags=re.S | re.M)
    return str(code)


def load(code: str, name: str, folder: Path) -> ModuleType:
    """The code as a module, as if it were the file the page says to create."""
    path = folder / f"{name}.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"howto_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    loaded = load(code_block("add-a-tool.md"), "extend_trial", tmp_path_factory.mktemp("howto"))
    yield loaded
    del sys.modules[loaded.__name__]


@pytest.fixture
def tool(module: ModuleType) -> AnyTool:
    return found(module)


def found(module: ModuleType) -> AnyTool:
    made: AnyTool = getattr(module, Path(str(module.__file__)).stem)
    return made


def broken_rules(module: ModuleType, listed: tuple[AnyTool, ...]) -> list[str]:
    """What the house would say against a tool file."""
    stem, tree = Path(str(module.__file__)).stem, ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    made = getattr(module, stem, None)
    if made is None:
        return ["the file has no object of its own name"]
    imported = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    checks = {
        "name is not the file's": made.name == stem,
        "not verb_noun": re.fullmatch(r"[a-z]+(_[a-z]+)+", made.name) is not None,
        "no module docstring": bool(module.__doc__),
        "no summary": made.summary.endswith("."),
        "arguments without a docstring": bool(made.arguments.__doc__),
        "arguments take unknown fields": made.arguments.model_config.get("extra") == "forbid",
        "not listed": made in listed,
        "imports more than domain and pydantic": all(ALLOWED_IMPORTS.match(name) for name in imported),
        "too long": len(Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()) <= 200,
        "money that is not high risk": made.effect is not EffectClass.MONEY or made.risk is Risk.HIGH,
    }
    return [rule for rule, holds in checks.items() if not holds]


def test_the_recipe_keeps_the_rules_it_teaches(module: ModuleType, tool: AnyTool) -> None:
    assert broken_rules(module, (*ALL_TOOLS, tool)) == []


@pytest.mark.parametrize("shipped", ALL_TOOLS, ids=lambda shipped: shipped.name)
def test_the_shipped_tools_keep_them_too(shipped: AnyTool) -> None:
    assert broken_rules(sys.modules[f"domain.tools.{shipped.name}"], ALL_TOOLS) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('name="extend_trial"', 'name="trial_extension"', "name is not the file's"),
        ('"""Extend a trial by some days."""', "", "no module docstring"),
        ('extra="forbid"', 'extra="ignore"', "arguments take unknown fields"),
        ("extend_trial = Tool(", "other = Tool(", "the file has no object of its own name"),
        ("from domain.facts import Facts", "from os import path\nfrom domain.facts import Facts", "imports more"),
    ],
)
def test_negative_control_a_recipe_that_breaks_a_rule_is_noticed(
    tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    code = code_block("add-a-tool.md")
    assert right in code
    broken = load(code.replace(right, wrong, 1), "extend_trial", tmp_path)
    listed = (*ALL_TOOLS, getattr(broken, "extend_trial", ALL_TOOLS[0]))
    assert any(rule.startswith(said) for rule in broken_rules(broken, listed))


def test_negative_control_a_tool_that_is_not_listed_is_noticed(module: ModuleType) -> None:
    assert broken_rules(module, ALL_TOOLS) == ["not listed"]


@pytest.mark.parametrize(
    "arguments", [{}, {"days": 0}, {"days": 31}, {"days": "7"}, {"days": True}, {"days": 7, "x": 1}]
)
def test_the_recipes_tool_takes_only_what_fits(tool: AnyTool, arguments: Json) -> None:
    with pytest.raises(RequestInvalid):
        tool.parse(arguments)


async def test_the_recipes_tool_runs_once_per_key_and_its_preview_agrees(tool: AnyTool) -> None:
    world = FakeWorld()
    await world.put_account(CUSTOMER.account)
    arguments = tool.parse({"days": 7})
    result = await tool.run(arguments, CALL, world.ports)
    assert result == {"days": 7, "ticketId": "tkt_0001"}
    assert await tool.run(arguments, CALL, world.ports) == result
    assert tool.preview(arguments, CUSTOMER.facts) == {"days": 7}
    assert len(world.tickets.tickets) == 1


async def test_the_recipes_tool_refuses_an_account_that_is_not_active(tool: AnyTool) -> None:
    account = CUSTOMER.account.model_copy(update={"status": AccountStatus.SUSPENDED})
    call = ToolCall(key="eff_1", interaction_id="int_1", customer_id=account.customer_id, account=account)
    with pytest.raises(ToolRefused):
        await tool.run(tool.parse({"days": 7}), call, FakeWorld().ports)


def test_the_recipes_tool_is_verified_and_backs_the_verb_of_its_name(tool: AnyTool) -> None:
    tools = {**TOOLS, tool.name: tool}
    action = ProposedAction(tool="extend_trial", arguments={"days": 7})
    assert verify_action(action, CUSTOMER.facts, tools) == ()
    assert [issue.code for issue in verify_action(action, CUSTOMER.facts, TOOLS)] == ["unknown_tool"]
    done = DoneAction.model_validate({"tool": "extend_trial", "effectState": "confirmed", "result": {"days": 7}})
    assert verify_reply("I've extended your trial.", CUSTOMER.evidence(done)) == ()
    assert verify_reply("I've extended your trial.", CUSTOMER.evidence()) != ()


def test_the_recipe_for_a_verification_rule_works_as_printed(tmp_path: Path) -> None:
    rule = load(code_block("add-a-verification-rule.md"), "competitors", tmp_path).check_competitors
    evidence = CUSTOMER.evidence()
    assert [i.code for i in rule(read("You could ask \uff27\uff2c\uff2f\uff22\uff25\uff38 instead."), evidence)] == [
        "competitor"
    ]
    assert list(rule(read("Your account is active."), evidence)) == []
