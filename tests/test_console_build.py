"""The console is built from exactly what is locked, and from the contract this code serves."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from supply import console
from supply.lock import ROOT

LOCK: dict[str, Any] = json.loads((console.SOURCES / "package-lock.json").read_text(encoding="utf-8"))
MANIFEST: dict[str, Any] = json.loads((console.SOURCES / "package.json").read_text(encoding="utf-8"))
PACKAGES = {name: package for name, package in LOCK["packages"].items() if name}


def test_V5_every_npm_package_is_pinned_to_a_version_and_to_bytes() -> None:
    assert len(PACKAGES) > 100
    loose = [n for n, p in PACKAGES.items() if not (p.get("version") and p.get("integrity", "").startswith("sha512-"))]
    assert [name for name in loose if not PACKAGES[name].get("inBundle")] == []
    wanted = {**MANIFEST["dependencies"], **MANIFEST["devDependencies"]}
    assert [name for name, version in wanted.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_V5_the_lock_names_no_registry() -> None:
    """Whose mirror a package came through is nobody's business, and no reason for `npm ci` to fail elsewhere."""
    assert [name for name, package in PACKAGES.items() if "resolved" in package] == []
    assert "://" not in re.sub(r'"(?:url|funding)": "[^"]*"', "", json.dumps(LOCK))


@pytest.mark.parametrize("system", ["linux-x64-gnu", "linux-arm64-gnu", "darwin-arm64", "darwin-x64"])
def test_the_lock_is_for_every_machine_the_product_runs_on(system: str) -> None:
    for native in ("@tailwindcss/oxide", "@rolldown/binding", "lightningcss"):
        assert f"node_modules/{native}-{system}" in PACKAGES


def test_a_source_file_does_not_hold_two_nouns() -> None:
    sources = [p for p in (console.SOURCES / "src").rglob("*.ts*") if "generated" not in p.parts]
    assert [str(p) for p in sources if p.read_text(encoding="utf-8").count("\n") > 250] == []


def test_no_page_brings_markup_of_its_own() -> None:
    """What the policy would stop is not even written."""
    named = "dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\\.write|\\beval\\(|new Function"
    sources = [p for p in (console.SOURCES / "src").rglob("*.ts*") if "generated" not in p.parts]
    assert [str(p) for p in sources if re.search(named, p.read_text(encoding="utf-8"))] == []
    assert re.search(named, "element.innerHTML = text"), "the control"


def test_the_build_is_named_after_everything_it_depends_on(tmp_path: Path) -> None:
    not_ours = shutil.ignore_patterns("node_modules", "__pycache__", "generated")
    for name in ("console", "api", "domain", "schema"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=not_ours)
    before = console.sources_hash(tmp_path)
    assert before == console.sources_hash(), "wherever it lies"
    (tmp_path / "console" / "node_modules").mkdir()
    (tmp_path / "console" / "node_modules" / "x.js").write_text("1")
    assert before == console.sources_hash(tmp_path), "what npm installs follows from the lock"
    for changed in ("console/src/main.tsx", "api/routes/handoffs.py", "console/package-lock.json"):
        path = tmp_path / changed
        path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        after = console.sources_hash(tmp_path)
        assert before != after, changed
        before = after
