"""The rules of the house, checked: ceilings, homes, purity, names. A failure says what to do."""

import ast
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio import activity, workflow

from domain.agents import ALL_AGENTS
from domain.tools import ALL_TOOLS
from domain.verification import ALL_RULES
from workflows.runtime import SANDBOX, WORKFLOWS

ROOT = Path(__file__).parent.parent
PACKAGES = ("api", "workflows", "activities", "schema", "domain", "adapters")
LISTING = {
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Makefile", "pyproject.toml",
    "requirements.lock", "requirements-dev.lock", "docker-compose.yml", "Dockerfile", ".env.example", ".gitignore",
    ".dockerignore", ".ci", "worker.py", "stack.py", "release.py", "settings.py", "docker", "tests", "bench", "docs",
    "reconcile.py", "reseal.py", "supply", "console", *PACKAGES,
}  # fmt: skip
CEILINGS = {"workflows": 300, "domain": 200, "schema": 250, "activities": 260, "adapters": 300, "api": 260}
FUNCTION_CEILINGS = {"workflows": 25, "activities": 25, "api/routes": 15}
BAD_NAMES = {"utils", "helpers", "common", "manager", "service", "misc"}


def sources(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts and "__pycache__" not in path.parts
    ]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and len(body) > 1:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def tracked() -> set[str]:
    """The root listing as git would hand it over."""
    import subprocess

    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    return {name.split("/", 1)[0] for name in names if name}


def test_the_root_listing_is_the_architecture() -> None:
    assert tracked() <= LISTING, "a new thing at the root needs a place in architecture.md"


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_one_noun(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    lines = path.read_text().count("\n")
    assert lines <= CEILINGS[package], f"{path.name} has {lines} lines: it holds two nouns"
    assert path.stem not in BAD_NAMES


@pytest.mark.parametrize("path", sources("workflows", "activities", "api/routes"), ids=lambda p: p.name)
def test_a_step_fits_on_a_screen(path: Path) -> None:
    ceiling = next(v for k, v in FUNCTION_CEILINGS.items() if str(path.relative_to(ROOT)).startswith(k))
    for function in functions(ast.parse(path.read_text())):
        lines = length_without_docstring(function)
        assert lines <= ceiling, f"{path.name}:{function.name} has {lines} lines"


def test_the_story_of_a_workflow_is_short() -> None:
    for path in sources("workflows"):
        for function in functions(ast.parse(path.read_text())):
            if function.name == "run":
                assert length_without_docstring(function) <= 25


def test_purity_is_visible() -> None:
    """No `async` in the domain outside tools and ports: nothing else there waits for anything."""
    for path in sources("domain"):
        relative = path.relative_to(ROOT / "domain")
        if relative.parts[0] in {"tools", "ports.py"}:
            continue
        waits = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.AsyncFunctionDef | ast.Await)]
        assert not waits, f"{relative} waits"


def test_our_names_win() -> None:
    taken = set(importlib.metadata.packages_distributions()) & {*PACKAGES, "worker", "stack", "settings", "bench"}
    assert not taken, f"an installed distribution shadows {taken}"


def test_no_package_under_tests() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py")), "`import domain` would find the tests"


def test_every_tool_file_is_listed_once_and_named_as_its_tool() -> None:
    files = {p.stem for p in (ROOT / "domain/tools").glob("*.py")} - {"__init__", "tool"}
    assert files == {tool.name for tool in ALL_TOOLS}, "a tool is one file and one line in ALL_TOOLS"
    assert len({tool.name for tool in ALL_TOOLS}) == len(ALL_TOOLS)


def test_every_agent_file_is_listed() -> None:
    files = {p.stem for p in (ROOT / "domain/agents").glob("*.py")} - {"__init__", "agent"}
    assert files == {agent.name for agent in ALL_AGENTS}
    assert all((ROOT / "domain/agents/prompts" / f"{a.name}.v{a.version}.md").exists() for a in ALL_AGENTS)


def test_every_verification_rule_is_listed() -> None:
    names = {rule.__name__ for rule in ALL_RULES}
    checks = {
        function.name
        for path in sources("domain/verification")
        for function in functions(ast.parse(path.read_text()))
        if re.fullmatch(r"check_[a-z_]+", function.name) and len(function.args.args) == 2
    }
    assert names <= checks
    assert checks - names == set(), "a check that nobody runs"


def test_every_activity_and_workflow_has_an_explicit_temporal_name() -> None:
    for path in sources("activities", "workflows"):
        for decorator in re.findall(r"@(?:activity|workflow)\.defn(\([^)]*\))?", path.read_text()):
            assert "name=" in decorator, f"{path.name}: histories outlive modules, so names are explicit"
    names = {workflow._Definition.must_from_class(w).name for w in WORKFLOWS}
    assert names == {"interaction", "handoff", "delivery", "audit-seal", "rollup", "erasure", "retention"}


def test_every_registered_activity_is_dotted() -> None:
    from activities.audit import AuditActivities
    from activities.decisions import DecisionActivities
    from activities.deliveries import DeliveryActivities
    from activities.handoffs import HandoffActivities
    from activities.replies import ReplyActivities
    from activities.tools import ToolActivities

    for holder in (
        AuditActivities, DecisionActivities, DeliveryActivities, HandoffActivities, ReplyActivities, ToolActivities,
    ):  # fmt: skip
        for method in vars(holder).values():
            definition = activity._Definition.from_callable(method)
            if definition is not None:
                assert re.fullmatch(r"[a-z]+\.[a-z_]+", definition.name or "")


def test_our_packages_pass_through_the_sandbox_and_workflow_modules_do_not() -> None:
    """Passing a workflow's own module through would switch the determinism guard off."""
    passed = SANDBOX.restrictions.passthrough_modules
    assert {"domain", "activities", "schema"} <= passed
    assert not passed & {"workflows", *(w.__module__ for w in WORKFLOWS)}


def test_boundary_types_have_no_dice_and_no_clock_in_their_defaults() -> None:
    """They pass through the sandbox, so nothing would stop a default that differs on replay."""
    for path in sources("domain"):
        assert not re.search(r"default_factory=(uuid|datetime|random|time)", path.read_text()), path.name


def test_negative_control_the_measure_sees_a_long_step() -> None:
    body = "\n".join(f"    x = {n}" for n in range(30))
    (long,) = functions(ast.parse(f'def step():\n    """Says what it does."""\n{body}\n'))
    assert length_without_docstring(long) == 30
