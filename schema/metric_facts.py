"""What is counted: each fact with the moment it happened, read by an index over that moment.

`FACTS` is a query over `:since` ≤ at < `:until`: metric, label, bucket, value. A label is words with a space between,
the way it is counted by first (`mode`, `tool`, `channel`, `kind`), then what became of it. Labels are codes of ours,
never what a caller wrote.
"""

from domain.dashboard import CONFIDENCE_STEPS, TIME_BOUNDS_S

_TIMES = f"ARRAY[{', '.join(str(bound) for bound in TIME_BOUNDS_S)}]::double precision[]"


def _seconds(since: str, until: str) -> str:
    return f"greatest(extract(epoch FROM {until} - {since}), 0)::double precision"


def _timed(since: str, until: str) -> str:
    """Bucket and value of a duration."""
    took = _seconds(since, until)
    return f"width_bucket({took}, {_TIMES})::smallint AS bucket, {took} AS value"


_ONCE = "0::smallint AS bucket, 0::double precision AS value"
_WITHIN = "organisation = :organisation AND {at} >= :since AND {at} < :until"


def _within(table: str, at: str = "at") -> str:
    return f"{table}.{_WITHIN.format(at=f'{table}.{at}')}"


RECEIVED = f"""
    SELECT i.created_at AS at, 'received' AS metric, i.mode AS label, {_ONCE}
    FROM interactions i WHERE {_within("i", "created_at")}
"""
ANSWERED = f"""
    SELECT i.answered_at, 'answered', concat_ws(' ', i.mode, coalesce(i.outcome, 'none'), coalesce(i.intent, 'none')),
           {_timed("i.created_at", "i.answered_at")}
    FROM interactions i WHERE {_within("i", "answered_at")}
"""
CONFIDENCE = f"""
    SELECT i.answered_at, 'confidence', i.mode,
           least(width_bucket(i.confidence, 0, 1, {CONFIDENCE_STEPS}), {CONFIDENCE_STEPS})::smallint, i.confidence
    FROM interactions i WHERE {_within("i", "answered_at")} AND i.confidence IS NOT NULL
"""
FINISHED = f"""
    SELECT i.finished_at, 'finished', concat_ws(' ', i.mode, i.status), {_timed("i.created_at", "i.finished_at")}
    FROM interactions i WHERE {_within("i", "answered_at")} AND i.finished_at = i.answered_at
    UNION ALL
    SELECT i.finished_at, 'finished', concat_ws(' ', i.mode, i.status), {_timed("i.created_at", "i.finished_at")}
    FROM interactions i
    WHERE {_within("i", "finished_at")} AND i.finished_at IS NOT NULL AND i.finished_at IS DISTINCT FROM i.answered_at
"""
POLICIES = f"""
    SELECT d.at, 'policies', concat_ws(' ', d.outcome, coalesce(d.decision #>> '{{reasons,0,rule}}', 'none'),
                                       coalesce(d.decision #>> '{{reasons,0,code}}', 'none')), {_ONCE}
    FROM decisions d WHERE {_within("d")} AND d.mode = 'live'
"""
UNVERIFIED = f"""
    SELECT d.at, 'unverified', issue ->> 'check', {_ONCE}
    FROM decisions d CROSS JOIN LATERAL jsonb_array_elements(d.decision -> 'issues') issue
    WHERE {_within("d")} AND d.mode = 'live'
    UNION ALL
    SELECT e.at, 'unverified', 'reply', {_ONCE}
    FROM handoff_events e JOIN handoffs h ON h.organisation = e.organisation AND h.id = e.handoff_id
    WHERE {_within("e")} AND e.kind = 'opened' AND h.reason = 'reply_not_backed'
"""
HANDOFFS = f"""
    SELECT e.at, 'handoffs', concat_ws(' ', h.kind, h.reason), {_ONCE}
    FROM handoff_events e JOIN handoffs h ON h.organisation = e.organisation AND h.id = e.handoff_id
    WHERE {_within("e")} AND e.kind = 'opened'
    UNION ALL
    SELECT e.at, 'decided', concat_ws(' ', h.kind, h.decision), {_timed("h.opened_at", "e.at")}
    FROM handoff_events e JOIN handoffs h ON h.organisation = e.organisation AND h.id = e.handoff_id
    WHERE {_within("e")} AND e.kind = h.decision AND e.at = h.decided_at
    UNION ALL
    SELECT e.at, 'breached', concat_ws(' ', h.kind, e.details ->> 'clock'), {_ONCE}
    FROM handoff_events e JOIN handoffs h ON h.organisation = e.organisation AND h.id = e.handoff_id
    WHERE {_within("e")} AND e.kind = 'breached'
"""
# The first of its kind counts: who claims again, or writes again, was there before.
REACTIONS = f"""
    SELECT e.at, CASE e.kind WHEN 'claimed' THEN 'claimed' ELSE 'responded' END, h.kind, {_timed("h.opened_at", "e.at")}
    FROM handoff_events e JOIN handoffs h ON h.organisation = e.organisation AND h.id = e.handoff_id
    WHERE {_within("e")} AND (
            e.kind IN ('claimed', 'operator_message')
            OR e.kind IN ('approved', 'rejected', 'resolved') AND e.kind = h.decision AND e.at = h.decided_at)
        AND NOT EXISTS (
            SELECT FROM handoff_events b
            WHERE b.organisation = e.organisation AND b.handoff_id = e.handoff_id AND (b.at, b.id) < (e.at, e.id)
                AND (b.kind = 'claimed') = (e.kind = 'claimed') AND b.kind IN ('claimed', 'operator_message'))
"""
EFFECTS = f"""
    SELECT v.at, 'effects', concat_ws(' ', e.tool, v.state), {_ONCE}
    FROM effect_events v JOIN effects e ON e.organisation = v.organisation AND e.id = v.effect_id
    WHERE {_within("v")}
"""
# What is handed over with the answer itself has no attempts, and no event: it arrived when it was written.
DELIVERIES = f"""
    SELECT d.created_at, 'deliveries', concat_ws(' ', d.channel, 'delivered'), {_ONCE}
    FROM deliveries d WHERE {_within("d", "created_at")} AND d.delivered_at = d.created_at AND d.attempts = 0
    UNION ALL
    SELECT v.at, 'deliveries', concat_ws(' ', d.channel, v.status), {_timed("d.created_at", "v.at")}
    FROM delivery_events v JOIN deliveries d ON d.organisation = v.organisation AND d.id = v.delivery_id
    WHERE {_within("v")} AND NOT (v.status = 'delivered' AND d.delivered_at = d.created_at AND d.attempts = 0)
"""
FACTS = " UNION ALL ".join(
    (
        RECEIVED,
        ANSWERED,
        CONFIDENCE,
        FINISHED,
        POLICIES,
        UNVERIFIED,
        HANDOFFS,
        REACTIONS,
        EFFECTS,
        DELIVERIES,
    )
)
COUNTED_DIRECTLY = "replays"
"""The one metric nobody rolls up: whoever repeats an answer counts it (`schema.rollups.count_replay`)."""
