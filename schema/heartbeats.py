"""Signs of life of workers: Temporal remembers for minutes who polled, and a killed one must be missed in seconds."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Field

from schema.base import Row, UtcTime
from schema.session import Database


class WorkerHeartbeatRow(Row, table=True):
    """No organisation's: a worker works for all of them."""

    __tablename__ = "worker_heartbeats"

    task_queue: str = Field(primary_key=True)
    worker_id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcTime)


# By the clock of the database alone: that of another machine may be off by more than this is about.
_BEAT = text(
    """
    WITH forgotten AS (
        DELETE FROM worker_heartbeats
        WHERE at < clock_timestamp() - interval '1 day' AND (task_queue, worker_id) <> (:task_queue, :worker_id)
    )
    INSERT INTO worker_heartbeats (task_queue, worker_id, at) VALUES (:task_queue, :worker_id, clock_timestamp())
    ON CONFLICT (task_queue, worker_id) DO UPDATE SET at = excluded.at
    """
)
_GONE = text("DELETE FROM worker_heartbeats WHERE task_queue = :task_queue AND worker_id = :worker_id")
_IS_ANY_ALIVE = text(
    """
    SELECT EXISTS (SELECT FROM worker_heartbeats WHERE task_queue = :task_queue
        AND at > clock_timestamp() - CAST(:within AS double precision) * interval '1 second') AS alive
    """
)


class Heartbeats:
    """Of the workers of one task queue. All of these raise `DependencyDown`."""

    def __init__(self, db: Database, task_queue: str) -> None:
        self._db = db
        self._queue = task_queue

    async def beat(self, worker_id: str) -> None:
        """This worker is alive. Those that died a day ago are forgotten, whichever their queue was."""
        await self._db.one_by_one(None, lambda s: s.run(_BEAT, task_queue=self._queue, worker_id=worker_id))

    async def stop(self, worker_id: str) -> None:
        """It takes no more work, and says so itself."""
        await self._db.one_by_one(None, lambda s: s.run(_GONE, task_queue=self._queue, worker_id=worker_id))

    async def is_any_alive(self, within_s: float) -> bool:
        """Whether any worker gave a sign of life within so many seconds."""
        values = {"task_queue": self._queue, "within": within_s}
        row = await self._db.one_by_one(None, lambda s: s.first(_IS_ANY_ALIVE, **values))
        return row is not None and bool(row.alive)
