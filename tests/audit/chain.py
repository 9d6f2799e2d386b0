"""A sealed chain to spoil: its database, the key that vouches for it, the folder its checkpoints lie in."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from temporalio.testing import ActivityEnvironment

from activities.audit import AuditActivities
from adapters.ed25519 import Ed25519Keys
from adapters.failpoints import NoFailpoints
from adapters.gateways.checkpoint_file import CheckpointFiles
from api.auditing import Verdict, verify
from api.deps import Proof
from domain.audit import AuditRecord, SealInput, SealResult, chained, genesis
from domain.ports import Failpoints
from schema.audit import AuditEvent, AuditRepository
from schema.session import Database
from tests.schema.given import ACME, NOW

TABLES = ("audit_events", "audit_seals", "audit_batches")


@dataclass
class Chain:
    db: Database
    owner: psycopg.Connection
    folder: Path
    keys: Ed25519Keys
    signs: bool = True
    chunk: int = 10
    failpoints: Failpoints = field(default_factory=NoFailpoints)
    now: datetime = NOW

    @property
    def files(self) -> CheckpointFiles:
        return CheckpointFiles(self.folder)

    async def write(self, count: int, *, at_once: int = 5) -> None:
        for begin in range(0, count, at_once):
            events = [
                AuditEvent(
                    NOW + timedelta(seconds=n),
                    "agent",
                    "refund.issued",
                    f"int_{n}",
                    {"amount": n + 1, "rate": 1.50, "é": "ü"},
                )
                for n in range(begin, min(begin + at_once, count))
            ]
            async with self.db.transaction(ACME) as session:
                await AuditRepository(session).append(*events)

    async def seal(self) -> SealResult:
        activities = AuditActivities(
            self.db,
            now=lambda: self.now,
            failpoints=self.failpoints,
            signer=self.keys if self.signs else None,
            checkpoints=self.files,
            chunk=self.chunk,
        )
        result: SealResult = await ActivityEnvironment().run(activities.seal, SealInput())
        return result

    async def seal_all(self) -> None:
        """Another database of the same server may hold the horizon up for a moment."""
        await self.seal()
        while (await self.verify()).pending:
            await self.seal()

    async def verify(self, first: int = 1, last: int | None = None, *, proof: bool = True) -> Verdict:
        outside = Proof(self.files, self.keys) if proof else None
        return await verify(self.db, ACME, outside, self.now, first=first, last=last)

    def keep(self) -> None:
        """A copy to go back to with `restore`."""
        for table in TABLES:
            self.owner.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")

    def restore(self) -> None:
        for table in TABLES:
            self.owner.execute(f"TRUNCATE {table}")
            self.owner.execute(f"INSERT INTO {table} TABLE kept_{table}")

    def rehash(self) -> None:
        """What somebody does who knows the format and holds the database, and nothing else."""
        rows = self.owner.execute(
            """SELECT s.sequence, e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), e.actor,
                e.action, e.subject, e.details::text, e.xact, s.ledger
            FROM audit_seals s JOIN audit_events e ON e.id = s.event_id ORDER BY s.sequence"""
        ).fetchall()
        previous = genesis(ACME)
        for sequence, *event in rows:
            previous = chained(previous, ACME, sequence, AuditRecord(*event))
            self.owner.execute("UPDATE audit_seals SET hash = %s WHERE sequence = %s", [previous, sequence])
            self.owner.execute("UPDATE audit_batches SET head_hash = %s WHERE last_sequence = %s", [previous, sequence])


DICE = random.Random(20_261_121)
EVENT = "id = (SELECT event_id FROM audit_seals WHERE sequence = %(n)s)"
OPERATORS: dict[str, tuple[str, ...]] = {
    "actor": (f"UPDATE audit_events SET actor = 'nobody' WHERE {EVENT}",),
    "action": (f"UPDATE audit_events SET action = 'refund.refused' WHERE {EVENT}",),
    "subject": (f"UPDATE audit_events SET subject = subject || 'x' WHERE {EVENT}",),
    "time": (f"UPDATE audit_events SET at = at + interval '1 microsecond' WHERE {EVENT}",),
    "details": (f"UPDATE audit_events SET details = details || '{{\"amount\": 0}}' WHERE {EVENT}",),
    "number_spelt_otherwise": (
        f"UPDATE audit_events SET details = jsonb_set(details, '{{rate}}', '1.500') WHERE {EVENT}",
    ),
    "transaction": (f"UPDATE audit_events SET xact = xact - 1 WHERE {EVENT}",),
    "event_deleted": (f"DELETE FROM audit_events WHERE {EVENT}",),
    "seal_deleted": ("DELETE FROM audit_seals WHERE sequence = %(n)s",),
    "hash": (
        "UPDATE audit_seals SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1) WHERE sequence = %(n)s",
    ),
    "ledger": ("UPDATE audit_seals SET ledger = '[]' WHERE sequence = %(n)s",),
    "said_to_be_older": ("UPDATE audit_seals SET ledger = NULL WHERE sequence = %(n)s",),
    "swapped": (
        "CREATE TEMP TABLE swap AS SELECT sequence, event_id FROM audit_seals WHERE sequence IN (%(n)s, %(n)s + 1)",
        "UPDATE audit_seals SET event_id = 'x' || event_id WHERE sequence IN (%(n)s, %(n)s + 1)",
        "UPDATE audit_seals s SET event_id = w.event_id FROM swap w WHERE s.sequence = 2 * %(n)s + 1 - w.sequence"
        " AND s.sequence IN (%(n)s, %(n)s + 1)",
        "DROP TABLE swap",
    ),
    "slipped_in": (
        "INSERT INTO audit_events (organisation, id, at, actor, action, subject, details, xact)"
        f" SELECT organisation, 'aud_0', at, actor, action, subject, details, xact FROM audit_events WHERE {EVENT}",
    ),
}  # fmt: skip
"""Ways to change what happened, at the place `n`, for somebody who owns the database."""


def spoil(chain: Chain, operator: str, place: int) -> None:
    for statement in OPERATORS[operator]:
        chain.owner.execute(statement.encode(), {"n": place})
