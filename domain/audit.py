"""The audit chain: what of an event is hashed, and how a chain is checked from end to end in constant memory.

`docs/audit/README.md` has the format byte by byte; `docs/audit/verify_audit.py` checks it without this code.
"""

import hashlib
import json
from enum import StrEnum
from typing import NamedTuple

from domain.values import OrganisationId, Value

MOST_FINDINGS = 20


class AuditRecord(NamedTuple):
    """Every column of an event but the organisation, as text where text could differ: `at` with six decimals and `Z`,
    `details` as the database shows it."""

    id: str
    at: str
    actor: str
    action: str
    subject: str
    details: str
    xact: int
    """The database transaction that wrote it."""
    ledger: str | None = None
    """What its seal says of the ledger, as JSON text; empty: nothing. None: it was sealed in the first format."""


class Batch(NamedTuple):
    """Events sealed together."""

    number: int
    first_sequence: int
    head: bytes
    sealed_at: str


class Link(NamedTuple):
    """One place of the chain as it is stored."""

    sequence: int
    hash: bytes
    event_id: str
    event: AuditRecord | None
    """None: it is not there any more."""
    batch: Batch | None
    """The batch that ends here."""


class SealInput(Value):
    everywhere: bool = False
    """Also look at organisations where nothing seems to wait: their checkpoints may be missing."""


class SealResult(Value):
    """What one run did, over all organisations."""

    events: int = 0
    checkpoints: int = 0


class Flaw(StrEnum):
    HASH_DIFFERS = "hash_differs"
    """The event is not the one that was sealed here, or the hash is not the one that was made then."""
    GAP = "gap"
    EVENT_MISSING = "event_missing"
    NOT_SEALED = "not_sealed"
    """An event stands among sealed ones and was not there when they were sealed."""
    BATCH_DIFFERS = "batch_differs"
    TAIL_MISSING = "tail_missing"
    """A checkpoint knows a longer chain."""
    HEAD_DIFFERS = "head_differs"
    """A checkpoint knows another hash here: what lies before was written anew."""
    SIGNATURE_BAD = "signature_bad"
    FORK = "fork"
    """A checkpoint does not follow the one before it."""
    CHECKPOINT_MISSING = "checkpoint_missing"
    LEDGER_DIFFERS = "ledger_differs"
    """A decision, effect or handoff is not as it was when this event was written, or is gone."""


class Finding(Value):
    """One thing that is not as it was sealed."""

    problem: Flaw
    sequence: int
    """The first place in the chain that is wrong."""
    since: int | None = None
    """It may begin here: what lies before is confirmed by an earlier checkpoint."""
    event_id: str | None = None
    batch: int | None = None
    row: str | None = None
    """What in the ledger differs: `effect eff_…`."""


def _exactly(number: str) -> str:
    # As text: a float would lose digits. No string in the database contains NUL, so nothing else looks like this.
    return "\0" + number


_READ = json.JSONDecoder(parse_int=_exactly, parse_float=_exactly).decode
_WRITE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def genesis(organisation: OrganisationId) -> bytes:
    """What stands before the first event: chains of two organisations never share a link."""
    return hashlib.sha256(f"holdfast audit chain 1\n{organisation}".encode()).digest()


def chained(previous: bytes, organisation: OrganisationId, sequence: int, event: AuditRecord) -> bytes:
    """The hash of an event at this place. What is JSON is hashed as the text it is; the first format took it apart."""
    if event.ledger is None:
        return hashlib.sha256(previous + _first_format(organisation, sequence, event).encode()).digest()
    words = event._asdict() | {"organisation": organisation, "sequence": sequence}
    return hashlib.sha256(previous + _WRITE(words).encode()).digest()


def _first_format(organisation: OrganisationId, sequence: int, event: AuditRecord) -> str:
    words = event._asdict() | {"organisation": organisation, "sequence": sequence, "details": _READ(event.details)}
    del words["ledger"]
    return _WRITE(words)


class ChainCheck:
    """Walks a stored chain once, in order. `findings` says what is wrong, the first place first."""

    def __init__(self, organisation: OrganisationId, *, after: int = 0, previous: bytes | None = None) -> None:
        """`after` and `previous` begin in the middle: the place before, and its hash, which is then taken as given."""
        self._organisation = organisation
        self._began_at = after
        self._batch: Batch | None = None
        self._batch_end = after
        self.head = genesis(organisation) if previous is None else previous
        self.sequence = after
        self.count = 0
        self.findings: list[Finding] = []

    def take(self, link: Link) -> None:
        """The next place."""
        if link.sequence != self.sequence + 1:
            self.found(Flaw.GAP, self.sequence + 1)
        if link.event is None:
            self.found(Flaw.EVENT_MISSING, link.sequence, event_id=link.event_id)
        elif not self._is_sound(link, link.event):
            self.found(Flaw.HASH_DIFFERS, link.sequence, event_id=link.event_id)
        # From what is stored, so that one bad place does not hide which others are sound.
        self.head, self.sequence = link.hash, link.sequence
        self.count += 1
        if link.batch:
            self._end_batch(link.sequence, link.batch)

    def finish(self) -> None:
        """The chain ends here."""
        if self.sequence != self._batch_end:
            self.found(Flaw.BATCH_DIFFERS, self.sequence)

    def found(
        self,
        problem: Flaw,
        sequence: int,
        *,
        event_id: str | None = None,
        batch: int | None = None,
        row: str | None = None,
    ) -> None:
        """What only the caller can see."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(problem=problem, sequence=sequence, event_id=event_id, batch=batch, row=row))

    def _is_sound(self, link: Link, event: AuditRecord) -> bool:
        try:
            return chained(self.head, self._organisation, link.sequence, event) == link.hash
        except (ValueError, RecursionError):
            return False

    def _end_batch(self, sequence: int, batch: Batch) -> None:
        begins, numbered = self._batch_end + 1, self._batch.number + 1 if self._batch else 1
        follows = (batch.first_sequence, batch.number) == (begins, numbered)
        if self._batch is None and self._began_at:
            follows = True  # it began before we did
        if batch.head != self.head or not follows:
            self.found(Flaw.BATCH_DIFFERS, sequence, batch=batch.number)
        self._batch, self._batch_end = batch, sequence
