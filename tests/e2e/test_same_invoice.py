"""Many ask for the money of one invoice at once: it goes back once, all are told the truth, nobody is needed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from domain.correction import FIRST
from domain.errors import ToolRefused
from domain.ports import Ports
from domain.tools import TOOLS
from domain.tools.issue_refund import IssueRefundArguments, issue_refund
from domain.tools.tool import ToolCall
from domain.values import Json
from schema.decisions import DecisionRepository
from tests.house import DEMO, House, open_house
from tests.temporal import DevServer

AT_ONCE = 8
ROUNDS = 20
KNOWN = {"within_limit", "refund_in_progress", "already_refunded"}


async def ask(house: House, n: int, invoice: str = "inv_1", customer_id: str = "cust_123") -> dict[str, Any]:
    message = f"Please refund invoice {invoice}"
    answer = await house.chat(message, customer_id=customer_id, requestId=f"r{n}")
    while answer.status_code == 202:  # a busy machine: the same request again has the answer once there is one
        answer = await house.chat(message, customer_id=customer_id, requestId=f"r{n}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def all_at_once(house: House, customer_id: str = "cust_123") -> list[dict[str, Any]]:
    return await asyncio.gather(*(ask(house, n, customer_id=customer_id) for n in range(AT_ONCE)))


def code(answer: dict[str, Any]) -> str:
    return str(answer["decision"]["reasons"][0]["code"])


async def test_of_eight_refunds_of_one_invoice_at_once_one_happens_and_nobody_is_bothered(house: House) -> None:
    for round_ in range(ROUNDS):
        customer_id = f"cust_{round_}"
        await house.customer(customer_id, email="test@example.com")
        await house.invoice("inv_1", 4_900, customer_id=customer_id)
        answers = await all_at_once(house, customer_id)
        told = Counter((a["status"], a["decision"]["outcome"], code(a) in KNOWN) for a in answers)
        assert told == {("completed", "proceed", True): 1, ("refused", "refuse", True): AT_ONCE - 1}
        for late in (a for a in answers if a["status"] == "refused"):
            assert "I've refunded" not in late["reply"]
            assert "being carried out" in late["reply"] or "already been refunded" in late["reply"], late["reply"]

    assert {(r.customer_id, r.amount) for r in await house.refunds()} == {(f"cust_{n}", 4_900) for n in range(ROUNDS)}
    assert len(await house.refunds()) == ROUNDS
    assert await house.count("handoffs") == 0


async def test_who_had_read_the_facts_before_somebody_was_quicker_is_judged_on_the_facts_after(house: House) -> None:
    """All have found the money there and wait for the lock on it; one gets it."""
    await house.customer()
    await house.invoice("inv_1", 4_900)
    with psycopg.connect(house.settings.database_url) as holder:
        holder.execute("SELECT FROM customers WHERE id = 'cust_123' FOR NO KEY UPDATE")
        asking = asyncio.create_task(all_at_once(house))
        await _until_waiting(house, 2)
        holder.rollback()
    answers = await asking
    assert Counter(code(a) for a in answers)["within_limit"] == 1
    assert {code(a) for a in answers} <= KNOWN
    assert (len(await house.refunds()), await house.count("handoffs")) == (1, 0)


async def _until_waiting(house: House, n: int) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY UPDATE%'"
    )
    async with asyncio.timeout(20):
        async with await psycopg.AsyncConnection.connect(house.settings.database_url, autocommit=True) as looking:
            while True:
                [found] = await (await looking.execute(waiting)).fetchone() or [0]
                if found >= n:
                    return
                await asyncio.sleep(0.02)


@dataclass
class SlowBank:
    """A billing system elsewhere, which takes its time and then says no, or yes."""

    says_no: bool = True
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0

    async def run(self, arguments: IssueRefundArguments, call: ToolCall, ports: Ports) -> Json:
        self.calls += 1
        self.asked.set()
        await self.may_answer.wait()
        if self.says_no:
            raise ToolRefused("not by us", reason="not_refundable")
        return {"refundId": "rfd_1", "invoiceId": arguments.invoice_id, "amount": {"amount": 1, "currency": "EUR"}}


@pytest.fixture
def bank() -> SlowBank:
    return SlowBank()


@pytest.fixture
async def elsewhere(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel, bank: SlowBank
) -> AsyncIterator[House]:
    tools = {**TOOLS, "issue_refund": replace(issue_refund, run=bank.run, atomic=False)}
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents, tools=tools) as h:
        yield h


async def test_who_is_told_that_a_refund_is_under_way_is_not_told_that_it_happened(
    elsewhere: House, bank: SlowBank
) -> None:
    """The first one fails afterwards: nobody was told otherwise, a person has the first one, and one may ask again."""
    await elsewhere.customer()
    await elsewhere.invoice("inv_1", 4_900)
    first = asyncio.create_task(ask(elsewhere, 0))
    await bank.asked.wait()
    late = await asyncio.gather(*(ask(elsewhere, n) for n in range(1, AT_ONCE)))
    assert {(a["status"], code(a)) for a in late} == {("refused", "refund_in_progress")}
    assert {a["reply"] for a in late} == {
        "I haven't started another refund of invoice inv_1: one is already being carried out."
        " Our answer to that request says how it ended."
    }
    assert await elsewhere.count("handoffs") == 0

    bank.may_answer.set()
    answer = await first
    assert "wasn't able to complete your refund" in answer["reply"]
    assert (bank.calls, await elsewhere.count("handoffs")) == (1, 1)
    again = await ask(elsewhere, AT_ONCE)
    assert bank.calls == 2
    assert code(again) == "within_limit"


async def test_the_explanation_names_the_rule_and_what_it_saw(elsewhere: House, bank: SlowBank) -> None:
    await elsewhere.customer()
    await elsewhere.invoice("inv_1", 4_900)
    first = asyncio.create_task(ask(elsewhere, 0))
    await bank.asked.wait()
    late = await ask(elsewhere, 1)
    bank.says_no = False
    bank.may_answer.set()
    await first
    reason = late["decision"]["reasons"][0]
    assert (reason["code"], reason["rule"]) == ("refund_in_progress", "refund")
    async with elsewhere.db.transaction(DEMO) as session:
        recorded = await DecisionRepository(session).find(late["interactionId"], FIRST)
    assert recorded is not None
    seen = recorded.decision.reasons[0].facts
    assert (seen["facts.invoice.refundable"], seen["facts.invoice.in_flight"]) == (0, 4_900)
    assert code(await ask(elsewhere, 2)) == "already_refunded"


async def test_one_that_nobody_knows_the_end_of_is_still_a_persons(elsewhere: House, bank: SlowBank) -> None:
    """Negative control: what does not end by itself is not called *under way*."""
    await elsewhere.customer()
    await elsewhere.invoice("inv_1", 4_900)
    first = asyncio.create_task(ask(elsewhere, 0))
    await bank.asked.wait()
    with psycopg.connect(elsewhere.settings.database_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE effects DISABLE TRIGGER ALL")
        owner.execute("UPDATE effects SET reserved_at = reserved_at - interval '1 hour'")
    late = await ask(elsewhere, 1)
    bank.may_answer.set()
    await first
    assert (late["status"], code(late)) == ("waiting_for_human", "refund_in_flight")
