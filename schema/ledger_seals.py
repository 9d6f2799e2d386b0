"""What the sealed audit holds of the ledger, so that a row which was changed since is found.

The seal of an event about an interaction, an effect or a handoff carries a digest of each row it is about, made when
the event is sealed. `docs/audit/README.md` has the format; `differing` reads it against the rows.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import text

from domain.audit import AuditRecord, Link
from schema.session import Session

SHOWN_AT = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
"""A time as it is hashed."""


class Kind(NamedTuple):
    """Columns that nobody changes once they are written, in the order they are hashed."""

    table: str
    columns: tuple[str, ...]
    """They stay, even if the customer is forgotten."""
    words: tuple[str, ...]
    """What forgetting the customer overwrites, and time."""
    id: str = "id"
    only: str = "true"


KINDS = {
    "decision": Kind(
        "decisions",
        (
            *("id", "interaction_id", "stage", "mode", "outcome", "priority", "intent", "confidence"),
            *("policy_version", "digest", "at"),
        ),
        ("decision", "proposal", "facts"),
    ),
    "effect": Kind(
        "effects",
        (
            *("id", "key", "interaction_id", "decision_id", "handoff_id", "ordinal", "tool", "effect_class", "digest"),
            *("amount", "currency", "policy_version", "reserved_at"),
        ),
        ("customer_id", "subject", "arguments"),
    ),
    "outcome": Kind(
        "effect_events",
        ("effect_id", "attempt", "state", "error_code", "at"),
        ("result",),
        id="effect_id",
        only="x.state IN ('confirmed', 'failed', 'unknown')",
    ),
    "undoing": Kind(
        "effect_events",
        ("effect_id", "attempt", "state", "error_code", "at"),
        ("result",),
        id="effect_id",
        only="x.state = 'undone'",
    ),
    "handoff": Kind(
        "handoffs",
        ("id", "interaction_id", "kind", "reason", "confidence", "decision_id", "digest", "opened_at"),
        ("customer_id", "proposed", "issues"),
    ),
    "ruling": Kind(
        "handoffs",
        ("id", "decision", "decided_by", "decided_at", "agreed_digest"),
        ("resolution",),
        only="x.decision IS NOT NULL",
    ),
}
_TIMES = {"at", "reserved_at", "opened_at", "decided_at"}
ABOUT = (
    ("decision", "interaction.", "interaction_id"),
    ("effect", "interaction.", "interaction_id"),
    ("outcome", "interaction.", ""),
    ("effect", "effect.", "id"),
    ("outcome", "effect.", "effect_id"),
    ("undoing", "effect.undone", "effect_id"),
    ("handoff", "handoff.opened", "id"),
    ("ruling", "handoff.", "id"),
)
"""Of which kinds events speak whose action begins so, and the column that has their subject; none: the effect's
interaction has it."""


def _digest(columns: tuple[str, ...]) -> str:
    shown = ", ".join(SHOWN_AT.format(f"x.{name}") if name in _TIMES else f"x.{name}" for name in columns)
    return f"encode(sha256(convert_to(jsonb_build_array({shown})::text, 'UTF8')), 'hex')"


def _parameter(action: str) -> str:
    return action.replace(".", "_")


def _rows(kind: Kind, column: str) -> str:
    # Behind OFFSET nothing is joined: a planner that guesses how many subjects there are would read all of the table.
    if column:
        where = f"x.organisation = :organisation AND x.{column} = u.subject AND {kind.only}"
        return f"SELECT x.* FROM {kind.table} x WHERE {where} OFFSET 0"
    return (
        "SELECT x.* FROM effects f CROSS JOIN LATERAL (SELECT x.* FROM effect_events x WHERE"
        f" x.organisation = :organisation AND x.effect_id = f.id AND {kind.only} OFFSET 0) x"
        " WHERE f.organisation = :organisation AND f.interaction_id = u.subject OFFSET 0"
    )


def _told(name: str, action: str, column: str) -> str:
    kind = KINDS[name]
    subjects = f"unnest(CAST(:{_parameter(action)} AS varchar[])) u (subject)"
    return (
        f"SELECT '{action}' AS action, u.subject, '{name}' AS of, x.{kind.id} AS id,"
        f" {_digest(kind.columns)} AS row, {_digest(kind.words)} AS words"
        f" FROM {subjects} CROSS JOIN LATERAL ({_rows(kind, column)}) x"
    )


_TOLD = text(" UNION ALL ".join(_told(*about) for about in ABOUT) + " ORDER BY of, id")
_ACTIONS = tuple(dict.fromkeys(action for _, action, _ in ABOUT))
_WRITE = json.JSONEncoder(separators=(",", ":")).encode


async def said_of(session: Session, events: Sequence[AuditRecord]) -> list[str]:
    """What the seal of each of these events is to say of the ledger as it is now: JSON text, empty for nothing."""
    subjects = {a: list({e.subject for e in events if e.action.startswith(a)}) for a in _ACTIONS}
    if not any(subjects.values()):
        return [""] * len(events)
    told = defaultdict[tuple[str, str], list[dict[str, str]]](list)
    for row in await session.all(_TOLD, **{_parameter(action): found for action, found in subjects.items()}):
        told[row.action, row.subject].append({"of": row.of, "id": row.id, "row": row.row, "words": row.words})
    said = (
        [one for action in _ACTIONS if event.action.startswith(action) for one in told[action, event.subject]]
        for event in events
    )
    return [_WRITE(rows) if rows else "" for rows in said]


_ERASED = (
    "EXISTS (SELECT FROM audit_events g WHERE g.organisation = :organisation"
    " AND g.subject = 'ers_' || right({}, 32) AND g.action LIKE 'customer.eras%')"
)
"""Who is on record as forgotten has other words than were sealed."""


def _emptied(table: str) -> str:
    """Its time was over: a run that is on record from before it was emptied says so, and so does the row."""
    source, row, closed = {
        "decisions": ("interactions i", "i.id = x.interaction_id", "i.finished_at"),
        "effects": ("interactions i", "i.id = x.interaction_id", "i.finished_at"),
        "effect_events": (
            "effects f JOIN interactions i ON i.organisation = f.organisation AND i.id = f.interaction_id",
            "f.id = x.effect_id",
            "i.finished_at",
        ),
        "handoffs": ("handoffs i", "i.id = x.id", "i.decided_at"),
    }[table]
    subject = "handoffs" if table == "handoffs" else "interactions"
    return (
        f"EXISTS (SELECT FROM {source} WHERE i.organisation = :organisation AND {row} AND i.emptied_at IS NOT NULL"
        f" AND EXISTS (SELECT FROM audit_events g WHERE g.organisation = :organisation AND g.subject = '{subject}'"
        f" AND g.at <= i.emptied_at AND {closed} < CASE g.action WHEN 'retention.begun'"
        f" THEN (g.details ->> 'before')::timestamptz END))"
    )


def _differing(name: str) -> str:
    kind = KINDS[name]
    whose = {
        "decisions": "(SELECT i.customer_id FROM interactions i"
        " WHERE i.organisation = :organisation AND i.id = x.interaction_id)",
        "effects": "x.customer_id",
        "effect_events": "(SELECT f.customer_id FROM effects f"
        " WHERE f.organisation = :organisation AND f.id = x.effect_id)",
        "handoffs": "x.customer_id",
    }[kind.table]
    # A subquery per row and no join: a planner that guesses how much was said would read all of the table each time.
    return (
        f"SELECT w.place FROM said w WHERE w.of = '{name}' AND (SELECT"
        f" {_digest(kind.columns)} = w.row AND ({_digest(kind.words)} = w.words OR {_ERASED.format(whose)}"
        f" OR {_emptied(kind.table)})"
        f" FROM {kind.table} x WHERE x.organisation = :organisation AND x.{kind.id} = w.id AND {kind.only}) IS NOT TRUE"
    )


_DIFFERING = text(
    f"""
    WITH said AS MATERIALIZED (
        SELECT * FROM unnest(string_to_array(:of, E'\\n'), string_to_array(:id, E'\\n'), string_to_array(:row, E'\\n'),
            string_to_array(:words, E'\\n')) WITH ORDINALITY AS w (of, id, row, words, place)
    )
    {" UNION ALL ".join(map(_differing, KINDS))}
    ORDER BY place LIMIT 20
    """
)


class Said(NamedTuple):
    """What an event says of a row."""

    sequence: int
    event_id: str
    of: str
    id: str
    row: str
    words: str


async def differing(session: Session, links: Sequence[Link]) -> list[Said]:
    """What these events say of rows that are not so any more, or are gone: twenty at most, the first place first."""
    said = [one for link in links for one in _said(link)]
    if not said:
        return []
    # Lines instead of arrays: those are read one word at a time, which takes longer than everything else here.
    columns = dict(zip(_NAMES, map("\n".join, zip(*(one[2:] for one in said), strict=True)), strict=True))
    return [said[row.place - 1] for row in await session.all(_DIFFERING, **columns)]


def _said(link: Link) -> Iterator[Said]:
    """By its seal, or by the event itself where an earlier release wrote it. What is no such list says nothing."""
    event = link.event
    listed: list[object] = []
    if event and event.ledger:
        listed += _list(_read(event.ledger))
    if event and '"ledger"' in event.details:
        found = _read(event.details)
        listed += _list(found.get("ledger") if isinstance(found, dict) else None)
    for one in listed:
        match one:
            case {"of": str(of), "id": str(name), "row": str(row), "words": str(words)}:
                if "\n" not in of + name + row + words:
                    yield Said(link.sequence, link.event_id, of, name, row, words)


_NAMES = ("of", "id", "row", "words")


def _read(words: str) -> object:
    try:
        return json.loads(words)
    except (ValueError, RecursionError):  # its hash is wrong, and that is found
        return None


def _list(found: object) -> list[object]:
    return found if isinstance(found, list) else []
