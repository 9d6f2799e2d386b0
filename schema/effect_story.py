"""One effect, with everything that led to it and everything that came of it, in one question."""

from sqlalchemy import text

from domain.errors import NotFound
from domain.values import EffectId, Json
from schema.sealed import Place, meet, words_of
from schema.session import Session

_STORY = text(
    """
    SELECT to_jsonb(e) - 'organisation' - 'key' AS effect,
        jsonb_build_object('id', i.id, 'request_id', i.request_id, 'customer_id', i.customer_id, 'mode', i.mode,
            'channel', i.channel, 'created_at', i.created_at, 'message', i.message) AS request,
        jsonb_build_object('id', d.id, 'stage', d.stage, 'at', d.at, 'decision', d.decision, 'facts', d.facts)
            AS decision,
        CASE WHEN h.id IS NOT NULL THEN jsonb_build_object('id', h.id, 'kind', h.kind, 'reason', h.reason,
            'digest', h.digest, 'decision', h.decision, 'decided_by', h.decided_by, 'decided_at', h.decided_at)
        END AS handoff,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('approver', a.approver, 'via', a.via, 'digest', a.digest,
            'at', a.at) ORDER BY a.at, a.approver), '[]') FROM handoff_approvals a
            WHERE a.organisation = e.organisation AND a.handoff_id = e.handoff_id) AS approvals,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('attempt', v.attempt, 'state', v.state, 'at', v.at,
            'error_code', v.error_code, 'result', v.result) ORDER BY v.at, v.attempt), '[]') FROM effect_events v
            WHERE v.organisation = e.organisation AND v.effect_id = e.id) AS events,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('id', y.id, 'channel', y.channel, 'status', y.status,
            'reason', y.reason, 'created_at', y.created_at) ORDER BY y.created_at, y.id), '[]') FROM deliveries y
            WHERE y.organisation = e.organisation AND y.effect_id = e.id) AS deliveries
    FROM effects e
    JOIN interactions i ON i.organisation = e.organisation AND i.id = e.interaction_id
    JOIN decisions d ON d.organisation = e.organisation AND d.id = e.decision_id
    LEFT JOIN handoffs h ON h.organisation = e.organisation AND h.id = e.handoff_id
    WHERE e.organisation = :organisation AND e.id = :id
    """
)


async def effect_story(session: Session, effect_id: EffectId) -> Json:
    """By part: `effect`, `request`, `decision` with the facts it was made on, `handoff`, `approvals`, `events`,
    `deliveries`; keys as columns have them. `NotFound` if this organisation has no such effect."""
    row = await session.first(_STORY, id=effect_id)
    if row is None:
        raise NotFound("no such effect")
    story = dict(row._asdict())
    asked = story["request"]
    await meet(session, [asked["message"]])
    asked["message"] = words_of(session, Place("interactions.message", asked["id"]), asked["message"])
    return story
