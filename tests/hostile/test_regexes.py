"""X-9: no text makes an expression run away. In a child process, which is killed if it hangs."""

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.exporting import safe
from tests.hostile import regexes
from tests.hostile.regexes import Found, attacks, slowest_ms

ROOT = Path(__file__).parents[2]
BOUND_MS = 2_000.0
"""Ten times what the slowest takes on a busy machine; one that runs away takes minutes. The figure is in docs."""


@pytest.fixture(scope="module")
async def measured() -> list[dict[str, Any]]:
    """Every expression of the product, with the processor time of its worst attack."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hostile.regexes", "8", cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(240):
            said, trouble = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, trouble.decode()
    return [json.loads(line) for line in said.decode().splitlines()]


async def test_X9_no_expression_of_the_product_runs_away_on_100_kb(measured: list[dict[str, Any]]) -> None:
    assert len(measured) > 150
    assert [line for line in measured if line["ms"] > BOUND_MS] == []


async def test_X9_every_file_that_uses_expressions_is_in_it(measured: list[dict[str, Any]]) -> None:
    using = {
        str(path.relative_to(ROOT)) for path in regexes.files() if re.search(r"\bre\.[a-z]+\(", path.read_text())
    }  # fmt: skip
    using -= {
        name for name in using if not re.search(rf"\bre\.({'|'.join(regexes.CALLS)})\(", (ROOT / name).read_text())
    }
    assert {line["file"] for line in measured} == using


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"^(\w+\s?)*$", r"(x|xx)*y", r"^\s*(\d+\s*)*;$"])
def test_X9_negative_control_an_expression_that_runs_away_is_noticed(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regexes, "GIVE_UP_S", 0.2)
    before = signal.signal(signal.SIGALRM, regexes._too_slow)
    try:
        assert slowest_ms(Found("x.py", 1, pattern, 0, "search")) == float("inf")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_X9_the_attacks_are_made_of_what_the_expression_repeats() -> None:
    texts = attacks(Found("x.py", 1, r"key:(?:ab)*c", 0, "search"))
    assert any(text.startswith("key:ababab") for text in texts)
    assert {len(text) for text in texts} == {regexes.LENGTH}


QUADRATIC = re.compile(r"""([;\t\r\n])(?=[\s"'\ufeff]*[=+\-@|%＝＋－＠])""")
"""What a cell may begin with, as plainly as it can be said; it takes minutes on 100 kB of line ends."""


@given(st.text(alphabet=";\t\r\n \"'\ufeff=+-@|%＝a", max_size=40))
def test_X9_the_guard_of_exports_says_the_same_as_the_plain_expression_it_replaced(words: str) -> None:
    plain = QUADRATIC.sub(r"\1'", words)
    assert safe(words).lstrip("'") == plain.lstrip("'")
    assert safe(words) in {plain, f"'{plain}"}
