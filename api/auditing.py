"""Checking the whole chain of an organisation, and what is kept outside about it."""

import asyncio
import time
from contextlib import aclosing
from datetime import datetime, timedelta

from api.deps import Proof
from domain.audit import ChainCheck, Finding, Flaw
from domain.checkpoint import OutsideCheck
from domain.values import OrganisationId, Value
from schema.audit_chain import AuditChain
from schema.audit_seals import Head, Place, SealRepository
from schema.ledger_seals import Said, differing
from schema.session import Database

END = 2**62
OVERDUE = timedelta(minutes=15)
"""A checkpoint is written seconds after its batch; after this long somebody should look why it was not."""


class Verdict(Value):
    """What a check found."""

    ok: bool
    """Nothing is wrong, as far as was looked."""
    findings: tuple[Finding, ...] = ()
    """The first place first, twenty at most."""
    checked_from: int
    checked_to: int
    """The last place that was looked at."""
    count: int
    head: str
    """The hash at the last place, 64 hexadecimal digits."""
    pending: int
    """Events that wait for their place: the schedule gives it within a minute."""
    outside_proof: bool
    """Whether signed checkpoints outside the database were compared. If not, a chain that was rewritten as a whole,
    or lost its end, looks sound."""
    checkpoints: int = 0
    confirmed_to: int = 0
    """The last place a signed checkpoint vouches for."""
    seconds: float
    rows_per_second: int


async def verify(
    db: Database,
    organisation: OrganisationId,
    proof: Proof | None,
    now: datetime,
    *,
    first: int = 1,
    last: int | None = None,
) -> Verdict:
    """From the place `first` to `last`, or to the end, as of one moment and in constant memory. What lies before
    `first` is taken as given; that the end is not missing is only checked if `last` is not given."""
    begun, after, to = time.perf_counter(), first - 1, last or END
    # As of before the snapshot is taken: whatever they know is in it.
    kept = proof.store.all(organisation) if proof else iter(())
    outside = OutsideCheck(organisation, kept, proof.keys.verifies if proof else _nobodys, after)
    async with db.transaction(organisation, frozen=True) as session:
        chain, head = AuditChain(session), await SealRepository(session).head()
        before = await chain.hash_at(after) if after else None
        check = ChainCheck(organisation, after=after, previous=before)
        if after and before is None:
            check.found(Flaw.GAP, after)
        async with aclosing(chain.links(after, to)) as walk:
            async for links in walk:
                looking = asyncio.create_task(differing(session, links))
                await asyncio.sleep(0)  # the database compares rows while hashes are made here
                for link in links:
                    check.take(link)
                    outside.take(link)
                _note(check, await looking)
        await _look_beside(chain, check, head, after, to)
        pending = await chain.pending(head.place if head else Place(0))
    if last is None:
        check.finish()
        outside.finish(check.sequence)
        _overdue(check, outside, head, proof, now)
    findings = sorted(check.findings + outside.findings, key=lambda finding: finding.sequence)
    took = time.perf_counter() - begun
    return Verdict(
        ok=not findings,
        findings=tuple(findings[:20]),
        checked_from=first,
        checked_to=check.sequence,
        count=check.count,
        head=check.head.hex(),
        pending=pending,
        outside_proof=proof is not None and outside.count > 0,
        checkpoints=outside.count,
        confirmed_to=outside.confirmed if outside.count else 0,
        seconds=round(took, 3),
        rows_per_second=int(check.count / took),
    )


def _note(check: ChainCheck, changed: list[Said]) -> None:
    """Decisions, effects and handoffs that are not what these events said they were."""
    for row in changed:
        check.found(Flaw.LEDGER_DIFFERS, row.sequence, event_id=row.event_id, row=f"{row.of} {row.id}")


async def _look_beside(chain: AuditChain, check: ChainCheck, head: Head | None, after: int, to: int) -> None:
    """What a walk along the places does not see: batches without their end, events without a place."""
    for number, sequence in await chain.ends_lost(after, to):
        check.found(Flaw.BATCH_DIFFERS, sequence, batch=number)
    for event in await chain.passed_by(head.place) if head else ():
        if after < event.sequence <= to:
            check.found(Flaw.NOT_SEALED, event.sequence, event_id=event.event_id)


def _overdue(check: ChainCheck, outside: OutsideCheck, head: Head | None, proof: Proof | None, now: datetime) -> None:
    vouched = outside.last.batch if outside.last else 0
    if proof and head and head.number > vouched and datetime.fromisoformat(head.sealed_at) < now - OVERDUE:
        check.found(Flaw.CHECKPOINT_MISSING, outside.confirmed + 1, batch=head.number)


def _nobodys(words: bytes, signature: str, key_id: str) -> bool:
    return False
