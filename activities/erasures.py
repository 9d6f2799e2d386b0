"""Forgets customers, in steps that may be repeated."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from temporalio import activity

from activities.failures import durable
from domain.erasure import Attempt, ErasureRef, Tombstone, TombstoneStore, hashed
from domain.ports import Failpoints
from domain.retention import LegalHold
from domain.values import OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.erasures import Erasure, ErasureRepository
from schema.legal_holds import LegalHoldRepository
from schema.session import Database


class ErasureActivities:
    def __init__(
        self,
        db: Database,
        *,
        tombstones: TombstoneStore,
        id_key: bytes,
        now: Callable[[], datetime],
        failpoints: Failpoints,
    ) -> None:
        self._db = db
        self._tombstones = tombstones
        self._id_key = id_key
        self._now = now
        self._failpoints = failpoints

    @activity.defn(name="erasures.erase")
    @durable
    async def erase(self, ref: ErasureRef) -> Attempt | None:
        """Overwrites what is personal. The tombstone first: whatever happens then, nobody comes back with a backup.
        Whoever is held stays, whole; None comes from workers of before there were holds."""
        organisation = OrganisationId(ref.organisation)
        try:
            erasure = await self._wanted(organisation, ref.erasure_id)
            await asyncio.to_thread(self._tombstones.keep, erasure.tombstone(organisation))
            await self._erase(organisation, ref.erasure_id)
        except LegalHold:
            return Attempt(is_held=True)
        return Attempt(is_held=False)

    @activity.defn(name="erasures.finish")
    @durable
    async def finish(self, ref: ErasureRef) -> None:
        """Once more, for what was under way the first time; then it is over."""
        await self._finish(OrganisationId(ref.organisation), ref.erasure_id)

    async def reapply(self) -> int:
        """At start: whoever was erased and is there again, as after a restore, is erased again. How many there were."""
        stones = await asyncio.to_thread(self._tombstones.all)
        organisations = sorted({OrganisationId(stone.organisation) for stone in stones})
        return sum([await self._reapply(o, [s for s in stones if s.organisation == o]) for o in organisations])

    async def _reapply(self, organisation: OrganisationId, stones: Sequence[Tombstone]) -> int:
        async with self._db.transaction(organisation) as session:
            erased = await ErasureRepository(session).erased()
            wanted = {stone.subject: stone for stone in stones if stone.id not in erased}
            back = await self._back(ErasureRepository(session), organisation, wanted) if wanted else []
        return sum([await self._again(organisation, stone) for stone in back])

    async def _again(self, organisation: OrganisationId, stone: Tombstone) -> bool:
        """False: a hold keeps them. It is on record, and the API has it worked on until that is over."""
        try:
            await self._erase(organisation, stone.id)
        except LegalHold:
            return False
        return True

    async def _back(
        self, erasures: ErasureRepository, organisation: OrganisationId, wanted: Mapping[str, Tombstone]
    ) -> list[Tombstone]:
        """Those of `wanted` who are there, written no later than they asked to be forgotten: on record again."""
        found, after = list[Tombstone](), ""
        while page := await erasures.customers(before=max(s.at for s in wanted.values()), after=after):
            for customer in page:
                stone = wanted.get(hashed(organisation, customer.id, self._id_key))
                if stone is not None and customer.updated_at <= stone.at:
                    await erasures.put_back(stone, customer.id)
                    found.append(stone)
            after = page[-1].id
        return found

    async def _wanted(self, organisation: OrganisationId, erasure_id: str) -> Erasure:
        """The erasure, or `NotFound`, or `LegalHold`."""
        async with self._db.transaction(organisation) as session:
            erasures = ErasureRepository(session)
            erasure, who = await erasures.get(erasure_id), await erasures.customer(erasure_id)
            if who is not None:
                await LegalHoldRepository(session).need_none(who, self._now())
        return erasure

    async def _finish(self, organisation: OrganisationId, erasure_id: str) -> None:
        async with self._db.transaction(organisation) as session:
            erasures = ErasureRepository(session)
            await erasures.erase(erasure_id, self._now())
            await erasures.finish(erasure_id, self._now())

    async def _erase(self, organisation: OrganisationId, erasure_id: str) -> None:
        async with self._db.transaction(organisation) as session:
            self._failpoints.hit("F16")
            await ErasureRepository(session).erase(erasure_id, self._now())
            event = AuditEvent(self._now(), "system", "customer.erased", erasure_id)
            await AuditRepository(session).append(event)
            self._failpoints.hit("F16b")
