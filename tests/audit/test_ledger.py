"""Whoever changes what was decided or done, and leaves the audit's own tables alone, is found by both checks."""

import asyncio
import re
from pathlib import Path

import pytest

from domain.handoff import HandoffDecision
from domain.interaction import EffectState
from domain.values import EffectId
from schema.audit import AuditEvent, AuditRepository
from schema.effects import EffectRepository
from schema.handoffs import HandoffRepository
from tests.audit.chain import Chain
from tests.audit.test_export import exported, judged
from tests.schema.given import ACME, ANNA, NOW, customer, decided, handoff, mail

CHANGES = {
    "arguments": ('UPDATE effects SET arguments = arguments || \'{{"to": "x"}}\'', {"effect"}),
    "tool": ("UPDATE effects SET tool = 'issue_refund'", {"effect"}),
    "amount": ("UPDATE effects SET amount = 1, currency = 'EUR'", {"effect"}),
    "whose": ("UPDATE effects SET customer_id = 'erased_0'", {"effect"}),
    "when": ("UPDATE effects SET reserved_at = reserved_at - interval '1 microsecond'", {"effect"}),
    "state": ("UPDATE effect_events SET state = 'failed' WHERE state = 'confirmed'", {"outcome"}),
    "result": ("UPDATE effect_events SET result = '{{}}' WHERE state = 'confirmed'", {"outcome"}),
    "gone": ("DELETE FROM effect_events", {"outcome"}),
    "decision": ('UPDATE decisions SET decision = decision || \'{{"outcome": "refuse"}}\'', {"decision"}),
    "facts": ("UPDATE decisions SET facts = facts || '{{\"x\": 1.0}}'", {"decision"}),
    "proposed": ('UPDATE handoffs SET proposed = \'[{{"tool": "x"}}]\'', {"handoff"}),
    "decided by": ("UPDATE handoffs SET decided_by = 'nobody'", {"ruling"}),
    "reply": ('UPDATE handoffs SET resolution = \'{{"reply": "x"}}\'', {"ruling"}),
}


async def a_story(chain: Chain) -> EffectId:
    """Decided, asked, answered by a person; and a mail that was only reserved when it was all over."""
    await customer(chain.db)
    async with chain.db.transaction(ACME) as session:
        ids = await decided(session)
        asked = await handoff(session, interaction_id=ids[0], decision_id=ids[1])
        audit = AuditRepository(session)
        await audit.append(AuditEvent(NOW, "agent", "handoff.opened", asked.id))
        said = {"reply": "Döne. \u2028 \x7f"}
        await HandoffRepository(session).decide(asked.id, HandoffDecision.RESOLVED, by="op", at=NOW, resolution=said)
        await audit.append(AuditEvent(NOW, "op", "handoff.resolved", asked.id))
        (effect_id,) = await EffectRepository(session).reserve([mail(ids)])
        await audit.append(AuditEvent(NOW, "agent", "interaction.completed", ids[0]))
    async with chain.db.transaction(ACME) as session:
        effects = EffectRepository(session)
        attempt = await effects.dispatch(effect_id, idempotent=True, at=NOW)
        result = {"é": "ü\t", "b": 1.50, "aa": [1, None, True]}
        await effects.settle(effect_id, attempt.attempt, EffectState.CONFIRMED, result=result, at=NOW)  # type: ignore[union-attr]
    await chain.seal_all()
    return effect_id


@pytest.mark.parametrize("change", [None, *CHANGES])
async def test_A1_a_changed_ledger_is_found_and_the_row_is_named(
    chain: Chain, tmp_path: Path, change: str | None
) -> None:
    await a_story(chain)
    statement, expected = CHANGES[change] if change else ("SELECT 1", set[str]())
    chain.owner.execute(statement.format().encode())
    verdict = await chain.verify()
    assert {f.problem.value for f in verdict.findings} == ({"ledger_differs"} if change else set())
    assert {(f.row or "").split()[0] for f in verdict.findings} == expected
    theirs = await asyncio.to_thread(judged, tmp_path, await exported(chain), chain)
    found = {(f["problem"], f["sequence"], f["row"]) for f in theirs["findings"]}
    assert found == {(f.problem.value, f.sequence, f.row) for f in verdict.findings}


async def test_what_an_earlier_release_sealed_is_checked_by_its_own_format(chain: Chain, tmp_path: Path) -> None:
    """There events carried the digests themselves, and their details were hashed taken apart."""
    chain.signs = False
    await a_story(chain)
    chain.owner.execute(
        "UPDATE audit_events e SET details = details || jsonb_build_object('rate', 1.50, 'ledger', s.ledger::jsonb)"
        " FROM audit_seals s WHERE s.event_id = e.id AND s.ledger <> ''"
    )
    chain.owner.execute("UPDATE audit_seals SET ledger = NULL")
    chain.rehash()
    chain.signs = True
    await chain.write(3)
    await chain.seal_all()
    assert (await chain.verify()).findings == ()
    assert (await asyncio.to_thread(judged, tmp_path, await exported(chain), chain))["ok"]
    for change in ("tool", "result", "decided by"):
        chain.owner.execute(CHANGES[change][0].format().encode())
    verdict = await chain.verify()
    assert {(f.row or "").split()[0] for f in verdict.findings} == {"effect", "outcome", "ruling"}
    theirs = await asyncio.to_thread(judged, tmp_path, await exported(chain), chain)
    found = {(f["problem"], f["sequence"], f["row"]) for f in theirs["findings"]}
    assert found == {(f.problem.value, f.sequence, f.row) for f in verdict.findings}


async def test_a_row_is_bound_from_the_sealing_on_and_not_before(chain: Chain) -> None:
    """What decision 31 admits: between its event and the sealing somebody who owns the database could change it."""
    await customer(chain.db)
    async with chain.db.transaction(ACME) as session:
        ids = await decided(session)
        await AuditRepository(session).append(AuditEvent(NOW, "agent", "interaction.completed", ids[0]))
    chain.owner.execute(CHANGES["decision"][0].format().encode())
    await chain.seal_all()
    assert (await chain.verify()).ok
    chain.owner.execute("UPDATE decisions SET facts = '{}'")
    assert not (await chain.verify()).ok


async def test_what_a_settled_effect_is_sealed_with_is_its_own_event(chain: Chain) -> None:
    effect_id = await a_story(chain)
    (said,) = chain.owner.execute(
        "SELECT s.ledger::jsonb FROM audit_seals s JOIN audit_events e ON e.id = s.event_id"
        " WHERE e.action = 'effect.confirmed' AND e.subject = %s",
        [effect_id],
    ).fetchone() or ([],)
    assert [row["of"] for row in said] == ["effect", "outcome"]
    assert all(re.fullmatch("[0-9a-f]{64}", row["row"]) for row in said)


async def test_a_customer_who_was_forgotten_is_no_finding_unless_nobody_asked_for_it(
    chain: Chain, tmp_path: Path
) -> None:
    await a_story(chain)
    tomb = "erased_" + "0" * 32
    chain.owner.execute(
        "INSERT INTO customers SELECT organisation, %s, 'erased', email, phone, plan, status, language, time_zone,"
        " region, conversation_id || 'x', created_at, updated_at FROM customers",
        [tomb],
    )
    for table in ("interactions", "effects", "handoffs"):
        chain.owner.execute(f"UPDATE {table} SET customer_id = %s WHERE customer_id = %s".encode(), [tomb, ANNA])
    chain.owner.execute("UPDATE effects SET arguments = '{}'")
    chain.owner.execute("UPDATE decisions SET facts = '{}'")
    chain.owner.execute("UPDATE effect_events SET result = NULL")
    assert {f.row.split()[0] for f in (await chain.verify()).findings if f.row} == {
        "decision", "effect", "outcome", "handoff",
    }  # fmt: skip
    async with chain.db.transaction(ACME) as session:
        erased = AuditEvent(NOW, "system", "customer.erased", "ers_" + "0" * 32)
        await AuditRepository(session).append(erased)
    await chain.seal_all()
    assert (await chain.verify()).findings == ()
    assert (await asyncio.to_thread(judged, tmp_path, await exported(chain), chain))["ok"]
    chain.owner.execute("UPDATE effects SET tool = 'issue_refund'")
    assert not (await chain.verify()).ok, "what was done stays bound, whoever it was for"
