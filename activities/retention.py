"""Ends what has had its time, for every organisation in turn."""

from collections.abc import Callable, Sequence
from datetime import datetime

from temporalio import activity

from activities.failures import durable
from activities.places import heartbeating
from domain.ports import Failpoints
from domain.retention import DataClass, RetentionResult
from domain.values import OrganisationId
from schema.retention import RetentionRepository
from schema.session import Database

BATCH = 250
"""Rows of each table in one transaction: it takes well under a second, and an erasure or a hold waits no longer."""
ROUNDS = 4_000
"""A run ends a million rows of a class at most; the next one goes on."""


class RetentionActivities:
    def __init__(
        self, db: Database, *, now: Callable[[], datetime], failpoints: Failpoints, batch: int = BATCH
    ) -> None:
        self._db = db
        self._now = now
        self._failpoints = failpoints
        self._batch = batch

    @activity.defn(name="retention.end")
    @durable
    async def end(self) -> RetentionResult:
        """Everything that goes now, of every organisation, a batch of each in turn: nobody waits for another's backlog.
        Repeated, or run twice at once, it ends each row once. Where one organisation fails the others do not, and then
        it fails."""
        rows, done, after, failed = 0, True, "", list[Exception]()
        async with heartbeating():
            while page := await self._db.every_organisation(after=after):
                some, all_of_it = await self._in_turn(page, failed)
                rows, done, after = rows + some, done and all_of_it, page[-1]
        if failed:
            raise failed[0]
        return RetentionResult(rows=rows, done=done)

    async def _in_turn(self, page: Sequence[OrganisationId], failed: list[Exception]) -> tuple[int, bool]:
        """How many rows, and whether that was all."""
        rows, waiting = 0, [(whose, each) for each in DataClass for whose in page]
        for _ in range(ROUNDS):
            left = list[tuple[OrganisationId, DataClass]]()
            for whose, each in waiting:
                try:
                    ended, is_done = await self._batch_of(whose, each)
                except Exception as error:  # whatever is wrong with one is no reason to leave the others
                    failed.append(error)
                    continue
                rows += ended
                left += [] if is_done else [(whose, each)]
            if not (waiting := left):
                return rows, True
        return rows, False

    async def _batch_of(self, organisation: OrganisationId, each: DataClass) -> tuple[int, bool]:
        async with self._db.transaction(organisation) as session:
            batch = await RetentionRepository(session).end_some(each, self._now(), self._batch)
            if batch.rows:
                self._failpoints.hit("F17")
        if batch.rows:
            self._failpoints.hit("F17b")
            told = {"organisation": organisation, "class": each.value, "rows": batch.rows, "done": batch.done}
            activity.logger.info("what had its time was ended", extra=told)
        return batch.rows, batch.done
