"""Sealing goes on for the others, whatever is wrong with one; nothing hides from it by the number it carries."""

import psycopg
import pytest
from temporalio.exceptions import ApplicationError

from domain.audit import Flaw
from schema.audit import AuditEvent, AuditRepository
from schema.audit_seals import Head, SealRepository
from schema.session import Database
from tests.audit.chain import Chain
from tests.schema.given import ACME, GLOBEX, NOW


async def written(db: Database, organisation: str, count: int = 3) -> None:
    async with db.transaction(organisation) as session:  # type: ignore[arg-type]
        await AuditRepository(session).append(*(AuditEvent(NOW, "agent", "a.b", f"int_{n}") for n in range(count)))


async def head(db: Database, organisation: str) -> Head | None:
    return await db.one_by_one(organisation, lambda session: SealRepository(session).head())  # type: ignore[arg-type]


async def sealed_until(chain: Chain, organisation: str, sequence: int) -> None:
    """Another database of the same server may hold the horizon up for a moment."""
    found = await head(chain.db, organisation)
    while found is None or found.sequence < sequence:
        await chain.seal()
        found = await head(chain.db, organisation)


async def test_an_organisation_that_cannot_be_sealed_keeps_no_other_from_it(chain: Chain) -> None:
    for organisation in (ACME, GLOBEX):
        await written(chain.db, organisation)
    chain.owner.execute("ALTER TABLE audit_seals ADD CONSTRAINT broken CHECK (organisation <> 'acme')")
    with pytest.raises(ApplicationError):
        await chain.seal()
    for _ in range(50):
        if await head(chain.db, GLOBEX):
            break
        with pytest.raises(ApplicationError):
            await chain.seal()
    assert await head(chain.db, GLOBEX) is not None
    assert chain.files.latest(GLOBEX) is not None
    assert await head(chain.db, ACME) is None
    chain.owner.execute("ALTER TABLE audit_seals DROP CONSTRAINT broken")
    await sealed_until(chain, ACME, 3)


async def test_a_checkpoint_that_cannot_be_kept_for_one_is_kept_for_the_others(chain: Chain) -> None:
    for organisation in (ACME, GLOBEX):
        await written(chain.db, organisation)
    chain.folder.mkdir()
    (chain.folder / "checkpoints-acme.jsonl").mkdir()  # something that is no file
    for _ in range(50):
        if chain.files.latest(GLOBEX):
            break
        with pytest.raises(ApplicationError):
            await chain.seal()
    assert chain.files.latest(GLOBEX) is not None


async def test_A1_an_event_that_claims_a_transaction_nobody_began_is_found(chain: Chain) -> None:
    await chain.write(20)
    await chain.seal_all()
    assert (await chain.verify()).ok
    chain.owner.execute(
        "INSERT INTO audit_events (organisation, id, at, actor, action, subject, details, xact)"
        " VALUES ('acme', 'aud_z', now(), 'x', 'a.b', 'int_1', '{}', 9000000000000)"
    )
    found = (await chain.verify()).findings
    assert [(f.problem, f.event_id, f.sequence) for f in found] == [(Flaw.NOT_SEALED, "aud_z", 21)]


async def test_an_event_that_is_being_written_is_no_alarm(chain: Chain) -> None:
    """Negative control: others write and commit all the while, with numbers beyond the last horizon."""
    await chain.write(20)
    await chain.seal_all()
    async with chain.db.transaction(ACME) as slow:
        await AuditRepository(slow).append(AuditEvent(NOW, "slow", "a.b", "int_1"))
        await chain.write(5)
        assert (await chain.verify()).ok
    during = await chain.verify()
    assert (during.ok, during.pending) == (True, 6)


@pytest.mark.parametrize("place", [1, 9, 20])
async def test_A1_another_organisations_event_in_the_place_of_ours_is_found(chain: Chain, place: int) -> None:
    await chain.write(20)
    await written(chain.db, GLOBEX, 20)
    await chain.seal_all()
    await sealed_until(chain, GLOBEX, 20)
    swap(chain.owner, place)
    (found, *_) = (await chain.verify()).findings
    assert (found.problem, found.sequence) == (Flaw.HASH_DIFFERS, place)


def swap(owner: psycopg.Connection, place: int) -> None:
    """Everything of the two rows but whose they are."""
    owner.execute(
        """
        WITH both_ AS (
            SELECT s.organisation, e.id, e.at, e.actor, e.action, e.subject, e.details, e.xact FROM audit_seals s
            JOIN audit_events e ON e.organisation = s.organisation AND e.id = s.event_id WHERE s.sequence = %s
        )
        UPDATE audit_events e
        SET at = o.at, actor = o.actor, subject = o.subject, details = o.details, action = o.action
        FROM both_ m JOIN both_ o ON o.organisation <> m.organisation
        WHERE e.organisation = m.organisation AND e.id = m.id
        """,
        [place],
    )
