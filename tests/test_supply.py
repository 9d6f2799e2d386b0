"""V-5: what is installed is known to the byte, its licences are ones we take, and the bill of materials says so."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supply.licences import NO_ASSERTION, PAGE, is_taken, licence_of, page
from supply.lock import LOCK, LockInvalid, read_lock
from supply.sbom import OURSELVES, sbom

ROOT = Path(__file__).parent.parent
TEXT = LOCK.read_text(encoding="utf-8")
PACKAGES = read_lock(TEXT)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_V5_every_package_is_pinned_to_a_version_and_to_bytes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pinned = read_lock(text)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, flags=re.M)) > 90


@pytest.mark.parametrize(
    "line", ["fastapi", "fastapi>=0.1", "fastapi==0.1", "fastapi==0.1 \\\n    --hash=md5:00", "git+https://x/y"]
)
def test_V5_a_line_without_version_or_hash_would_be_noticed(line: str) -> None:
    with pytest.raises(LockInvalid):
        read_lock(f"{TEXT}\n{line}\n")


@pytest.mark.parametrize("package", [p for p in PACKAGES if p.is_installed], ids=lambda p: p.name)
def test_V5_every_licence_is_known_and_one_we_take(package: Any) -> None:
    licence = licence_of(package.name)
    assert licence != NO_ASSERTION, "read its licence file and say it in supply/licences.py"
    assert is_taken(package.name, licence), licence


@pytest.mark.parametrize(
    ("name", "licence"),
    [("x", "GPL-3.0-only"), ("x", "LGPL-3.0-only"), ("x", "MIT AND GPL-3.0-only"), ("certifi", "AGPL-3.0-only"),
     ("x", NO_ASSERTION), ("x", "")],
)  # fmt: skip
def test_V5_a_licence_we_do_not_take_would_be_noticed(name: str, licence: str) -> None:
    assert not is_taken(name, licence)


def test_of_two_licences_one_is_enough() -> None:
    assert is_taken("x", "GPL-2.0-only OR MIT")


def test_V5_the_page_of_licences_is_what_is_locked() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(PACKAGES), "make docs"


def test_V5_the_bill_names_every_package_with_its_hashes_and_who_needs_it() -> None:
    bill = json.loads(sbom(TEXT))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert [(c["name"], c["version"]) for c in bill["components"]] == [(p.name, p.version) for p in PACKAGES]
    hashes = {h["content"] for c in bill["components"] for r in c["externalReferences"] for h in r["hashes"]}
    assert hashes == set(re.findall(r"sha256:([0-9a-f]{64})", TEXT))
    references = [OURSELVES, *(c["bom-ref"] for c in bill["components"])]
    assert len(set(references)) == len(references)
    assert {d["ref"] for d in bill["dependencies"]} == set(references)
    needed = {r for d in bill["dependencies"] for r in d["dependsOn"]}
    assert needed == set(references) - {OURSELVES}, "somebody asks for everything that is there"


def test_V5_built_twice_the_bill_has_the_same_bytes() -> None:
    built = [
        subprocess.run(
            [sys.executable, "-c", "import supply.sbom, supply.lock as l; print(supply.sbom.sbom(l.LOCK.read_text()))"],
            cwd=ROOT, env={"PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert built[0] == built[1] == sbom(TEXT).encode() + b"\n"
    assert sbom(TEXT) != sbom(TEXT.replace("fastapi==", "fastapi==9"))
