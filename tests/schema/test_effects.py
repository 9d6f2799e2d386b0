"""The effect ledger: reserved within limits, called under one key, settled once, whoever comes late."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Executable, TextClause, text

from domain.errors import ApprovalStale, Conflict, HoldfastError, ReservationRefused
from domain.handoff import HandoffDecision
from domain.interaction import EffectState
from domain.values import EffectId, InvoiceStatus
from schema.effect_list import list_effects
from schema.effects import Approval, Dispatched, EffectRepository, Reservation, ReservationLimits, Settled
from schema.handoffs import HandoffRepository
from schema.invoices import InvoiceRepository
from schema.reservations import consume_approval
from schema.session import Database, Record, Session
from tests.postgres import PostgresServer
from tests.schema.given import (
    ACME,
    ANNA,
    NOW,
    QUARTER,
    customer,
    decided,
    euros,
    handoff,
    invoice,
    mail,
    refund,
    reserved,
)

LIMITS = ReservationLimits(cumulative=20_000, period=QUARTER)


@asynccontextmanager
async def ledger(db: Database) -> AsyncIterator[EffectRepository]:
    async with db.transaction(ACME) as session:
        yield EffectRepository(session)


async def reserve_refund(
    db: Database, cents: int, limits: ReservationLimits | None = None, invoice_id: str = "inv_1"
) -> tuple[EffectId, ...]:
    async with db.transaction(ACME) as session:
        ids = await decided(session)
        return await EffectRepository(session).reserve([refund(ids, cents, invoice_id=invoice_id)], limits=limits)


async def dispatch(db: Database, effect_id: EffectId, *, idempotent: bool = True) -> Dispatched | Settled:
    async with ledger(db) as effects:
        return await effects.dispatch(effect_id, idempotent=idempotent, at=NOW)


async def settle(db: Database, effect_id: EffectId, attempt: int, state: EffectState) -> Settled | None:
    async with ledger(db) as effects:
        return await effects.settle(effect_id, attempt, state, result={"attempt": attempt}, at=NOW)


async def a_reserved_mail(db: Database) -> EffectId:
    await customer(db)
    async with db.transaction(ACME) as session:
        return await reserved(session)


class TestReserving:
    async def test_repeating_a_reservation_returns_the_first_ids(self, database: Database) -> None:
        await customer(database)
        async with database.transaction(ACME) as session:
            ids = await decided(session)
            wanted = [refund(ids, 10_000), mail(ids, ordinal=1)]
            first = await EffectRepository(session).reserve(wanted, limits=LIMITS)
        async with ledger(database) as effects:
            # The invoice has nothing left, so a repeat that counted again would be refused.
            assert await effects.reserve(wanted, limits=LIMITS) == first
            assert await effects.reserve(wanted[::-1]) == first[::-1]

    async def test_an_ordinal_does_not_stand_for_two_calls(self, database: Database) -> None:
        await customer(database)
        async with database.transaction(ACME) as session:
            ids = await decided(session)
            await EffectRepository(session).reserve([refund(ids, 1_000)])
        with pytest.raises(Conflict):
            async with ledger(database) as effects:
                await effects.reserve([refund(ids, 2_000)])

    @pytest.mark.parametrize(
        ("cents", "invoice_id", "reason"),
        [
            (10_001, "inv_1", "exceeds_refundable"),
            (1, "inv_open", "exceeds_refundable"),
            (1, "inv_none", "unknown_invoice"),
            (1, "inv_usd", "currency_mismatch"),
        ],
    )
    async def test_what_an_invoice_cannot_give_is_refused(
        self, database: Database, cents: int, invoice_id: str, reason: str
    ) -> None:
        await customer(
            database,
            invoice(),
            invoice("inv_open", status=InvoiceStatus.OPEN),
            invoice("inv_usd", total={"amount": 100, "currency": "USD"}),
        )
        with pytest.raises(ReservationRefused) as refusal:
            await reserve_refund(database, cents, invoice_id=invoice_id)
        assert refusal.value.details["reason"] == reason

    async def test_two_refunds_of_one_batch_count_together(self, database: Database) -> None:
        await customer(database)
        async with database.transaction(ACME) as session:
            ids = await decided(session)
            with pytest.raises(ReservationRefused):
                await EffectRepository(session).reserve([refund(ids, 6_000), refund(ids, 4_001, ordinal=1)])
            made = await EffectRepository(session).reserve([refund(ids, 6_000), refund(ids, 4_000, ordinal=1)])
        assert len(set(made)) == 2

    async def test_the_customers_sum_over_all_invoices_is_limited_within_the_period(self, database: Database) -> None:
        await customer(database, *(invoice(f"inv_{n}") for n in range(1, 5)))
        await reserve_refund(database, 10_000, LIMITS, "inv_1")
        await reserve_refund(database, 9_999, LIMITS, "inv_2")
        with pytest.raises(ReservationRefused) as refusal:
            await reserve_refund(database, 2, LIMITS, "inv_3")
        assert refusal.value.details["reason"] == "over_cumulative_limit"
        await reserve_refund(database, 1, LIMITS, "inv_3")
        await reserve_refund(database, 5_000, None, "inv_4")
        async with database.transaction(ACME) as session:
            ids = await decided(session)
            later = replace(refund(ids, 5_000, invoice_id="inv_3"), at=NOW + QUARTER + timedelta(seconds=1))
            await EffectRepository(session).reserve([later], limits=LIMITS)

    async def test_a_money_effect_names_its_amount_and_one_customer(self, database: Database) -> None:
        await customer(database)
        async with database.transaction(ACME) as session:
            first, second = await decided(session), await decided(session)
            effects = EffectRepository(session)
            with pytest.raises(ValueError, match="amount"):
                await effects.reserve([replace(refund(first, 1), money=None)])
            with pytest.raises(ValueError, match="one interaction"):
                await effects.reserve([refund(first, 1), refund(second, 1)])

    async def test_many_at_once_never_reserve_more_than_the_invoice_can_give(self, database: Database) -> None:
        """R-6"""
        await customer(database)
        outcomes = await asyncio.gather(*(reserve_refund(database, 3_000) for _ in range(20)), return_exceptions=True)
        refused = [o for o in outcomes if isinstance(o, ReservationRefused)]
        assert (len(outcomes) - len(refused), len(refused)) == (3, 17)

    async def test_many_at_once_never_exceed_the_customers_limit(self, database: Database) -> None:
        await customer(database, *(invoice(f"inv_{n}") for n in range(20)))
        outcomes = await asyncio.gather(
            *(reserve_refund(database, 3_000, LIMITS, f"inv_{n}") for n in range(20)), return_exceptions=True
        )
        refused = [o for o in outcomes if isinstance(o, ReservationRefused)]
        assert (len(outcomes) - len(refused), len(refused)) == (6, 14)

    async def test_without_the_locks_the_same_race_overdraws_the_invoice(self, database: Database) -> None:
        """Negative control: the same code, its statements stripped of their locks, loses money."""
        await customer(database)
        both_counted = asyncio.Barrier(2)

        async def unlocked() -> None:
            async with database.transaction(ACME) as session:
                ids = await decided(session)
                stripped = Unlocked(session.organisation, session.driver, both_counted)
                await EffectRepository(stripped).reserve([refund(ids, 10_000)])

        await asyncio.gather(unlocked(), unlocked())
        async with database.transaction(ACME) as session:
            (found,) = await InvoiceRepository(session).list(ANNA)
        assert found.in_flight == 2 * found.total.amount


@dataclass(frozen=True)
class Unlocked(Session):
    """A session whose statements take no locks; it waits before it reserves until the other one has counted too."""

    counted: asyncio.Barrier

    async def all(self, statement: Executable, **values: Any) -> Sequence[Record]:
        assert isinstance(statement, TextClause)
        return await super().all(_stripped(statement), **values)

    async def first(self, statement: TextClause, **values: Any) -> Record | None:
        return await super().first(_stripped(statement), **values)

    async def run(self, statement: TextClause, **values: Any) -> int:
        await self.counted.wait()
        return await super().run(statement, **values)


def _stripped(statement: TextClause) -> TextClause:
    return text(statement.text.replace("FOR NO KEY UPDATE OF i", "").replace("FOR NO KEY UPDATE", ""))


class TestApproval:
    async def approved(self, db: Database) -> Approval:
        async with db.transaction(ACME) as session:
            opened = await handoff(session, digest="yes to this")
            await HandoffRepository(session).decide(
                opened.id, HandoffDecision.APPROVED, by="olga", digest="yes to this", at=NOW
            )
        return Approval(opened.id, "yes to this")

    async def test_an_approval_is_good_for_one_reservation(self, database: Database) -> None:
        await customer(database)
        approval = await self.approved(database)
        async with database.transaction(ACME) as session:
            wanted = [refund(await decided(session), 1_000)]
            made = await EffectRepository(session).reserve(wanted, approval=approval)
        async with ledger(database) as effects:
            assert await effects.reserve(wanted, approval=approval) == made
            assert (await effects.get(made[0])).effect.handoff_id == approval.handoff_id
        with pytest.raises(ApprovalStale):
            async with database.transaction(ACME) as session:
                await EffectRepository(session).reserve([refund(await decided(session), 1_000)], approval=approval)

    async def test_twenty_at_once_use_it_once(self, database: Database) -> None:
        await customer(database)
        approval = await self.approved(database)

        async def use() -> None:
            async with database.transaction(ACME) as session:
                await consume_approval(session, approval, NOW)

        used = await asyncio.gather(*(use() for _ in range(20)), return_exceptions=True)
        assert used.count(None) == 1
        assert sum(isinstance(u, ApprovalStale) for u in used) == 19

    async def test_a_yes_to_something_else_is_no_yes(self, database: Database) -> None:
        """H-2"""
        await customer(database)
        approval = await self.approved(database)
        async with database.transaction(ACME) as session:
            undecided = await handoff(session)
        for stale in (replace(approval, digest="other"), Approval(undecided.id, undecided.digest)):
            with pytest.raises(ApprovalStale):
                async with database.transaction(ACME) as session:
                    await EffectRepository(session).reserve([mail(await decided(session))], approval=stale)


class TestCalling:
    async def test_an_effect_goes_from_reserved_to_confirmed(self, database: Database) -> None:
        effect_id = await a_reserved_mail(database)
        async with ledger(database) as effects:
            assert (await effects.get(effect_id)).state is EffectState.RESERVED
        found = await dispatch(database, effect_id)
        assert isinstance(found, Dispatched)
        assert (found.attempt, found.effect.key) == (1, effect_id)
        async with ledger(database) as effects:
            assert (await effects.get(effect_id)).state is EffectState.DISPATCHED
        verdict = Settled(EffectState.CONFIRMED, {"attempt": 1}, None)
        assert await settle(database, effect_id, 1, EffectState.CONFIRMED) == verdict
        assert await dispatch(database, effect_id) == verdict
        assert await settle(database, effect_id, 1, EffectState.CONFIRMED) == verdict
        async with database.transaction(ACME) as session:
            effects = EffectRepository(session)
            (standing,) = (await list_effects(session, ANNA)).items
            assert (standing,) == await effects.list_for_interaction(standing.effect.interaction_id)
        assert (standing.state, standing.attempt, standing.result) == (EffectState.CONFIRMED, 1, {"attempt": 1})

    async def test_a_tool_that_is_not_idempotent_is_never_called_twice(self, database: Database) -> None:
        """R-4"""
        effect_id = await a_reserved_mail(database)
        assert isinstance(await dispatch(database, effect_id, idempotent=False), Dispatched)
        lost = Settled(EffectState.UNKNOWN, None, "attempt_lost")
        assert await dispatch(database, effect_id, idempotent=False) == lost
        assert await settle(database, effect_id, 1, EffectState.CONFIRMED) == lost

    async def test_an_attempt_that_surely_did_not_happen_may_be_followed_by_another(self, database: Database) -> None:
        effect_id = await a_reserved_mail(database)
        await dispatch(database, effect_id, idempotent=False)
        async with ledger(database) as effects:
            await effects.withdraw(effect_id, 1, NOW)
            assert (await effects.get(effect_id)).state is EffectState.RESERVED
        second = await dispatch(database, effect_id, idempotent=False)
        assert isinstance(second, Dispatched)
        assert second.attempt == 2
        assert isinstance(await dispatch(database, effect_id, idempotent=False), Settled)

    async def test_a_worker_that_wakes_late_changes_nothing(
        self, database: Database, database_url_of_test: str, postgres: PostgresServer
    ) -> None:
        """R-5"""
        effect_id = await a_reserved_mail(database)
        await dispatch(database, effect_id)
        await dispatch(database, effect_id)
        assert await settle(database, effect_id, 1, EffectState.FAILED) is None
        verdict = Settled(EffectState.CONFIRMED, {"attempt": 2}, None)
        assert await settle(database, effect_id, 2, EffectState.CONFIRMED) == verdict
        assert await settle(database, effect_id, 1, EffectState.UNKNOWN) == verdict
        with postgres.owner(database_url_of_test) as connection:
            events = connection.execute("SELECT attempt, state FROM effect_events ORDER BY 1, 2").fetchall()
        assert events == [(1, "dispatched"), (1, "late"), (2, "confirmed"), (2, "dispatched")]

    async def test_many_workers_at_once_get_different_attempts_and_one_verdict(self, database: Database) -> None:
        effect_id = await a_reserved_mail(database)
        found = await asyncio.gather(*(dispatch(database, effect_id) for _ in range(10)))
        attempts = sorted(f.attempt for f in found if isinstance(f, Dispatched))
        assert attempts == list(range(1, 11))
        states = [EffectState.CONFIRMED, EffectState.FAILED]
        await asyncio.gather(*(settle(database, effect_id, n, states[n % 2]) for n in attempts))
        assert await dispatch(database, effect_id) == Settled(EffectState.CONFIRMED, {"attempt": 10}, None)

    async def test_a_report_on_an_attempt_nobody_made_is_not_recorded(self, database: Database) -> None:
        effect_id = await a_reserved_mail(database)
        assert await settle(database, effect_id, 1, EffectState.CONFIRMED) is None
        async with ledger(database) as effects:
            assert (await effects.get(effect_id)).state is EffectState.RESERVED

    async def test_only_a_verdict_settles(self, database: Database) -> None:
        effect_id = await a_reserved_mail(database)
        for state in set(EffectState) - {EffectState.CONFIRMED, EffectState.FAILED, EffectState.UNKNOWN}:
            with pytest.raises(ValueError, match="confirmed, failed or unknown"):
                await settle(database, effect_id, 1, state)

    async def test_an_effect_that_does_not_exist_is_not_called(self, database: Database) -> None:
        with pytest.raises(HoldfastError):
            await dispatch(database, EffectId("eff_none"))


class TestAtomicTools:
    async def settle_atomic(self, db: Database, effect_id: EffectId, state: EffectState) -> Settled:
        async with ledger(db) as effects:
            return await effects.settle_atomic(effect_id, state, result={"by": "atomic"}, at=NOW)

    async def test_twenty_at_once_settle_it_once(self, database: Database) -> None:
        effect_id = await a_reserved_mail(database)
        verdicts = await asyncio.gather(
            *(self.settle_atomic(database, effect_id, EffectState.CONFIRMED) for _ in range(20))
        )
        assert set(map(str, verdicts)) == {str(Settled(EffectState.CONFIRMED, {"by": "atomic"}, None))}

    async def test_what_was_settled_otherwise_rolls_the_tools_work_back(self, database: Database) -> None:
        effect_id = await a_reserved_mail(database)
        await self.settle_atomic(database, effect_id, EffectState.FAILED)

        async def run_the_tool_again() -> None:
            async with database.transaction(ACME) as session:
                await InvoiceRepository(session).refund("key", ANNA, "inv_1", euros(100))
                await EffectRepository(session).settle_atomic(effect_id, EffectState.CONFIRMED, at=NOW)

        with pytest.raises(Conflict):
            await run_the_tool_again()
        async with database.transaction(ACME) as session:
            receipt = await InvoiceRepository(session).refund("key", ANNA, "inv_1", euros(200))
        assert receipt.amount == euros(200)


class TestCounting:
    """Confirmed is refunded; reserved, dispatched and unknown are in flight; failed and undone are free."""

    async def counted(self, db: Database) -> tuple[int, int, int]:
        async with db.transaction(ACME) as session:
            (found,) = await InvoiceRepository(session).list(ANNA)
        return found.refunded, found.in_flight, found.refundable.amount

    async def test_every_state_counts_as_it_should(self, database: Database) -> None:
        await customer(database)
        (effect_id,) = await reserve_refund(database, 4_000)
        assert await self.counted(database) == (0, 4_000, 6_000)
        await dispatch(database, effect_id)
        assert await self.counted(database) == (0, 4_000, 6_000)
        await settle(database, effect_id, 1, EffectState.CONFIRMED)
        assert await self.counted(database) == (4_000, 0, 6_000)
        async with ledger(database) as effects:
            assert await effects.undo(effect_id, {}, NOW)
            assert not await effects.undo(effect_id, {}, NOW)
            assert (await effects.get(effect_id)).state is EffectState.UNDONE
        assert await self.counted(database) == (0, 0, 10_000)

    @pytest.mark.parametrize(
        ("state", "counts"), [(EffectState.FAILED, (0, 0, 10_000)), (EffectState.UNKNOWN, (0, 4_000, 6_000))]
    )
    async def test_failed_money_is_free_and_unknown_money_is_not(
        self, database: Database, state: EffectState, counts: tuple[int, int, int]
    ) -> None:
        await customer(database)
        (effect_id,) = await reserve_refund(database, 4_000)
        await dispatch(database, effect_id)
        await settle(database, effect_id, 1, state)
        assert await self.counted(database) == counts
        async with ledger(database) as effects:
            assert not await effects.undo(effect_id, {}, NOW)


def _reservation_fields_are_all_stored(reservation: Reservation) -> dict[str, object]:
    return {
        name: getattr(reservation, name)
        for name in ("interaction_id", "decision_id", "customer_id", "ordinal", "tool", "effect_class", "arguments",
                     "digest", "policy_version", "subject", "money")
    }  # fmt: skip


async def test_an_effect_reads_back_exactly_as_it_was_reserved(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        wanted = refund(await decided(session), 4_999)
        effects = EffectRepository(session)
        (effect_id,) = await effects.reserve([wanted])
        effect = (await effects.get(effect_id)).effect
    expected = _reservation_fields_are_all_stored(wanted)
    assert {name: getattr(effect, name) for name in expected} == expected
    assert effect.reserved_at == NOW
