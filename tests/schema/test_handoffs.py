"""Handoffs: opened once, decided once, told once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from domain.clock import ClockKind
from domain.errors import ApprovalStale, Conflict, HandoffAlreadyDecided, HandoffNotFound
from domain.handoff import CLAIM_LEASE, HandoffDecision, HandoffKind, HandoffStatus
from domain.sla import DueStep, SlaPolicy
from domain.values import HandoffId, Json, Priority
from schema.clocks import ClockRepository
from schema.handoff_claims import Claimed, HandoffClaims
from schema.handoffs import Decided, Handoff, HandoffFilters, HandoffRepository, NewHandoff
from schema.session import Database, Session
from tests.schema.given import ACME, GLOBEX, NOW, customer, handoff

SLA = SlaPolicy.shipped()
LATER = NOW + timedelta(hours=2)


async def opened(db: Database, **changes: object) -> Handoff:
    await customer(db)
    async with db.transaction(ACME) as session:
        return await handoff(session, **changes)  # type: ignore[arg-type]  # passed through to a table of defaults


async def later(session: Session, first: Handoff) -> Handoff:
    """A takeover of the same interaction, a minute later."""
    return await handoff(
        session,
        interaction_id=first.interaction_id,
        decision_id=first.decision_id,
        kind=HandoffKind.TAKEOVER,
        opened_at=first.opened_at + timedelta(minutes=1),
    )


async def decide(
    db: Database,
    handoff_id: HandoffId,
    decision: HandoffDecision = HandoffDecision.APPROVED,
    *,
    by: str = "olga",
    digest: str | None = "digest",
    resolution: Json | None = None,
) -> Decided:
    async with db.transaction(ACME) as session:
        return await HandoffRepository(session).decide(
            handoff_id, decision, by=by, digest=digest, resolution=resolution, at=NOW
        )


async def kinds(db: Database, handoff_id: HandoffId) -> list[str]:
    async with db.transaction(ACME) as session:
        return [event.kind for event in await HandoffRepository(session).events(handoff_id)]


async def test_opening_again_returns_the_first_one(database: Database) -> None:
    first = await opened(database)
    async with database.transaction(ACME) as session:
        again = await HandoffRepository(session).open(
            NewHandoff(
                id=HandoffId("hnd_other"),
                interaction_id=first.interaction_id,
                customer_id=first.customer_id,
                kind=first.kind,
                priority=Priority.LOW,
                reason="other",
                confidence=0.1,
                decision_id=first.decision_id,
                digest="other",
                proposed=(),
                issues=(),
                opened_at=LATER,
                sla_due_at=LATER,
            )
        )
    assert again == first
    assert await kinds(database, first.id) == ["opened"]


async def test_one_without_a_decision_is_opened_once_too(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        first = await handoff(session, decision_id=None, kind=HandoffKind.TAKEOVER)
        again = await handoff(session, decision_id=None, kind=HandoffKind.TAKEOVER, interaction_id=first.interaction_id)
    assert again.id == first.id


async def test_of_fifty_deciders_at_once_one_decides_and_the_others_hear_who(database: Database) -> None:
    """H-1"""
    on_the_table = await opened(database)
    answers = await asyncio.gather(
        *(
            decide(database, on_the_table.id, list(HandoffDecision)[n % 2], by=f"operator_{n}", digest="digest")
            for n in range(50)
        ),
        return_exceptions=True,
    )
    winners = [a for a in answers if isinstance(a, Decided)]
    losers = [a for a in answers if isinstance(a, HandoffAlreadyDecided)]
    assert (len(winners), len(losers)) == (1, 49)
    record = winners[0].record
    for loser in losers:
        assert loser.details == {"decision": record.decision, "by": record.decided_by, "at": NOW}
    assert (await kinds(database, on_the_table.id)).count(str(record.decision)) == 1


async def test_saying_the_same_again_returns_the_first_record(database: Database) -> None:
    on_the_table = await opened(database)
    first = await decide(database, on_the_table.id, resolution={"note": "fine"})
    again = await decide(database, on_the_table.id, resolution={"note": "fine"})
    assert (first.first, again.first) == (True, False)
    assert again.record == first.record
    for different in ({"by": "otto"}, {"resolution": {"note": "not fine"}}, {"digest": "other"}):
        with pytest.raises(HandoffAlreadyDecided):
            await decide(database, on_the_table.id, **{"resolution": {"note": "fine"}, **different})  # type: ignore[arg-type]  # a table of keywords


@pytest.mark.parametrize("digest", ["another", None])
async def test_an_approval_binds_what_was_shown(database: Database, digest: str | None) -> None:
    """H-2"""
    on_the_table = await opened(database)
    with pytest.raises(ApprovalStale):
        await decide(database, on_the_table.id, digest=digest)
    assert (await decide(database, on_the_table.id, HandoffDecision.REJECTED, digest=None)).first


async def test_after_its_time_only_expiry_is_possible_and_before_it_never(database: Database) -> None:
    """H-5"""
    over = await opened(database, expires_at=NOW)
    with pytest.raises(ApprovalStale):
        await decide(database, over.id)
    assert (await decide(database, over.id, HandoffDecision.EXPIRED)).record.status is HandoffStatus.EXPIRED
    async with database.transaction(ACME) as session:
        live, timeless = await handoff(session, expires_at=LATER), await handoff(session)
    for early in (live, timeless):
        with pytest.raises(ApprovalStale):
            await decide(database, early.id, HandoffDecision.EXPIRED)
        assert (await decide(database, early.id)).record.status is HandoffStatus.RESOLVED


async def test_a_decision_stays_on_the_list_of_untold_ones_until_it_was_told(database: Database) -> None:
    on_the_table = await opened(database)
    assert await database.untold_handoffs() == ()
    await decide(database, on_the_table.id)
    assert [(u.organisation, u.handoff_id) for u in await database.untold_handoffs()] == [(ACME, on_the_table.id)]
    async with database.transaction(ACME) as session:
        assert await HandoffRepository(session).mark_told(on_the_table.id, NOW)
        assert not await HandoffRepository(session).mark_told(on_the_table.id, LATER)
    assert await database.untold_handoffs() == ()


async def test_a_decision_that_cannot_be_told_now_stands_before_nobody(database: Database) -> None:
    on_the_table = await opened(database)
    await decide(database, on_the_table.id)
    async with database.transaction(ACME) as session:
        await HandoffRepository(session).tell_later(on_the_table.id, datetime.now(UTC) + timedelta(hours=1))
    assert await database.untold_handoffs() == ()
    async with database.transaction(ACME) as session:
        await HandoffRepository(session).tell_later(on_the_table.id, datetime.now(UTC) - timedelta(seconds=1))
    assert [u.handoff_id for u in await database.untold_handoffs()] == [on_the_table.id]


async def test_a_later_handoff_takes_the_place_of_an_undecided_one(database: Database) -> None:
    approval = await opened(database)
    async with database.transaction(ACME) as session:
        repository = HandoffRepository(session)
        takeover = await later(session, approval)
        assert [h.id for h in await repository.withdraw_others(takeover, LATER)] == [approval.id]
        assert await repository.withdraw_others(takeover, LATER) == ()
        assert await repository.withdraw_others(await repository.get(approval.id), LATER) == ()
        assert (await repository.get(takeover.id)).decision is None
    with pytest.raises(HandoffAlreadyDecided):
        await decide(database, approval.id)
    assert await kinds(database, approval.id) == ["opened", "withdrawn"]


async def test_an_earlier_handoff_opened_again_does_not_take_the_place_of_a_later_one(database: Database) -> None:
    approval = await opened(database)
    async with database.transaction(ACME) as session:
        repository = HandoffRepository(session)
        await later(session, approval)
        assert await repository.withdraw_others(approval, LATER) == ()


async def claim(db: Database, handoff_id: HandoffId, by: str, at: datetime = NOW) -> Claimed:
    async with db.transaction(ACME) as session:
        return await HandoffClaims(session).claim(handoff_id, by, at)


async def test_of_fifty_claimers_one_gets_it_and_the_others_hear_who_and_until_when(database: Database) -> None:
    on_the_table = await opened(database)
    answers = await asyncio.gather(
        *(claim(database, on_the_table.id, f"operator_{n}") for n in range(50)), return_exceptions=True
    )
    (mine,) = [a.handoff for a in answers if isinstance(a, Claimed)]
    losers = [a for a in answers if isinstance(a, Conflict)]
    assert (mine.status, mine.claimed_until, len(losers)) == (HandoffStatus.CLAIMED, NOW + CLAIM_LEASE, 49)
    for loser in losers:
        assert loser.details == {"assignee": mine.assignee, "claimed_until": NOW + CLAIM_LEASE}
    assert await kinds(database, on_the_table.id) == ["opened", "claimed"]


async def test_claiming_again_renews_the_lease(database: Database) -> None:
    on_the_table = await opened(database)
    await claim(database, on_the_table.id, "olga")
    again = await claim(database, on_the_table.id, "olga", NOW + timedelta(minutes=10))
    assert again.handoff.claimed_until == NOW + timedelta(minutes=10) + CLAIM_LEASE
    with pytest.raises(Conflict):
        await claim(database, on_the_table.id, "otto", NOW + CLAIM_LEASE)
    assert await kinds(database, on_the_table.id) == ["opened", "claimed", "renewed"]


async def test_a_lease_that_ran_out_is_taken_by_one_other_and_that_is_on_record(database: Database) -> None:
    on_the_table = await opened(database)
    await claim(database, on_the_table.id, "olga")
    over = NOW + CLAIM_LEASE
    answers = await asyncio.gather(
        *(claim(database, on_the_table.id, f"operator_{n}", over) for n in range(20)), return_exceptions=True
    )
    (taken,) = [a for a in answers if isinstance(a, Claimed)]
    assert taken.lapsed == "olga"
    assert await kinds(database, on_the_table.id) == ["opened", "claimed", "lease_expired", "claimed"]
    with pytest.raises(Conflict):
        await claim(database, on_the_table.id, "olga", over)


async def test_whose_lease_ran_out_unnoticed_may_take_it_again(database: Database) -> None:
    on_the_table = await opened(database)
    await claim(database, on_the_table.id, "olga")
    assert (await claim(database, on_the_table.id, "olga", NOW + timedelta(days=1))).lapsed is None


async def test_it_passes_from_hand_to_hand_and_every_step_is_on_record(database: Database) -> None:
    on_the_table = await opened(database)
    async with database.transaction(ACME) as session:
        claims = HandoffClaims(session)
        await claims.claim(on_the_table.id, "olga", NOW)
        for refused in (
            claims.release(on_the_table.id, "otto", NOW),
            claims.reassign(on_the_table.id, "otto", "otto", NOW),
        ):
            with pytest.raises(Conflict):
                await refused
        await claims.note(on_the_table.id, "olga", "looks odd", NOW)
        assert (await claims.reassign(on_the_table.id, "otto", "olga", NOW)).handoff.assignee == "otto"
        released = await claims.release(on_the_table.id, "otto", NOW)
        assert (released.status, released.assignee, released.claimed_until) == (HandoffStatus.OPEN, None, None)
        assert await claims.release(on_the_table.id, "otto", NOW) == released
        await claims.claim(on_the_table.id, "olga", NOW)
        assert (await claims.release(on_the_table.id, "boss", NOW, anyones=True)).status is HandoffStatus.OPEN
    assert await kinds(database, on_the_table.id) == [
        "opened", "claimed", "noted", "reassigned", "released", "claimed", "released",
    ]  # fmt: skip


async def test_what_is_decided_is_in_nobodys_hands(database: Database) -> None:
    on_the_table = await opened(database)
    await decide(database, on_the_table.id)
    with pytest.raises(HandoffAlreadyDecided):
        await claim(database, on_the_table.id, "otto")


async def test_who_looks_at_it_is_shown_for_a_minute_and_is_no_history(database: Database) -> None:
    on_the_table = await opened(database)
    async with database.transaction(ACME) as session:
        claims = HandoffClaims(session)
        await claims.look(on_the_table.id, "otto", NOW - timedelta(seconds=59))
        await claims.look(on_the_table.id, "olga", NOW - timedelta(minutes=5))
        assert [p.operator for p in await claims.present(on_the_table.id, NOW)] == ["otto"]
        await claims.look(on_the_table.id, "olga", NOW)
        assert [p.operator for p in await claims.present(on_the_table.id, NOW)] == ["olga", "otto"]
        assert await claims.present(on_the_table.id, NOW + timedelta(seconds=60)) == []
    assert await kinds(database, on_the_table.id) == ["opened"]


async def test_the_queue_is_ordered_by_due_time_and_filtered(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        made = [await handoff(session, sla_due_at=NOW + timedelta(minutes=5 - n)) for n in range(5)]
        repository = HandoffRepository(session)
        await HandoffClaims(session).claim(made[0].id, "olga", NOW)
        step = DueStep(NOW, ClockKind.CLAIM, SLA.ladder[1])
        await ClockRepository(session, SLA).breach(made[1], step, LATER)
        await ClockRepository(session, SLA).raise_priority(made[1], LATER)
        await repository.decide(made[2].id, HandoffDecision.REJECTED, by="olga", at=NOW)
        first = await repository.list(limit=3)
        rest = await repository.list(limit=3, cursor=first.next_cursor)
        assert [h.id for h in (*first.items, *rest.items)] == [h.id for h in reversed(made)]
        assert rest.next_cursor is None
        for filters, expected in (
            (HandoffFilters(status=HandoffStatus.OPEN), [4, 3, 1]),
            (HandoffFilters(status=HandoffStatus.RESOLVED), [2]),
            (HandoffFilters(assignee="olga"), [0]),
            (HandoffFilters(breached=True), [1]),
            (HandoffFilters(breached=False), [4, 3, 2, 0]),
            (HandoffFilters(priority=Priority.HIGH), [1]),
            (HandoffFilters(kind=HandoffKind.TAKEOVER), []),
            (HandoffFilters(interaction_id=made[3].interaction_id), [3]),
            (HandoffFilters(status=HandoffStatus.CLAIMED, at=NOW), [0]),
            (HandoffFilters(assignee="olga", at=NOW), [0]),
            (HandoffFilters(status=HandoffStatus.OPEN, at=NOW), [4, 3, 1]),
            (HandoffFilters(status=HandoffStatus.CLAIMED, at=LATER), []),
            (HandoffFilters(assignee="olga", at=LATER), []),
            (HandoffFilters(status=HandoffStatus.OPEN, at=LATER), [4, 3, 1, 0]),
        ):
            assert [h.id for h in (await repository.list(filters)).items] == [made[n].id for n in expected], filters


async def test_of_what_is_due_at_once_the_riskier_comes_first(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        made = {
            p: await handoff(session, priority=p)
            for p in (Priority.LOW, Priority.URGENT, Priority.NORMAL, Priority.HIGH)
        }
        repository = HandoffRepository(session)
        expected = [made[p].id for p in reversed(Priority)]
        first = await repository.list(limit=2)
        rest = await repository.list(limit=2, cursor=first.next_cursor)
        assert [h.id for h in (*first.items, *rest.items)] == expected


async def test_another_organisations_handoff_is_not_found(database: Database) -> None:
    on_the_table = await opened(database)
    async with database.transaction(GLOBEX) as session:
        repository = HandoffRepository(session)
        for question in (
            repository.get(on_the_table.id),
            repository.decide(on_the_table.id, HandoffDecision.REJECTED, by="eve", at=NOW),
            HandoffClaims(session).claim(on_the_table.id, "eve", NOW),
            HandoffClaims(session).note(on_the_table.id, "eve", "x", NOW),
            HandoffClaims(session).look(on_the_table.id, "eve", NOW),
            HandoffClaims(session).reassign(on_the_table.id, "eve", "eve", NOW, anyones=True),
        ):
            with pytest.raises(HandoffNotFound):
                await question
        assert (await repository.list()).items == ()
