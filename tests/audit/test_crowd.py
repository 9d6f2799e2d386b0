"""A long chain, written by many while those who seal it are killed. Longer: `python -m bench.audit --crowd`."""

import asyncio
from pathlib import Path

from adapters.ed25519 import Ed25519Keys, new_seed
from adapters.gateways.checkpoint_file import CheckpointFiles
from schema.session import Database
from tests.audit.chain import Chain, spoil
from tests.audit.crowd import Crowd
from tests.audit.test_export import exported, judged
from tests.postgres import PostgresServer
from tests.schema.given import ACME

EVENTS = 20_000


async def test_A2_twenty_writers_and_killed_sealers_leave_no_gap_no_fork_and_raise_no_false_alarm(
    postgres: PostgresServer, database_url_of_test: str, database: Database, tmp_path: Path
) -> None:
    seed = new_seed()
    told = await Crowd(database_url_of_test, tmp_path / "audit", seed).build(events=EVENTS, writers=20)
    assert told.verdict.findings == ()
    assert (told.verdict.count, told.verdict.checked_to, told.verdict.confirmed_to) == (EVENTS,) * 3
    assert (told.alarms, told.kills >= 5, told.verifications > 1, told.taken_back > 0) == ({}, True, True, True)
    kept = list(CheckpointFiles(tmp_path / "audit").all(ACME))
    assert (len(kept), None in kept) == (told.verdict.checkpoints, False)
    with postgres.owner(database_url_of_test) as owner:
        counted = owner.execute(
            """SELECT count(*), count(DISTINCT s.event_id), min(s.sequence), max(s.sequence),
                (SELECT count(*) FROM audit_events) FROM audit_seals s JOIN audit_events e ON e.id = s.event_id"""
        ).fetchone()
        assert counted == (EVENTS, EVENTS, 1, EVENTS, EVENTS)
        chain = Chain(database, owner, tmp_path / "audit", Ed25519Keys(seed))
        assert (await asyncio.to_thread(judged, tmp_path, await exported(chain), chain))["ok"]
        spoil(chain, "actor", 12_345)
        assert [f.sequence for f in (await chain.verify()).findings] == [12_345], "negative control"
