"""Which rows have had their time, as a table: part by part, never what is open, never what is held."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import TextClause, text

from domain.retention import DataClass
from schema.conversation_rows import ASKED
from schema.legal_holds import held


class Part(NamedTuple):
    """One table's rows of a class. `x` is the row."""

    name: str
    since: str
    """When it was finished with."""
    closed: str = "true"
    """Nothing about it is open."""
    customer: str = "x.customer_id"
    join: str = ""
    id: str = "x.id"


_UNDECIDED = "(h.decision IS NULL OR h.told_at IS NULL)"
_IN_FLIGHT = "(d.status IN ('pending', 'dead_letter') OR d.told_at IS NULL)"


def _case_is_closed(interaction: str) -> str:
    """Of an interaction: answered for good, nobody is asked, nothing is under way to anybody."""
    return f"""(
        NOT EXISTS (SELECT FROM interactions i
            WHERE i.organisation = x.organisation AND i.id = {interaction} AND i.finished_at IS NULL)
        AND NOT EXISTS (SELECT FROM handoffs h
            WHERE h.organisation = x.organisation AND h.interaction_id = {interaction} AND {_UNDECIDED})
        AND NOT EXISTS (SELECT FROM deliveries d
            WHERE d.organisation = x.organisation AND d.interaction_id = {interaction} AND {_IN_FLIGHT}))"""


_CONVERSATION_IS_CLOSED = f"""(
    (v.human_until IS NULL OR v.human_until <= :at) AND NOT {ASKED}
    AND NOT EXISTS (SELECT FROM interactions x
        WHERE x.organisation = v.organisation AND x.conversation_id = v.id AND x.emptied_at IS NULL
            AND (x.finished_at IS NULL OR NOT {_case_is_closed("x.id")})))"""
_CONVERSATION = "JOIN conversations v ON v.organisation = x.organisation AND v.id = x.conversation_id"

PARTS: Mapping[DataClass, tuple[Part, ...]] = {
    DataClass.MESSAGES: (
        Part("messages", "x.at", _CONVERSATION_IS_CLOSED, join=_CONVERSATION),
        Part("conversation_events", "x.at", _CONVERSATION_IS_CLOSED, "v.customer_id", _CONVERSATION),
    ),
    DataClass.INTERACTIONS: (
        Part("interactions", "x.finished_at", f"x.emptied_at IS NULL AND {_case_is_closed('x.id')}"),
    ),
    DataClass.HANDOFFS: (
        Part("handoffs", "x.decided_at", f"x.emptied_at IS NULL AND {_case_is_closed('x.interaction_id')}"),
    ),
    DataClass.DELIVERIES: (
        Part(
            "deliveries",
            "x.created_at",
            "x.emptied_at IS NULL AND x.status IN ('delivered', 'discarded') AND x.told_at IS NOT NULL"
            f" AND (x.interaction_id IS NULL OR {_case_is_closed('x.interaction_id')})",
        ),
    ),
    DataClass.NOTIFICATIONS: (Part("notifications", "x.at", customer="NULL"),),
    DataClass.SIGN_INS: (
        Part("sessions", "coalesce(x.ended_at, least(x.idle_until, x.expires_at))", customer="NULL"),
        Part("customer_tokens", "x.expires_at"),
        Part("sign_in_throttles", "greatest(x.last_at, x.blocked_until)", customer="NULL", id="x.kind || ':' || x.key"),
    ),
}


def _found(part: Part) -> str:
    return (
        f"SELECT {part.id} AS id FROM {part.name} x {part.join} WHERE x.organisation = :organisation"
        f" AND {part.since} < CAST(:before AS timestamptz) AND {part.closed} AND NOT {held(part.customer)}"
    )


FIND: Mapping[str, TextClause] = {
    part.name: text(f"{_found(part)} ORDER BY {part.since} LIMIT :most") for parts in PARTS.values() for part in parts
}
"""The ids of a part's rows that go now, the oldest first."""
COUNT: Mapping[DataClass, TextClause] = {
    each: text(
        f"SELECT count(*) AS n FROM ({' UNION ALL '.join(f'({_found(part)} LIMIT :most)' for part in parts)}) found"
    )
    for each, parts in PARTS.items()
}
"""How many rows of a class go now, up to `:most` of each part."""
