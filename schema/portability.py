"""Everything about one customer, section by section. Give it a frozen transaction: all sections are of one moment."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from sqlalchemy import TextClause, text

from domain.values import CustomerId
from schema.sealed import Place, meet, words_of
from schema.seals import MARK, key_id_of
from schema.session import Session

_OURS = "- 'organisation' - 'fingerprint' - 'body_fields' - 'decision_digest' - 'address_hash' - 'nonce' - 'tried'"
"""How we recognise repeats is nothing we know of anybody."""


def _rows(table: str, whose: str, order: str = "id", join: str = "") -> TextClause:
    return text(
        f"SELECT (to_jsonb(x) {_OURS})::text AS words FROM {table} x {join}"
        f" WHERE x.organisation = :organisation AND {whose} ORDER BY x.{order}"
    )


def _of(parent: str, key: str) -> str:
    return f"JOIN {parent} p ON p.organisation = x.organisation AND p.id = x.{key}"


_MINE = "x.customer_id = :customer_id"
_PARENTS = "p.customer_id = :customer_id"
SECTIONS: dict[str, TextClause] = {
    "customers": _rows("customers", "x.id = :customer_id"),
    "channels": _rows("customer_channels", _MINE),
    "codes": _rows("customer_codes", _MINE),
    "consents": _rows("consents", _MINE),
    "invoices": _rows("invoices", _MINE),
    "refunds": _rows("refunds", _MINE, "key"),
    "tickets": _rows("tickets", _MINE),
    "conversations": _rows("conversations", _MINE),
    "conversationEvents": _rows("conversation_events", _PARENTS, join=_of("conversations", "conversation_id")),
    "messages": _rows("messages", _MINE),
    "interactions": _rows("interactions", _MINE),
    "decisions": _rows("decisions", _PARENTS, join=_of("interactions", "interaction_id")),
    "effects": _rows("effects", _MINE),
    "effectEvents": _rows("effect_events", _PARENTS, "effect_id, x.attempt, x.at", join=_of("effects", "effect_id")),
    "handoffs": _rows("handoffs", _MINE),
    "handoffEvents": _rows("handoff_events", _PARENTS, join=_of("handoffs", "handoff_id")),
    "handoffRevisions": _rows("handoff_revisions", _PARENTS, "revision", join=_of("handoffs", "handoff_id")),
    "handoffApprovals": _rows("handoff_approvals", _PARENTS, "at", join=_of("handoffs", "handoff_id")),
    "deliveries": _rows("deliveries", _MINE),
    "deliveryEvents": _rows("delivery_events", _PARENTS, join=_of("deliveries", "delivery_id")),
    "deliveryVersions": _rows("delivery_versions", _PARENTS, "version", join=_of("deliveries", "delivery_id")),
}
"""Each table that holds a customer's rows, by the name of its section. A test finds those that are missing here."""

_KEYS = text("SELECT id FROM customer_keys WHERE organisation = :organisation AND customer_id = :customer_id")
_SEALED = json.dumps(MARK)[:-1]
_CAPITAL = re.compile("([A-Z])")


async def rows_of(session: Session, section: str, customer_id: CustomerId) -> AsyncGenerator[list[str], None]:
    """Each row as JSON text, with the names its columns have."""
    await _meet_all(session, customer_id)
    async with aclosing(session.stream(SECTIONS[section], customer_id=customer_id)) as stream:
        async for rows in stream:
            yield [_in_clear(session, section, row.words) for row in rows]


async def _meet_all(session: Session, customer_id: CustomerId) -> None:
    """Every key of theirs, before the rows: a stream leaves no room for another question."""
    keys = await session.all(_KEYS, customer_id=customer_id)
    await meet(session, [f"{MARK}{key.id}." for key in keys])


def _in_clear(session: Session, section: str, words: str) -> str:
    if _SEALED not in words:
        return words
    table, row = _CAPITAL.sub(r"_\1", section).lower(), json.loads(words)
    for column, value in row.items():
        if key_id_of(value):
            row[column] = words_of(session, Place(f"{table}.{column}", row.get("id") or row["delivery_id"]), value)
    return json.dumps(row, ensure_ascii=False)
