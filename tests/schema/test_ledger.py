"""Decisions, deliveries, audit and the timeline: recorded once, in order, nothing personal where it does not belong."""

from datetime import timedelta

import pytest

from domain.decision import Decision, JudgedAction, Outcome, Reason
from domain.errors import NotFound
from domain.interaction import EffectState
from domain.proposal import Proposal, Source
from domain.values import DeliveryId, InteractionId, Mode
from schema.audit import AuditEvent, AuditRepository
from schema.decisions import DecisionRepository
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.effects import EffectRepository
from schema.facts import load_facts
from schema.interactions import InteractionRepository
from schema.session import Database
from tests.schema.given import ACME, ANNA, NOW, QUARTER, customer, decided, handoff, interaction, mail

FIRST = Decision(
    outcome=Outcome.PROCEED,
    confidence=0.93,
    actions=(JudgedAction(tool="issue_refund", arguments={"amount": 4900}, outcome=Outcome.PROCEED, digest="d"),),
    reasons=(Reason(code="within_limit", rule="refund", version=3, facts={"amount": 4900}),),
    policy_version=3,
    digest="abc",
)


async def test_the_first_decision_of_a_stage_stands(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        interaction_id, facts = await interaction(session), await load_facts(session, ANNA, NOW, refund_period=QUARTER)
        repository = DecisionRepository(session)
        proposal = Proposal(source=Source.EMBEDDED, reply="…")
        made = [
            await repository.record_once(
                interaction_id, stage, decision, proposal=proposal, facts=facts, mode=Mode.LIVE, at=NOW
            )
            for stage, decision in (("first", FIRST), ("first", Decision(outcome=Outcome.REFUSE)), ("reply", FIRST))
        ]
        recorded = await repository.list(interaction_id)
    assert made[0] == made[1]
    assert made[0][1] == FIRST
    assert [(r.id, r.stage) for r in recorded] == [(made[0][0], "first"), (made[2][0], "reply")]
    assert (recorded[0].decision, recorded[0].proposal) == (FIRST, proposal)
    assert recorded[0].facts.invoices == facts.invoices
    assert (recorded[0].facts.account.name, recorded[0].facts.account.email) == ("", None)


def message(interaction_id: InteractionId, **changes: object) -> NewDelivery:
    values = {"purpose": "answer", "channel": "chat", "body": "Hello.", "at": NOW, **changes}
    return NewDelivery(interaction_id=interaction_id, customer_id=ANNA, **values)  # type: ignore[arg-type]  # defaults


async def test_a_delivery_is_added_once_and_marked_until_it_has_ended(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        interaction_id = await interaction(session)
        repository = DeliveryRepository(session)
        first = await repository.add(message(interaction_id))
        assert await repository.add(message(interaction_id, body="Changed.")) == first
        assert await repository.mark(first, DeliveryStatus.DEAD_LETTER, NOW, "smtp_550")
        assert [d.id for d in (await repository.list(DeliveryStatus.DEAD_LETTER)).items] == [first]
        assert not await repository.mark(first, DeliveryStatus.DEAD_LETTER, NOW)
        assert await repository.mark(first, DeliveryStatus.DELIVERED, NOW)
        assert not await repository.mark(first, DeliveryStatus.PENDING, NOW)
        delivered = await repository.get(first)
        second = await repository.add(message(interaction_id, channel="email", at=NOW + timedelta(seconds=1)))
        assert [d.id for d in (await repository.list()).items] == [second, first]
        assert [d.id for d in (await repository.list(DeliveryStatus.DELIVERED)).items] == [first]
    assert (delivered.body, delivered.status, delivered.delivered_at) == ("Hello.", DeliveryStatus.DELIVERED, NOW)


async def test_the_delivery_of_an_effect_follows_the_effect(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        ids = await decided(session)
        (effect_id,) = await EffectRepository(session).reserve([mail(ids)])
        repository = DeliveryRepository(session)
        delivery_id = await repository.add(message(ids[0], channel="email", effect_id=effect_id))
        await repository.mark_effect(effect_id, DeliveryStatus.DELIVERED, NOW)
        assert (await repository.get(delivery_id)).status is DeliveryStatus.DELIVERED
        with pytest.raises(NotFound):
            await repository.get(DeliveryId("dlv_none"))


async def test_audit_events_are_kept_in_the_order_they_were_appended(database: Database) -> None:
    events = [AuditEvent(NOW, "agent", "refund.issued", f"eff_{n}", {"n": n}) for n in range(5)]
    async with database.transaction(ACME) as session:
        repository = AuditRepository(session)
        await repository.append()
        await repository.append(*events)
        first = await repository.list(limit=3)
        rest = await repository.list(limit=3, cursor=first.next_cursor)
    assert [*first.items, *rest.items] == events[::-1]


async def test_the_timeline_tells_everything_in_order(database: Database) -> None:
    await customer(database)
    async with database.transaction(ACME) as session:
        opened = await handoff(session)
        ids = (opened.interaction_id, opened.decision_id or "")
        effects = EffectRepository(session)
        (effect_id,) = await effects.reserve([mail(ids)])  # type: ignore[arg-type]  # it has a decision
        await effects.dispatch(effect_id, idempotent=True, at=NOW + timedelta(seconds=1))
        await effects.settle(effect_id, 1, EffectState.CONFIRMED, result={"x": 1}, at=NOW + timedelta(seconds=2))
        deliveries = DeliveryRepository(session)
        delivery_id = await deliveries.add(message(ids[0], at=NOW + timedelta(seconds=3)))
        await deliveries.mark(delivery_id, DeliveryStatus.DELIVERED, NOW + timedelta(seconds=4))
        await AuditRepository(session).append(
            AuditEvent(NOW + timedelta(seconds=5), "agent", "interaction.completed", ids[0])
        )
        entries = await InteractionRepository(session).timeline(ids[0])
    assert [(e.kind, e.what) for e in entries] == [
        ("message", "received"),
        ("decision", "proceed"),
        ("effect", "reserved"),
        ("handoff", "opened"),
        ("effect", "dispatched"),
        ("effect", "confirmed"),
        ("delivery", "created"),
        ("delivery", "delivered"),
        ("audit", "interaction.completed"),
    ]
    assert entries[5].data["result"] == {"x": 1}
    assert [e.at for e in entries] == sorted(e.at for e in entries)
