"""The audit as a file: one JSON document, or CSV, written row by row from one snapshot."""

import csv
import io
import json
import re
import unicodedata
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime

from domain.values import Json, OrganisationId
from schema.exports import SECTIONS, AuditFilters, ExportRepository
from schema.session import Database, Record

COLUMNS = (
    "kind",
    "sequence",
    "hash",
    "previousHash",
    "id",
    "at",
    "actor",
    "action",
    "subject",
    "details",
    "ledger",
    "xact",
    "data",
)
_FORMULA = frozenset("=+-@\t\r\n|%")
_BEFORE = re.compile(r"""(?<![;\s"'\ufeff])[;\s"'\ufeff]+(?=[=+\-@|%＝＋－＠])""")
"""All that stands between a word and a formula. It is read once: only its beginning begins a match."""
_BEGINS = re.compile(r"[;\t\r\n]")
"""Where a spreadsheet of another country begins a cell."""


async def as_json(
    db: Database, organisation: OrganisationId, filters: AuditFilters, named: Json, at: datetime
) -> AsyncGenerator[str, None]:
    """One document; every row of it is a line of its own, so that it can be read in constant memory too."""
    counts: dict[str, int] = {}
    head: Json = {"organisation": organisation, "exportedAt": at.isoformat(), "filters": named}
    async with db.transaction(organisation, frozen=True) as session:
        export = ExportRepository(session)
        head["sealedUpTo"] = await export.sealed_up_to()
        yield json.dumps(head)[:-1] + ',"events":['
        counts["events"] = 0
        async with aclosing(export.events(filters)) as groups:
            async for rows in groups:
                yield _lines([json.dumps(event(row)) for row in rows], counts["events"])
                counts["events"] += len(rows)
        for section in SECTIONS:
            yield f'\n],"{section}":['
            counts[section] = 0
            async with aclosing(export.section(section, filters)) as parts:
                async for texts in parts:
                    yield _lines(texts, counts[section])
                    counts[section] += len(texts)
    yield f'\n],"counts":{json.dumps(counts)}}}\n'


async def as_csv(db: Database, organisation: OrganisationId, filters: AuditFilters) -> AsyncGenerator[str, None]:
    """RFC 4180. The column `data` has what is no event, as JSON."""
    async with db.transaction(organisation, frozen=True) as session:
        export = ExportRepository(session)
        yield _table([COLUMNS])
        async with aclosing(export.events(filters)) as groups:
            async for rows in groups:
                events = (event(row) for row in rows)
                yield _table([["event", *(_cell(e[name]) for name in COLUMNS[1:-1]), ""] for e in events])
        for section in SECTIONS:
            async with aclosing(export.section(section, filters)) as parts:
                async for texts in parts:
                    yield _table([[section, *[""] * (len(COLUMNS) - 2), safe(words)] for words in texts])


def event(row: Record) -> Json:
    """As the standalone verifier reads it. `details` and `ledger` are the texts that were hashed."""
    return {
        "sequence": row.sequence,
        "hash": row.hash,
        "previousHash": row.previous,
        "id": row.id or row.event_id,
        "at": row.at,
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "details": row.details,
        "ledger": row.ledger,
        "xact": row.xact,
    }


def safe(words: str) -> str:
    """What a spreadsheet would calculate begins with an apostrophe instead, and so does what begins with one; the same
    after each semicolon, tab or line end within. Taking one away there gives back what it was, whatever it was."""
    words = _BEFORE.sub(_guarded, words)
    first = words.lstrip("\0 \u00a0\u3000\ufeff")[:1]
    plain = unicodedata.normalize("NFKC", first)[:1]
    risky = plain in _FORMULA or words[:1] == "'" or unicodedata.category(words[0]) in {"Cc", "Cf"} if words else False
    return f"'{words}" if risky else words


def _guarded(found: re.Match[str]) -> str:
    """An apostrophe after each place where the cell of the formula may begin: what lies before its last semicolon is
    another cell."""
    between = found[0]
    start = max(between.rfind(";"), 0)
    return between[:start] + _BEGINS.sub(r"\g<0>'", between[start:])


def _cell(value: object) -> str:
    return "" if value is None else safe(str(value))


def _lines(texts: list[str], before: int) -> str:
    return ("," if before else "") + "\n" + ",\n".join(texts)


def _table(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
