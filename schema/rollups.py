"""Rollups: facts counted per hour, so that a dashboard reads hundreds of rows and not a million.

An hour is always recomputed whole, from the facts themselves: a run that is repeated, or comes late, changes nothing
but what was missing. What happened since the last run is counted when somebody looks (`schema.dashboards`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, SmallInteger, text
from sqlmodel import Field

from domain.values import OrganisationId
from schema.base import OrganisationRow, UtcTime
from schema.metric_facts import COUNTED_DIRECTLY, FACTS
from schema.session import Database, Session


class MetricHourRow(OrganisationRow, table=True):
    __tablename__ = "metric_hours"

    hour: datetime = Field(primary_key=True, sa_type=UtcTime)
    metric: str = Field(primary_key=True)
    label: str = Field(primary_key=True)
    bucket: int = Field(primary_key=True, sa_type=SmallInteger)
    count: int = Field(sa_type=BigInteger)
    sum: float


class MetricDayRow(OrganisationRow, table=True):
    """The hours of a day that is over, added up."""

    __tablename__ = "metric_days"

    day: datetime = Field(primary_key=True, sa_type=UtcTime)
    metric: str = Field(primary_key=True)
    label: str = Field(primary_key=True)
    bucket: int = Field(primary_key=True, sa_type=SmallInteger)
    count: int = Field(sa_type=BigInteger)
    sum: float


class MetricWatermarkRow(OrganisationRow, table=True):
    """Up to when an organisation's facts are counted."""

    __tablename__ = "metric_watermarks"

    rolled_until: datetime = Field(sa_type=UtcTime)
    rolled_at: datetime = Field(sa_type=UtcTime)


SETTLED = timedelta(seconds=5)
"""Younger facts are left to the next run: the transaction that writes one has taken its time already."""
LATE = timedelta(minutes=10)
"""How long after its time a fact may become visible and still be counted: ten times as long as any transaction of ours
may stay open."""
AT_ONCE = timedelta(days=1)
"""How much one run catches up with at most, in one transaction."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('rollups:' || :organisation, 0))")
_WATERMARK = text("SELECT rolled_until FROM metric_watermarks WHERE organisation = :organisation")
_FIRST_FACT = text(
    """
    SELECT least(
        (SELECT min(created_at) FROM interactions WHERE organisation = :organisation),
        (SELECT min(created_at) FROM deliveries WHERE organisation = :organisation)) AS at
    """
)
_ROLL = text(
    f"""
    INSERT INTO metric_hours (organisation, hour, metric, label, bucket, count, sum)
    SELECT :organisation, date_trunc('hour', f.at, 'UTC'), f.metric, f.label, f.bucket, count(*), sum(f.value)
    FROM ({FACTS}) f GROUP BY 2, 3, 4, 5
    ON CONFLICT (organisation, hour, metric, label, bucket)
        DO UPDATE SET count = excluded.count, sum = excluded.sum
        WHERE (metric_hours.count, metric_hours.sum) IS DISTINCT FROM (excluded.count, excluded.sum)
    """
)
_DAYS = text(
    """
    INSERT INTO metric_days (organisation, day, metric, label, bucket, count, sum)
    SELECT h.organisation, date_trunc('day', h.hour, 'UTC'), h.metric, h.label, h.bucket, sum(h.count), sum(h.sum)
    FROM metric_hours h
    WHERE h.organisation = :organisation AND h.hour >= date_trunc('day', CAST(:since AS timestamptz), 'UTC')
        AND h.hour < date_trunc('day', CAST(:until AS timestamptz), 'UTC')
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (organisation, day, metric, label, bucket)
        DO UPDATE SET count = excluded.count, sum = excluded.sum
        WHERE (metric_days.count, metric_days.sum) IS DISTINCT FROM (excluded.count, excluded.sum)
    """
)
_ROLLED = text(
    """
    INSERT INTO metric_watermarks (organisation, rolled_until, rolled_at) VALUES (:organisation, :until, :at)
    ON CONFLICT (organisation) DO UPDATE SET rolled_until = excluded.rolled_until, rolled_at = excluded.rolled_at
    """
)
# One row per connection and hour, so that repeats do not wait for each other. Losing the last of them in a crash is
# worth not waiting for the disk. The setting lasts for this statement: it is a transaction of its own.
_REPLAY = text(
    f"""
    INSERT INTO metric_hours (organisation, hour, metric, label, bucket, count, sum)
    SELECT :organisation, date_trunc('hour', CAST(:at AS timestamptz), 'UTC'), '{COUNTED_DIRECTLY}', :mode,
           (pg_backend_pid() % 32)::smallint, 1, 0
    FROM (SELECT set_config('synchronous_commit', 'off', true)) quickly
    ON CONFLICT (organisation, hour, metric, label, bucket) DO UPDATE SET count = metric_hours.count + 1
    """
)


@dataclass(frozen=True, slots=True)
class Rolled:
    until: datetime | None
    """Everything before is counted. None: there is nothing to count yet."""
    done: bool
    """Nothing more can be counted now."""


class RollupRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def roll(self, at: datetime) -> Rolled:
        """Counts what happened up to `at`, a day's worth at most, going on where the last run ended; hours that may
        have been incomplete are counted again. Of several runs at once one counts and the others find it done."""
        await self._session.first(_LOCK)
        before = await self._session.first(_WATERMARK)
        begins = before.rolled_until - LATE if before else await self._first_fact()
        if begins is None:
            return Rolled(None, done=True)
        begins = begins.replace(minute=0, second=0, microsecond=0)
        # The last hour is cut at this moment, all others are whole: nothing is ever counted and also left to look up.
        until = min(at - SETTLED, begins + AT_ONCE)
        if before and until <= before.rolled_until:
            return Rolled(before.rolled_until, done=True)
        await self._session.run(_ROLL, since=begins, until=until)
        await self._session.run(_DAYS, since=begins, until=until)
        await self._session.run(_ROLLED, until=until, at=at)
        return Rolled(until, done=until >= at - SETTLED)

    async def _first_fact(self) -> datetime | None:
        row = await self._session.first(_FIRST_FACT)
        assert row is not None
        at: datetime | None = row.at
        return at


async def count_replay(db: Database, organisation: OrganisationId, mode: str, at: datetime) -> None:
    """An answer was given again. One statement, and none for an answer that is given for the first time."""
    await db.one_by_one(organisation, lambda session: session.run(_REPLAY, mode=mode, at=at))
