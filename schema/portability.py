"""Everything about one customer, section by section. Give it a frozen transaction: all sections are of one moment."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sqlalchemy import TextClause, text

from domain.values import CustomerId
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


async def rows_of(session: Session, section: str, customer_id: CustomerId) -> AsyncGenerator[list[str], None]:
    """Each row as JSON text, with the names its columns have."""
    async with aclosing(session.stream(SECTIONS[section], customer_id=customer_id)) as stream:
        async for rows in stream:
            yield [row.words for row in rows]
