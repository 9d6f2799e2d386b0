"""What the documentation says is what the product does: links, commands, settings, codes, and every curl line."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api import error_codes as api_errors
from api.main import create_app
from schema import demo
from settings import Settings, as_variables
from tests.house import House
from tests.temporal import free_port

ROOT = Path(__file__).resolve().parent.parent
SECURITY = ROOT / "docs/security"
NOT_OURS = {".venv", ".data", "build", "node_modules", ".git", ".pytest_cache", ".hypothesis"}
PRODUCT = ("api", "workflows", "activities", "schema", "adapters", "domain", "settings.py", "stack.py", "worker.py")
EXECUTED = (
    "README.md",
    "docs/reference/http-api.md",
    "docs/how-to/approve-from-curl.md",
    "docs/how-to/propose-from-your-agent.md",
    "docs/how-to/export-the-audit.md",
    "docs/how-to/sign-in-and-keys.md",
)
NEEDS = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="the examples are bash and curl; one is not here"
)


def pages() -> list[Path]:
    found = [p for p in ROOT.rglob("*.md") if not NOT_OURS & set(p.relative_to(ROOT).parts)]
    return sorted(p for p in found if "prompts" not in p.parts)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#{1,6} +(.+?) *$", without_code(text), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken_links(page: Path, text: str) -> list[str]:
    """The relative links of a page that lead nowhere."""
    targets = re.findall(r"\[[^\]\n]*\]\(([^)\s]+)\)", without_code(text))
    found = []
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        known = file.exists() and (
            not anchor or anchor in anchors(text if file == page else file.read_text(encoding="utf-8"))
        )
        if not known:
            found.append(target)
    return found


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_a_link_that_leads_nowhere_would_be_noticed(tmp_path: Path) -> None:
    text = "# A title\n[a](nowhere.md) [b](#a-title) [c](#no-title) [d](README.md#nothing)"
    page = tmp_path / "X.md"
    page.write_text(text, encoding="utf-8")
    (tmp_path / "README.md").write_text("# Something\n", encoding="utf-8")
    assert broken_links(page, text) == ["nowhere.md", "#no-title", "README.md#nothing"]


def unknown_targets(text: str) -> set[str]:
    """The make targets a page names that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    code = "\n".join(
        re.findall(r"`([^`\n]+)`", without_code(text)) + re.findall(r"^```.*?^```", text, flags=re.S | re.M)
    )
    return set(re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)", code)) - targets


def unknown_settings(text: str) -> set[str]:
    """The `HOLDFAST_` variables a page names that nothing reads."""
    known = set(as_variables(dict.fromkeys(Settings.model_fields, "")))
    known |= {f"{name}_FILE" for name in known}
    deployed = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("docker-compose.yml", ".env.example"))
    known |= set(re.findall(r"\bHOLDFAST_[A-Z_]+\b", deployed))
    return set(re.findall(r"\bHOLDFAST_[A-Z_]*[A-Z]\b", text)) - known


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_command_and_setting_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert (unknown_targets(text), unknown_settings(text)) == (set(), set())


def test_a_command_or_setting_that_does_not_exist_would_be_noticed() -> None:
    assert unknown_targets("say `make coffee` then\n```\nmake up\nmake tea\n```\n") == {"coffee", "tea"}
    assert unknown_settings("`HOLDFAST_ID_KEY` and `HOLDFAST_MAGIC`") == {"HOLDFAST_MAGIC"}


def codes() -> set[str]:
    """Every code a caller or an operator can meet as an error: those of the classes, and those of the HTTP table."""
    sources = [p for top in PRODUCT for p in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))]
    text = "\n".join(p.read_text(encoding="utf-8") for p in sources)
    return set(re.findall(r'^    code(?:: ClassVar\[str\])? = "([a-z_]+)"', text, flags=re.M)) | set(api_errors.CODES)


def test_every_error_code_is_documented_and_none_is_invented() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^### ([a-z_]+)$", text, flags=re.M))
    assert documented == codes()


def test_the_documented_status_of_a_code_is_the_one_it_answers_with() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    said = {code: int(status) for code, status in re.findall(r"^### ([a-z_]+)\n\n\*\*(\d{3})\.\*\*", text, flags=re.M)}
    assert said == {code: entry.status for code, entry in api_errors.CODES.items()}


def missing_tests(text: str) -> set[str]:
    """The tests a page names that no file defines."""
    sources = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "tests").rglob("test_*.py")))
    return set(re.findall(r"`(test_\w+)`", text)) - set(re.findall(r"def (test_\w+)", sources))


PROOFS = ["docs/reliability.md", "docs/security.md", *sorted(f"docs/security/{p.name}" for p in SECURITY.glob("*.md"))]


@pytest.mark.parametrize("page", PROOFS)
def test_every_test_that_is_named_as_proof_exists(page: str) -> None:
    assert missing_tests((ROOT / page).read_text(encoding="utf-8")) == set()


def test_a_proof_that_does_not_exist_would_be_noticed() -> None:
    assert missing_tests("`test_a_proof_that_does_not_exist_would_be_noticed`, `test_of_nothing`") == {
        "test_of_nothing"
    }


def test_every_route_is_in_the_http_reference() -> None:
    nowhere = {"database_url": "postgresql://nobody@localhost/none", "id_key": "k" * 32}
    settings = Settings.load(override={**nowhere, "environment": "development"})
    app = create_app(settings)
    text = (ROOT / "docs/reference/http-api.md").read_text(encoding="utf-8")
    for path in app.openapi()["paths"]:
        shape = re.sub(r"\\\{[^}]+\\\}", r"[^/\\s'?]+", re.escape(path))
        assert re.search(rf"localhost:8000{shape}['? \n]", text), f"{path} has no example"


@dataclass
class Example:
    """One bash block with the statuses it states, and the JSON shown under it."""

    page: str
    script: str
    statuses: list[int]
    shown: Any = None


def examples(page: str) -> list[Example]:
    """The bash blocks of a page that call the API, in order."""
    found: list[Example] = []
    text = (ROOT / page).read_text(encoding="utf-8")
    last: Example | None = None
    for kind, body in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.S | re.M):
        if kind == "json" and last is not None:
            last.shown = json.loads(body)
            last = None
        elif kind == "bash" and "curl" in body:
            calls = len(re.findall(r"\bcurl\b", body))
            stated = [int(status) for status in re.findall(r"# (\d{3})$", body, flags=re.M)]
            last = Example(page, body, stated or [200] * calls)
            found.append(last)
    return found


def differences(shown: Any, actual: Any, where: str = "answer") -> list[str]:
    """What a shown, shortened answer says that the actual one does not. `…` stands for anything."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        return [
            line
            for name, part in shown.items()
            for line in (
                differences(part, actual[name], f"{where}.{name}") if name in actual else [f"no {where}.{name}"]
            )
        ]
    if isinstance(shown, list) and isinstance(actual, list):
        known = shown[:-1] if shown[-1:] == ["…"] else shown
        if len(known) > len(actual) or (known == shown and len(shown) != len(actual)):
            return [f"{where} has {len(actual)} items"]
        return [line for i, part in enumerate(known) for line in differences(part, actual[i], f"{where}[{i}]")]
    if isinstance(shown, str) and isinstance(actual, str):
        pattern = ".*".join(re.escape(part) for part in shown.split("…"))
        return [] if re.fullmatch(pattern, actual, flags=re.S) else [f"{where} is {actual!r}"]
    return [] if shown == actual else [f"{where} is {actual!r}"]


def test_a_shown_answer_that_differs_would_be_noticed() -> None:
    actual = {"a": 1, "b": [{"c": "rfd_1."}, 2], "d": None}
    assert differences({"a": 1, "b": [{"c": "rfd_…."}, "…"], "d": None}, actual) == []
    assert differences({"a": 2, "b": [{"c": "x…"}], "e": 0}, actual) == [
        "answer.a is 1",
        "answer.b has 2 items",
        "no answer.e",
    ]


class QuietServer(uvicorn.Server):
    """uvicorn, leaving the signals to the test run."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture
async def port(house: House) -> AsyncIterator[int]:
    """The same API behind a real socket, because the examples are real curl lines, with the data of `make up`."""
    await demo.seed(house.db, datetime.now(UTC))
    port = free_port()
    app = create_app(house.settings, house.temporal)
    serving = QuietServer(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    running = asyncio.create_task(serving.serve())
    async with asyncio.timeout(30):
        while not serving.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.02)
    yield port
    serving.should_exit = True
    await running


CURL = r"""curl() { command curl --no-progress-meter --write-out '%{stderr}STATUS %{http_code}\n' "$@"; }"""
"""Says on standard error which status every call got."""


def as_script(page: list[Example], port: int) -> str:
    """One script for a whole page, so that a variable set in one block is there in the next."""
    parts = [CURL, "set -e"]
    for example in page:
        body = example.script.replace("localhost:8000", f"127.0.0.1:{port}").replace("\\\n", " ")
        *first, last = body.strip().splitlines()
        parts += ["echo BLOCK >&2", *first, r"printf '\036'", last, r"printf '\037'"]
    return "\n".join(parts)


async def run(page: list[Example], port: int) -> list[tuple[list[int], str]]:
    """Per example the statuses of its calls, and what its last line printed."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        as_script(page, port),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    out, err = (part.decode() for part in await process.communicate())
    assert process.returncode == 0, err
    statuses = [[int(n) for n in re.findall(r"STATUS (\d{3})", block)] for block in err.split("BLOCK\n")[1:]]
    answers = re.findall("\036(.*?)\037", out, flags=re.S)
    return list(zip(statuses, answers, strict=True))


@NEEDS
@pytest.mark.parametrize("page", EXECUTED)
async def test_every_curl_example_answers_as_the_page_says(page: str, port: int) -> None:
    told = examples(page)
    assert len(told) >= 2
    for example, (statuses, answer) in zip(told, await run(told, port), strict=True):
        assert statuses == example.statuses, f"{example.script}\n{answer}"
        if example.shown is not None:
            assert differences(example.shown, json.loads(answer)) == [], example.script


@NEEDS
async def test_an_example_with_another_status_would_be_noticed(port: int) -> None:
    wrong = Example("-", "X=1\ncurl -s http://localhost:8000/nowhere/$X   # 200\n", [200])
    ((statuses, answer),) = await run([wrong], port)
    assert statuses == [404] != wrong.statuses
    assert differences({"code": "not_found"}, json.loads(answer)) == []
