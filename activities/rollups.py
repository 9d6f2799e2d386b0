"""Counts what happened into rollups, for every organisation there is."""

from collections.abc import Callable
from datetime import datetime

from temporalio import activity

from activities.failures import durable
from domain.values import OrganisationId
from schema.rollups import RollupRepository
from schema.session import Database


class RollupActivities:
    def __init__(self, db: Database, *, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    @activity.defn(name="rollups.roll")
    @durable
    async def roll(self) -> int:
        """Brings every organisation up to now; how many there are. Repeated, it counts what is new since. Where one
        cannot be counted the others are, and then it fails."""
        rolled, after, failed = 0, "", list[Exception]()
        while organisations := await self._db.organisations_with_facts(after=after):
            for organisation in organisations:
                try:
                    await self._catch_up(organisation)
                except Exception as error:  # whatever is wrong with one is no reason to leave the others
                    failed.append(error)
            rolled, after = rolled + len(organisations), organisations[-1]
        if failed:
            raise failed[0]
        return rolled

    async def _catch_up(self, organisation: OrganisationId) -> None:
        """A day at a time: none of its transactions is long, and a worker that dies has kept what it counted."""
        done = False
        while not done:
            activity.heartbeat()
            async with self._db.transaction(organisation) as session:
                done = (await RollupRepository(session).roll(self._now())).done
