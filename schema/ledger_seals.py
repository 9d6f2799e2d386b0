"""What the sealed audit holds of the ledger, so that a row which was changed since is found.

An event about an interaction, an effect or a handoff carries a digest of each row it is about, made by the statement
that writes the event. `docs/audit/README.md` has the format; `schema.audit_chain` reads it against the rows.
"""

from typing import NamedTuple

from sqlalchemy import text

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


def _digest(columns: tuple[str, ...]) -> str:
    shown = ", ".join(SHOWN_AT.format(f"x.{name}") if name in _TIMES else f"x.{name}" for name in columns)
    return f"encode(sha256(convert_to(jsonb_build_array({shown})::text, 'UTF8')), 'hex')"


def _sealed(name: str, whose: str) -> str:
    kind = KINDS[name]
    return (
        f"SELECT '{name}' AS of, x.{kind.id} AS id, {_digest(kind.columns)} AS row, {_digest(kind.words)} AS words"
        f" FROM {kind.table} x WHERE x.organisation = :organisation AND {kind.only} AND {whose}"
    )


_OF_EFFECTS = (
    "x.effect_id IN (SELECT f.id FROM effects f WHERE f.organisation = :organisation AND f.interaction_id = r.subject)"
)
_ABOUT = " UNION ALL ".join(
    (
        _sealed("decision", "r.action LIKE 'interaction.%' AND x.interaction_id = r.subject"),
        _sealed("effect", "r.action LIKE 'interaction.%' AND x.interaction_id = r.subject"),
        _sealed("outcome", f"r.action LIKE 'interaction.%' AND {_OF_EFFECTS}"),
        _sealed("effect", "r.action LIKE 'effect.%' AND x.id = r.subject"),
        _sealed("outcome", "r.action LIKE 'effect.%' AND x.effect_id = r.subject"),
        _sealed("undoing", "r.action = 'effect.undone' AND x.effect_id = r.subject"),
        _sealed("handoff", "r.action = 'handoff.opened' AND x.id = r.subject"),
        _sealed("ruling", "r.action LIKE 'handoff.%' AND x.id = r.subject"),
    )
)
SEALED_WITH = f"""coalesce((
    SELECT jsonb_build_object('ledger', jsonb_agg(to_jsonb(s) ORDER BY s.of, s.id)) FROM ({_ABOUT}) s
    HAVING count(*) > 0), '{{}}')"""
"""As part of an event's details, of the event `r`: what stands in the ledger about its subject."""


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
        f"SELECT w.sequence, w.event_id, w.of, w.id FROM said w WHERE w.of = '{name}' AND (SELECT"
        f" {_digest(kind.columns)} = w.row AND ({_digest(kind.words)} = w.words OR {_ERASED.format(whose)}"
        f" OR {_emptied(kind.table)})"
        f" FROM {kind.table} x WHERE x.organisation = :organisation AND x.{kind.id} = w.id AND {kind.only}) IS NOT TRUE"
    )


_DIFFERING = text(
    f"""
    WITH said AS MATERIALIZED (
        SELECT s.sequence, s.event_id, w.of, w.id, w.row, w.words FROM audit_seals s
        JOIN audit_events e ON e.organisation = s.organisation AND e.id = s.event_id
        CROSS JOIN LATERAL jsonb_to_recordset(CASE jsonb_typeof(e.details -> 'ledger') WHEN 'array'
            THEN e.details -> 'ledger' ELSE '[]' END) AS w (of varchar, id varchar, row varchar, words varchar)
        WHERE s.organisation = :organisation AND s.sequence BETWEEN :first AND :last
    )
    {" UNION ALL ".join(map(_differing, KINDS))}
    ORDER BY sequence, of, id LIMIT 20
    """
)


class Differs(NamedTuple):
    """A row that is not as it was when this event was written, or is not there any more."""

    sequence: int
    event_id: str
    of: str
    id: str


async def differing(session: Session, first: int, last: int) -> list[Differs]:
    """The first rows that differ from what the events at these places say of them, twenty at most."""
    rows = await session.all(_DIFFERING, first=first, last=last)
    return [Differs(row.sequence, row.event_id, row.of, row.id) for row in rows]
