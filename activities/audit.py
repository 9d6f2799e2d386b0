"""Sealing every organisation's audit, and keeping word of each chain's head outside the database."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import activity

from activities.failures import durable
from activities.places import heartbeating
from domain.audit import SealInput, SealResult
from domain.checkpoint import NOTHING_BEFORE, Checkpoint, CheckpointSigner, CheckpointStore
from domain.ports import Failpoints
from domain.values import OrganisationId
from schema.audit_seals import Head, Place, SealRepository
from schema.session import Database

CHUNK = 500
"""Events in one transaction: about ten milliseconds of hashing, so that nothing else in the process waits longer."""
ORGANISATIONS = 200
LOOK_BACK = timedelta(hours=1)
"""A process may die between a batch and its checkpoint. For this long it is made up for even if nothing new comes."""


class AuditActivities:
    def __init__(
        self,
        db: Database,
        *,
        now: Callable[[], datetime],
        failpoints: Failpoints,
        signer: CheckpointSigner | None,
        checkpoints: CheckpointStore,
        chunk: int = CHUNK,
    ) -> None:
        """Without a signer chains are sealed and nothing vouches for them outside: an unsigned word proves nothing."""
        self._db = db
        self._now = now
        self._failpoints = failpoints
        self._signer = signer
        self._checkpoints = checkpoints
        self._chunk = chunk
        self._begun_anew = True

    @activity.defn(name="audit.seal")
    @durable
    async def seal(self, request: SealInput) -> SealResult:
        """Everything that is committed for good, of every organisation. Repeated or run twice at once it seals each
        event once. Where one cannot be sealed or vouched for the others are, and then it fails. After a start it also
        looks at organisations where nothing happened, for missing checkpoints."""
        events, checkpoints, failed = 0, 0, list[Exception]()
        after, everywhere = "", request.everywhere or self._begun_anew
        async with heartbeating():
            while page := await self._db.audit_to_seal(
                after=after, since=self._now() - LOOK_BACK, every_one=everywhere, limit=ORGANISATIONS
            ):
                for each in page:
                    try:
                        events += await self._seal(each.organisation)
                        checkpoints += await self._vouch(each.organisation)
                    except Exception as error:  # whatever is wrong with one is no reason to leave the others
                        failed.append(error)
                after = page[-1].organisation
        if failed:
            raise failed[0]
        self._begun_anew = False
        return SealResult(events=events, checkpoints=checkpoints)

    async def _seal(self, organisation: OrganisationId) -> int:
        count, resume, done = 0, None, False
        while not done:
            count_now, resume, done = await self._chunk_of(organisation, resume)
            count += count_now
        return count

    async def _chunk_of(self, organisation: OrganisationId, resume: Place | None) -> tuple[int, Place | None, bool]:
        async with self._db.transaction(organisation) as session:
            sealed = await SealRepository(session).seal(self._now(), most=self._chunk, sweep=resume)
        return sealed.count, sealed.resume, sealed.done

    async def _vouch(self, organisation: OrganisationId) -> int:
        """A checkpoint about the head, unless there is one. How many were kept."""
        if self._signer is None:
            return 0
        async with self._db.transaction(organisation) as session:
            head = await SealRepository(session).head()
        latest = await asyncio.to_thread(self._checkpoints.latest, organisation)
        if head is None or (latest and latest.batch >= head.number):
            return 0
        self._failpoints.hit("F14")
        checkpoint = signed(self._signer, organisation, head, latest)
        await asyncio.to_thread(self._checkpoints.append, checkpoint)
        return 1


def signed(signer: CheckpointSigner, organisation: OrganisationId, head: Head, latest: Checkpoint | None) -> Checkpoint:
    checkpoint = Checkpoint(
        organisation=organisation,
        batch=head.number,
        sequence=head.sequence,
        head=head.hash.hex(),
        sealed_at=head.sealed_at,
        previous=latest.digest() if latest else NOTHING_BEFORE,
        key_id=signer.key_id,
    )
    return checkpoint.model_copy(update={"signature": signer.sign(checkpoint.signed_bytes())})
