"""Approvals in the database: yeses, edits and links, under races."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from domain.approval import Approver, Requirement, is_enough
from domain.errors import ApprovalStale, HandoffAlreadyDecided
from domain.handoff import HandoffDecision
from domain.values import DecisionId, HandoffId
from schema.approvals import ApprovalRepository, NewLink
from schema.effects import Approval, EffectRepository
from schema.expiry import expired
from schema.handoffs import Handoff, HandoffRepository
from schema.session import Database, Session
from tests.schema.given import ACME, GLOBEX, NOW, customer, decided, handoff, refund

TWO = Requirement.model_validate({"id": "two", "need": 2, "among": {"scope": "operator"}})
OPERATOR = ("operator",)


async def opened(db: Database, **changes: object) -> Handoff:
    await customer(db)
    async with db.transaction(ACME) as session:
        return await handoff(session, **changes)  # type: ignore[arg-type]  # passed through to a table of defaults


async def edit(session: Session, on_the_table: Handoff, by: str, *, raises: bool = False) -> str:
    """Puts another digest on the table. The decision behind it does not matter here."""
    digest = f"{on_the_table.digest}+{by}"
    assert on_the_table.decision_id is not None
    await ApprovalRepository(session).revise(
        on_the_table, DecisionId(on_the_table.decision_id), digest,
        proposed=[{"tool": "issue_refund", "by": by}], changes=[], raises=raises, by=by, at=NOW,
    )  # fmt: skip
    return digest


async def say_yes(db: Database, handoff_id: HandoffId, by: str, digest: str = "digest") -> bool:
    """As the API does it: lock, check, give, count, perhaps decide. Whether this yes decided."""
    async with db.transaction(ACME) as session:
        on_the_table = await HandoffRepository(session).lock(handoff_id)
        if on_the_table.decision is not None:
            raise HandoffAlreadyDecided("too late")
        if on_the_table.digest != digest:
            raise ApprovalStale("something else")
        approvals = ApprovalRepository(session)
        fresh = await approvals.give(on_the_table, by, OPERATOR, via="key", note=None, at=NOW)
        given = await approvals.given(handoff_id, digest)
        if is_enough([TWO], [Approver(g.approver, frozenset(g.scopes)) for g in given]):
            done = await HandoffRepository(session).decide(
                handoff_id, HandoffDecision.APPROVED, by=by, digest=digest, at=NOW
            )
            return done.first
        if fresh:
            await approvals.wait_for_more(on_the_table, by, NOW)
        return False


async def test_H3_of_many_at_once_the_second_person_decides_and_nobody_counts_twice(
    database: Database, round_: int
) -> None:
    on_the_table = await opened(database)
    people = ["ana", "ana", "ana", "ben", "cem", "dora"] * 4
    answers = await asyncio.gather(*(say_yes(database, on_the_table.id, who) for who in people), return_exceptions=True)
    assert answers.count(True) == 1
    assert {type(a) for a in answers} <= {bool, HandoffAlreadyDecided}
    async with database.transaction(ACME) as session:
        given = await ApprovalRepository(session).given(on_the_table.id, "digest")
        assert (await HandoffRepository(session).get(on_the_table.id)).decision is HandoffDecision.APPROVED
    assert len(given) == len({g.approver for g in given}) == 2


async def test_negative_control_without_the_lock_two_yeses_at_once_would_not_see_each_other(database: Database) -> None:
    on_the_table = await opened(database)
    async with database.transaction(ACME) as one, database.transaction(ACME) as other:
        for session, who in ((one, "ana"), (other, "ben")):
            await ApprovalRepository(session).give(on_the_table, who, OPERATOR, via="key", note=None, at=NOW)
        seen = [await ApprovalRepository(session).given(on_the_table.id, "digest") for session in (one, other)]
    assert [len(given) for given in seen] == [1, 1]


async def test_H3_one_person_alone_never_decides(database: Database) -> None:
    on_the_table = await opened(database)
    answers = await asyncio.gather(*(say_yes(database, on_the_table.id, "ana") for _ in range(20)))
    assert not any(answers)


async def test_H2_what_was_edited_is_on_the_table_and_a_yes_to_the_former_counts_no_longer(database: Database) -> None:
    on_the_table = await opened(database)
    await say_yes(database, on_the_table.id, "ana")
    async with database.transaction(ACME) as session:
        repository = HandoffRepository(session)
        digest = await edit(session, await repository.lock(on_the_table.id), "ben")
        now = await repository.get(on_the_table.id)
        (listed,) = (await repository.list()).items
        assert (now.digest, now.proposed, now.revision, now.stage) == (
            digest, ({"tool": "issue_refund", "by": "ben"},), 1, f"edited:{now.id}:1",
        )  # fmt: skip
        assert listed == now
        assert await ApprovalRepository(session).given(on_the_table.id, digest) == ()
    with pytest.raises(ApprovalStale):
        await say_yes(database, on_the_table.id, "cem")
    for stale in ("digest", None):
        async with database.transaction(ACME) as session:
            with pytest.raises(ApprovalStale):
                await HandoffRepository(session).decide(
                    on_the_table.id, HandoffDecision.APPROVED, by="cem", digest=stale, at=NOW
                )
    assert not await say_yes(database, on_the_table.id, "ana", digest)
    assert await say_yes(database, on_the_table.id, "cem", digest)


async def test_H2_the_ledger_takes_what_was_agreed_and_not_what_was_first_proposed(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        ids = await decided(session)
        on_the_table = await handoff(session, interaction_id=ids[0], decision_id=ids[1])
        digest = await edit(session, await HandoffRepository(session).lock(on_the_table.id), "ben")
        await HandoffRepository(session).decide(
            on_the_table.id, HandoffDecision.APPROVED, by="cem", digest=digest, at=NOW
        )
    with pytest.raises(ApprovalStale):
        async with database.transaction(ACME) as session:
            await EffectRepository(session).reserve([refund(ids, 5_000)], approval=Approval(on_the_table.id, "digest"))
    async with database.transaction(ACME) as session:
        (effect_id,) = await EffectRepository(session).reserve(
            [refund(ids, 5_000)], approval=Approval(on_the_table.id, digest)
        )
    assert effect_id


async def test_H2_of_many_edits_at_once_one_follows_on_what_was_seen(database: Database, round_: int) -> None:
    on_the_table = await opened(database)

    async def editing(n: int) -> str:
        async with database.transaction(ACME) as session:
            await HandoffRepository(session).lock(on_the_table.id)
            return await edit(session, on_the_table, f"operator_{n}")

    answers = await asyncio.gather(*(editing(n) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(a, str) for a in answers) == 1
    assert sum(isinstance(a, ApprovalStale) for a in answers) == 19


async def test_H2_an_edit_and_a_yes_to_what_it_replaces_exclude_each_other(database: Database) -> None:
    """Without the lock too: the conditional update alone lets one of them through."""
    for n in range(10):
        on_the_table = await opened(database, id=HandoffId(f"hnd_race{n}"))

        async def yes(seen: Handoff = on_the_table) -> str:
            async with database.transaction(ACME) as session:
                await HandoffRepository(session).decide(
                    seen.id, HandoffDecision.APPROVED, by="ana", digest="digest", at=NOW
                )
            return "yes"

        async def change(seen: Handoff = on_the_table) -> str:
            async with database.transaction(ACME) as session:
                await edit(session, seen, "ben")
            return "edit"

        answers = await asyncio.gather(yes(), change(), return_exceptions=True)
        assert sum(isinstance(a, str) for a in answers) == 1, answers
        assert sum(isinstance(a, ApprovalStale) for a in answers) == 1, answers


async def test_H5_deciding_and_expiring_at_the_same_moment_one_wins(database: Database, round_: int) -> None:
    end = NOW + timedelta(minutes=5)
    for n, offset in enumerate(itertools.chain.from_iterable([(-50, -1, 0, 1, 50)] * 4)):
        on_the_table = await opened(database, id=HandoffId(f"hnd_exp{n}"), expires_at=end)

        async def person(seen: Handoff = on_the_table, ms: int = offset) -> str:
            async with database.transaction(ACME) as session:
                done = await HandoffRepository(session).decide(
                    seen.id, HandoffDecision.APPROVED, by="ana", digest="digest", at=end + timedelta(milliseconds=ms)
                )
            return str(done.record.decision)

        async def clock(seen: Handoff = on_the_table) -> str:
            async with database.transaction(ACME) as session:
                locked = await HandoffRepository(session).lock(seen.id)
                if locked.is_over(end):
                    locked = await expired(session, locked, end)
            return str(locked.decision)

        answers = await asyncio.gather(person(), clock(), return_exceptions=True)
        async with database.transaction(ACME) as session:
            record = await HandoffRepository(session).get(on_the_table.id)
        said = [a for a in answers if isinstance(a, str)]
        assert record.decision is not None
        assert set(said) == {str(record.decision)}
        if offset >= 0:
            assert record.decision is HandoffDecision.EXPIRED


async def test_a_link_is_used_once_however_many_hold_it(database: Database) -> None:
    on_the_table = await opened(database)
    link = NewLink("lnk_1", on_the_table.id, "digest", "ana", "boss", NOW, NOW + timedelta(hours=1))
    async with database.transaction(ACME) as session:
        await ApprovalRepository(session).add_link(link)
        assert await ApprovalRepository(session).is_usable("lnk_1", NOW)
        assert not await ApprovalRepository(session).is_usable("lnk_1", NOW + timedelta(hours=1))
        assert not await ApprovalRepository(session).use_link("lnk_1", NOW + timedelta(hours=1))

    async def use() -> bool:
        async with database.transaction(ACME) as session:
            return await ApprovalRepository(session).use_link("lnk_1", NOW)

    async with database.transaction(GLOBEX) as session:
        assert not await ApprovalRepository(session).use_link("lnk_1", NOW)
    assert sorted(await asyncio.gather(*(use() for _ in range(20)))) == [False] * 19 + [True]
