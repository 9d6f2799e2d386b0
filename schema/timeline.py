"""Everything on record about one interaction, in the order it happened."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.values import InteractionId, Json
from schema.sealed import Place, meet, words_of
from schema.session import Record, Session


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    at: datetime
    kind: str
    """`message`, `decision`, `effect`, `handoff`, `delivery` or `audit`."""
    what: str
    """What happened: an outcome, a state, an event."""
    id: str
    """Of the decision, effect, handoff, delivery or audit event."""
    data: Json


_HERE = "x.organisation = :organisation AND x.interaction_id = :interaction_id"
_TIMELINE = text(
    f"""
    SELECT x.created_at AS at, 0 AS step, 'message' AS kind, 'received' AS what, x.id,
           jsonb_build_object('channel', x.channel, 'mode', x.mode, 'assurance', x.assurance) AS data
    FROM interactions x WHERE x.organisation = :organisation AND x.id = :interaction_id
    UNION ALL
    SELECT x.at, 1, 'decision', x.outcome, x.id, jsonb_build_object('stage', x.stage, 'decision', x.decision)
    FROM decisions x WHERE {_HERE}
    UNION ALL
    SELECT x.reserved_at, 2, 'effect', 'reserved', x.id, jsonb_build_object(
        'tool', x.tool, 'arguments', x.arguments, 'decisionId', x.decision_id, 'handoffId', x.handoff_id,
        'policyVersion', x.policy_version)
    FROM effects x WHERE {_HERE}
    UNION ALL
    SELECT v.at, 3, 'effect', v.state, v.effect_id, jsonb_build_object(
        'tool', x.tool, 'attempt', v.attempt, 'result', v.result, 'errorCode', v.error_code)
    FROM effects x JOIN effect_events v ON v.organisation = x.organisation AND v.effect_id = x.id WHERE {_HERE}
    UNION ALL
    SELECT v.at, 4, 'handoff', v.kind, v.handoff_id, v.details || jsonb_build_object('actor', v.actor)
    FROM handoffs x JOIN handoff_events v ON v.organisation = x.organisation AND v.handoff_id = x.id WHERE {_HERE}
    UNION ALL
    SELECT x.created_at, 5, 'delivery', 'created', x.id,
           jsonb_build_object('channel', x.channel, 'purpose', x.purpose, 'status', x.status)
    FROM deliveries x WHERE {_HERE}
    UNION ALL
    SELECT v.at, 6, 'delivery', v.status, v.delivery_id, jsonb_build_object('code', v.code)
    FROM deliveries x JOIN delivery_events v ON v.organisation = x.organisation AND v.delivery_id = x.id WHERE {_HERE}
    UNION ALL
    SELECT x.at, 7, 'audit', x.action, x.id, x.details || jsonb_build_object('actor', x.actor)
    FROM audit_events x WHERE x.organisation = :organisation AND x.subject = :interaction_id
    UNION ALL
    SELECT x.at, 8, 'message', 'sent', x.id, jsonb_build_object('author', x.author, 'text', x.body)
    FROM messages x WHERE {_HERE}
    ORDER BY at, step, id
    """
)


async def read_timeline(session: Session, interaction_id: InteractionId) -> tuple[TimelineEntry, ...]:
    rows = await session.all(_TIMELINE, interaction_id=interaction_id)
    await meet(session, [row.data.get("text") for row in rows])
    return tuple(TimelineEntry(row.at, row.kind, row.what, row.id, _in_clear(session, row)) for row in rows)


def _in_clear(session: Session, row: Record) -> Json:
    data: Json = row.data
    if row.kind == "message" and "text" in data:
        return {**data, "text": words_of(session, Place("messages.body", row.id), data["text"])}
    return data
