"""What a dashboard asks: counted hours, what happened since they were counted, and what is open."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.dashboard import AGES, DAY, Counted, Dashboard, Waiting, Window
from domain.tally import report
from schema.metric_facts import COUNTED_DIRECTLY, FACTS
from schema.session import Session

_WATERMARK = text("SELECT rolled_until FROM metric_watermarks WHERE organisation = :organisation")
# Once over everything, and once over each step for the few metrics that are drawn.
COUNTED = text(
    f"""
    WITH counted AS (
        SELECT day AS hour, metric, label, bucket, count, sum FROM metric_days
        WHERE organisation = :organisation AND day >= :begin AND day < :days_end
        UNION ALL
        SELECT hour, metric, label, bucket, count, sum FROM metric_hours
        WHERE organisation = :organisation AND hour >= greatest(:begin, CAST(:days_end AS timestamptz)) AND hour < :end
            AND (hour < :rolled OR metric = '{COUNTED_DIRECTLY}')
        UNION ALL
        SELECT date_trunc('hour', f.at, 'UTC'), f.metric, f.label, f.bucket, count(*), sum(f.value)
        FROM ({FACTS}) f GROUP BY 1, 2, 3, 4
    )
    SELECT metric, label, bucket, sum(count)::bigint AS n, sum(sum) AS total, NULL::timestamptz AS step
    FROM counted GROUP BY metric, label, bucket
    UNION ALL
    SELECT metric, label, 0::smallint, sum(count)::bigint, 0, date_bin(:step, hour, :begin) AS step
    FROM counted
    WHERE metric IN ('received', 'replays', 'handoffs', 'breached')
        OR metric = 'answered' AND label LIKE 'live ask_human %'
        OR metric = 'effects' AND label LIKE '% unknown'
        OR metric = 'deliveries' AND (label LIKE '% delivered' OR label LIKE '% dead_letter')
    GROUP BY metric, label, step
    """
)
_BOUNDS = ", ".join(f"interval '{seconds} s'" for _, seconds in AGES if seconds)
WAITING = text(
    f"""
    WITH open AS (
        SELECT 'interactions' AS what, i.status AS state, i.created_at AS since FROM interactions i
        WHERE i.organisation = :organisation AND i.finished_at IS NULL
        UNION ALL
        SELECT 'handoffs', h.kind, h.opened_at FROM handoffs h
        WHERE h.organisation = :organisation AND h.decision IS NULL
        UNION ALL
        SELECT 'handoffs_overdue', h.kind, h.sla_due_at FROM handoffs h
        WHERE h.organisation = :organisation AND h.decision IS NULL AND h.sla_due_at < :now
        UNION ALL
        SELECT 'deliveries', d.status, d.created_at FROM deliveries d
        WHERE d.organisation = :organisation AND d.status IN ('pending', 'dead_letter')
        UNION ALL
        SELECT 'effects', 'unknown', v.at FROM effect_events v
        JOIN effects e ON e.organisation = v.organisation AND e.id = v.effect_id
        JOIN interactions i ON i.organisation = e.organisation AND i.id = e.interaction_id
        WHERE v.organisation = :organisation AND v.state = 'unknown' AND (i.finished_at IS NULL OR EXISTS (
            SELECT FROM deliveries d
            WHERE d.organisation = e.organisation AND d.effect_id = e.id AND d.status = 'dead_letter'))
    ), aged AS (
        SELECT what, state, since, width_bucket(CAST(:now AS timestamptz) - since, ARRAY[{_BOUNDS}]) AS age FROM open
    )
    SELECT what, state, age, count(*) AS n, min(since) AS since FROM aged GROUP BY what, state, age
    """
)


@dataclass(frozen=True, slots=True)
class DashboardRepository:
    session: Session

    async def show(self, window: Window, now: datetime) -> Dashboard:
        """Everything about a window. In a frozen transaction its parts are of one moment."""
        watermark = await self.session.first(_WATERMARK)
        rolled = watermark.rolled_until if watermark else None
        since = max(rolled or window.begin, window.begin)
        counted = await self.session.all(
            COUNTED,
            begin=window.begin,
            end=window.end,
            rolled=rolled or window.begin,
            since=since,
            until=max(min(now, window.end), since),
            days_end=_days_end(window, since),
            step=window.step,
        )
        waiting = await self.session.all(WAITING, now=now)
        return report(
            window,
            [Counted(r.metric, tuple(r.label.split(" ")), r.bucket, r.n, r.total, r.step) for r in counted],
            [Waiting(r.what, r.state, r.age, r.n, r.since) for r in waiting],
            rolled,
        )


def _days_end(window: Window, rolled: datetime) -> datetime:
    """Up to when whole days will do: where a step is shorter than one, nowhere."""
    if window.step < DAY:
        return window.begin
    return min(rolled, window.end).replace(hour=0, minute=0, second=0, microsecond=0)
