"""What leaves: one sound JSON document, CSV no spreadsheet calculates with, and a check that needs nothing of ours."""

import asyncio
import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.exporting import as_csv, as_json, safe
from domain.values import Json
from schema.audit import AuditEvent, AuditRepository
from schema.exports import SECTIONS, AuditFilters
from tests.audit.chain import OPERATORS, Chain, spoil
from tests.schema.given import ACME, GLOBEX, NOW

SCRIPT = Path(__file__).parents[2] / "docs/audit/verify_audit.py"


async def exported(chain: Chain) -> str:
    return "".join([part async for part in as_json(chain.db, ACME, AuditFilters(), {}, NOW)])


def judged(folder: Path, export: str, chain: Chain) -> Json:
    """What the stand-alone script says, run with nothing of ours to import."""
    (folder / "export.json").write_text(export)
    (folder / "key.pem").write_text(chain.keys.public_pem())
    (checkpoints,) = chain.folder.iterdir()
    command = [sys.executable, "-I", str(SCRIPT), "export.json"]
    told = subprocess.run(
        [*command, "--checkpoints", str(checkpoints), "--public-key", "key.pem"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode in {0, 1}, told.stderr
    verdict: Json = json.loads(told.stdout)
    assert verdict["ok"] is (told.returncode == 0)
    return verdict


@pytest.fixture
async def sealed(chain: Chain) -> Chain:
    await chain.write(40)
    await chain.seal_all()
    chain.keep()
    return chain


@pytest.mark.parametrize("operator", [None, *OPERATORS, "lost end", "written anew"])
async def test_A5_the_stand_alone_check_says_what_the_route_says(
    sealed: Chain, tmp_path: Path, operator: str | None
) -> None:
    if operator == "lost end":
        sealed.owner.execute(
            "DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_seals WHERE sequence > 30)"
        )
        sealed.owner.execute("DELETE FROM audit_seals WHERE sequence > 30")
        sealed.owner.execute("DELETE FROM audit_batches WHERE last_sequence > 30")
    elif operator:
        spoil(sealed, "action" if operator == "written anew" else operator, 17)
    if operator == "written anew":
        sealed.rehash()
    verdict = await sealed.verify()
    theirs = await asyncio.to_thread(judged, tmp_path, await exported(sealed), sealed)
    ours = {(f.problem.value, f.sequence) for f in verdict.findings}
    found = {(f["problem"], f["sequence"]) for f in theirs["findings"]}
    assert (theirs["ok"], theirs["head"]) == (operator is None, verdict.head)
    if operator in {"slipped_in", "seal_deleted"}:  # the script knows that it has no place, not where it belongs
        ours, found = ({p for p in pairs if p[0] != "not_sealed"} for pairs in (ours, found))
    assert found == ours


async def test_the_document_is_whole_and_of_this_organisation_only(sealed: Chain) -> None:
    async with sealed.db.transaction(GLOBEX) as session:
        await AuditRepository(session).append(AuditEvent(NOW, "agent", "theirs.only", "int_x"))
    export = await exported(sealed)
    document = json.loads(export)
    assert set(SECTIONS) < set(document)
    assert (len(document["events"]), document["counts"]["events"]) == (40, 40)
    assert [e["sequence"] for e in document["events"]] == list(range(1, 41))
    assert "theirs.only" not in export
    only = AuditFilters(subject="int_3")
    some = json.loads("".join([part async for part in as_json(sealed.db, ACME, only, {"subject": "int_3"}, NOW)]))
    assert [e["subject"] for e in some["events"]] == ["int_3"]


HOSTILE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    " =1",
    "\ufeff=1",
    "'=1",
)


@pytest.mark.parametrize("words", HOSTILE)
def test_X3_no_cell_is_calculated(words: str) -> None:
    assert (safe(words)[:1], undone(safe(words))) == ("'", words)


def undone(made: str) -> str:
    """As the page of the format says."""
    made = made[1:] if made[:1] == "'" else made
    return re.sub(r"""([;\t\r\n])'(?=[\s"'\ufeff]*[=+\-@|%＝＋－＠])""", r"\1", made)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_X3_what_is_made_safe_is_told_apart_and_comes_back(words: str) -> None:
    made = safe(words)
    assert undone(made) == words
    assert made[:1] not in {*"=+-@＝＋－＠", "\t", "\r", "\n"}


async def test_X3_the_csv_parses_back_to_the_same_rows(chain: Chain) -> None:
    async with chain.db.transaction(ACME) as session:
        hostile = [AuditEvent(NOW, words, "a.b", f'say "{words}", \r\nthen', {"x": words}) for words in HOSTILE]
        await AuditRepository(session).append(*hostile)
    text = "".join([part async for part in as_csv(chain.db, ACME, AuditFilters())])
    rows = [row for row in csv.DictReader(io.StringIO(text, newline="")) if row["kind"] == "event"]
    assert sorted(undone(row["actor"]) for row in rows) == sorted(HOSTILE)
    assert sorted(undone(row["subject"]) for row in rows) == sorted(e.subject for e in hostile)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
async def test_X3_a_spreadsheet_that_splits_elsewhere_calculates_nothing_either(chain: Chain, delimiter: str) -> None:
    words = ("a;=1+1", "x\t=2+2", "\u3000=1", "b,=3", 'c;"=4', "d;'=5", "e\n=6")
    async with chain.db.transaction(ACME) as session:
        await AuditRepository(session).append(*(AuditEvent(NOW, w, "a.b", w, {"x": w}) for w in words))
    text = "".join([part async for part in as_csv(chain.db, ACME, AuditFilters())])
    cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for cell in row]
    assert not [cell for cell in cells if cell.lstrip(" \u3000")[:1] in {*"=+-@＝＋－＠\t\r\n"} and cell]


async def test_F15_whoever_stops_reading_gives_the_connection_back(sealed: Chain) -> None:
    for _ in range(15):  # more often than there are connections
        rows = as_json(sealed.db, ACME, AuditFilters(), {}, NOW)
        await anext(rows)
        await rows.aclose()
    async with asyncio.timeout(5):
        await sealed.db.ping()
