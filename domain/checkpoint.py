"""Checkpoints: signed words about the head of a chain, kept outside the database that holds it."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Protocol

from domain.audit import MOST_FINDINGS, Finding, Flaw, Link
from domain.digest import canonical_json
from domain.values import OrganisationId, Value

NOTHING_BEFORE = "0" * 64
"""What the first checkpoint follows."""


class Checkpoint(Value):
    """Up to this batch, the chain of this organisation ended in this hash."""

    organisation: OrganisationId
    batch: int
    sequence: int
    head: str
    """64 hexadecimal digits: the hash at `sequence`."""
    sealed_at: str
    previous: str = NOTHING_BEFORE
    """The digest of the checkpoint before this one."""
    key_id: str = ""
    signature: str = ""
    """Ed25519 over `signed_bytes`, base64."""

    def signed_bytes(self) -> bytes:
        return canonical_json(self.model_dump(exclude={"signature"}))

    def digest(self) -> str:
        """Of all of it, the signature too."""
        return hashlib.sha256(canonical_json(self.model_dump())).hexdigest()


Verifies = Callable[[bytes, str, str], bool]
"""Whether a signature (second) over these bytes is that of the key with this id (third)."""


class CheckpointSigner(Protocol):
    key_id: str

    def sign(self, words: bytes) -> str:
        """An Ed25519 signature, base64."""
        ...


class CheckpointKeys(Protocol):
    def verifies(self, words: bytes, signature: str, signed_by: str) -> bool:
        """Whether the key with the id `signed_by` is one of ours and signed these words."""
        ...

    def public_pem(self) -> str:
        """The public keys, the one that signs first."""
        ...


class CheckpointStore(Protocol):
    """Where checkpoints of the audit are kept: outside the database they are about."""

    def append(self, checkpoint: Checkpoint) -> None:
        """Returns once it would survive a power cut. Raises `DependencyDown` if it cannot be kept."""
        ...

    def latest(self, organisation: OrganisationId) -> Checkpoint | None:
        """The last one that can be read."""
        ...

    def all(self, organisation: OrganisationId) -> Iterator[Checkpoint | None]:
        """Those kept before this call, in order, one in memory at a time; None for one that cannot be read. Raises
        `DependencyDown`, also in the middle."""
        ...


class OutsideCheck:
    """Compares a chain, walked in order, with the checkpoints about it. `findings` says where they disagree."""

    def __init__(
        self, organisation: OrganisationId, checkpoints: Iterator[Checkpoint | None], verifies: Verifies, after: int = 0
    ) -> None:
        """`checkpoints` in the order they were kept; None for one that cannot be read. The walk begins behind the
        place `after`."""
        self._organisation = organisation
        self._checkpoints = checkpoints
        self._verifies = verifies
        self._expected = NOTHING_BEFORE
        self.count = 0
        self.last: Checkpoint | None = None
        self.confirmed = after
        """The last place a checkpoint and the chain agree about."""
        self.findings: list[Finding] = []
        self._next = self._read()
        while self._next and self._next.sequence <= after:
            self._next = self._read()

    def take(self, link: Link) -> None:
        """The next place of the chain."""
        while self._next and self._next.sequence <= link.sequence:
            if self._next.sequence == link.sequence:
                self._compare(link, self._next)
            self._next = self._read()

    def finish(self, sequence: int) -> None:
        """The chain ends here: what a checkpoint knows beyond is lost."""
        if self._next:
            self._found(Flaw.TAIL_MISSING, sequence + 1, self._next)
        while self._next:
            self._next = self._read()

    def _compare(self, link: Link, outside: Checkpoint) -> None:
        batch = link.batch
        same = batch is not None and (batch.number, batch.sealed_at) == (outside.batch, outside.sealed_at)
        if outside.head == link.hash.hex() and same:
            self.confirmed = link.sequence
        else:
            self._found(Flaw.HEAD_DIFFERS, link.sequence, outside, since=self.confirmed + 1)

    def _read(self) -> Checkpoint | None:
        """The next checkpoint that can be believed; those that cannot are findings."""
        for checkpoint in self._checkpoints:
            if checkpoint is not None and self._is_signed(checkpoint):
                self._check_order(checkpoint)
                self.last, self._expected = checkpoint, checkpoint.digest()
                self.count += 1
                return checkpoint
            self._found(Flaw.SIGNATURE_BAD, checkpoint.sequence if checkpoint else self._last_sequence, checkpoint)
            if checkpoint:
                self._expected = checkpoint.digest()
        return None

    def _is_signed(self, checkpoint: Checkpoint) -> bool:
        ours = checkpoint.organisation == self._organisation
        return ours and self._verifies(checkpoint.signed_bytes(), checkpoint.signature, checkpoint.key_id)

    def _check_order(self, checkpoint: Checkpoint) -> None:
        grows = self.last is None or (checkpoint.batch > self.last.batch and checkpoint.sequence > self.last.sequence)
        if checkpoint.previous != self._expected or not grows:
            self._found(Flaw.FORK, checkpoint.sequence, checkpoint)

    @property
    def _last_sequence(self) -> int:
        return self.last.sequence if self.last else 0

    def _found(self, problem: Flaw, sequence: int, checkpoint: Checkpoint | None, since: int | None = None) -> None:
        if len(self.findings) < MOST_FINDINGS:
            batch = checkpoint.batch if checkpoint else None
            self.findings.append(Finding(problem=problem, sequence=sequence, since=since, batch=batch))
