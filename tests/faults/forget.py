"""D-4 at scale: a tenth of a crowd asks to be forgotten, whatever of theirs is done or open; nobody else notices."""

import asyncio
import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from tests.canaries import Canaries, columns
from tests.faults.check import Row

if TYPE_CHECKING:
    from tests.faults.scale import Crowd

SAYS = (
    "hello, I am {}",
    "please refund inv_1, {}",  # small: done at once, with a mail
    "please refund inv_2, {}",  # large: waits for a person
    "I want to talk to a human, {}",
)
WORD = re.compile(rb"cnry[0-9a-f]{16}")
WITHIN_S = 60
SETTLED_S = 600


async def forget(crowd: "Crowd", n: int) -> Row:
    """D-4"""
    words = {f"cust_f{i}": f"cnry{secrets.token_hex(8)}" for i in range(n)}
    await _gathered(_come(crowd, c, word, i // 10 % len(SAYS)) for i, (c, word) in enumerate(words.items()))
    await crowd.until(lambda: not crowd.rows(_UNDER_WAY), SETTLED_S)
    erased, others = list(words)[::10], [c for i, c in enumerate(words) if i % 10]
    before = await _exports(crowd, others)
    if _found(crowd) != set(words.values()):
        crowd.broken.append("not everybody's word was there before: this proves nothing")
    begun = time.monotonic()
    receipts = await _gathered(_asked(crowd, customer) for customer in erased)
    await crowd.until(lambda: _so_many(crowd, "erased_at") == len(erased), WITHIN_S)
    took = time.monotonic() - begun
    at_once = _recoverable(crowd, [words[c] for c in erased])
    await crowd.until(lambda: _so_many(crowd, "finished_at") == len(erased), SETTLED_S)
    left = _recoverable(crowd, [words[c] for c in erased])
    await _judge(crowd, took, at_once + left, before, others, {words[c] for c in others})
    return {
        "customers": n, "erased": len(receipts), "erased within (s)": round(took, 1),
        "words recoverable then": at_once, "words recoverable when finished": left,
        "open for the others": crowd.rows("SELECT count(*) AS n FROM handoffs WHERE decision IS NULL")[0]["n"],
        "of theirs closed by it": crowd.rows("SELECT count(*) AS n FROM handoffs WHERE decided_by = 'erasure'")[0]["n"],
    }  # fmt: skip


_UNDER_WAY = (
    "SELECT id FROM interactions WHERE status = 'running' UNION ALL SELECT id FROM deliveries WHERE status = 'pending'"
)


async def _come(crowd: "Crowd", customer: str, word: str, kind: int) -> None:
    person = {"name": word, "email": f"{word}@example.com", "plan": "enterprise", "status": "active"}
    (await crowd.http.put(f"/customers/{customer}", json=person)).raise_for_status()
    paid = (datetime.now(UTC) - timedelta(days=5)).isoformat()
    for invoice, amount in (("inv_1", 4_900), ("inv_2", 48_000)):
        bill = {"total": {"amount": amount, "currency": "EUR"}, "status": "paid", "paidAt": paid, "description": word}
        (await crowd.http.put(f"/customers/{customer}/invoices/{invoice}", json=bill)).raise_for_status()
    body = {"customerId": customer, "message": SAYS[kind].format(word), "requestId": f"req_{word}"}
    async with asyncio.timeout(SETTLED_S):
        while (await crowd.http.post("/chat", json=body)).status_code not in {200, 202}:  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.2)


async def _asked(crowd: "Crowd", customer: str) -> str:
    answer = await crowd.http.post(f"/customers/{customer}/erase", json={"requestId": f"erase_{customer}"})
    answer.raise_for_status()
    return str(answer.json()["id"])


async def _exports(crowd: "Crowd", customers: list[str]) -> dict[str, Any]:
    async def one(customer: str) -> tuple[str, Any]:
        answer = await crowd.http.get(f"/customers/{customer}/export")
        answer.raise_for_status()
        return customer, {**answer.json(), "exportedAt": ""}

    return dict(await _gathered(one(customer) for customer in customers))


async def _judge(
    crowd: "Crowd", took: float, recoverable: int, before: dict[str, Any], others: list[str], words: set[str]
) -> None:
    if took > WITHIN_S:
        crowd.broken.append(f"it took {took:.0f} s")
    if recoverable:
        crowd.broken.append(f"{recoverable} words are there still")
    after = await _exports(crowd, others)
    if changed := [customer for customer in others if after[customer] != before[customer]]:
        crowd.broken.append(f"{len(changed)} others were touched, {changed[0]} for one")
    if not words <= _found(crowd):
        crowd.broken.append("somebody else's words are gone")
    deadline = time.monotonic() + SETTLED_S
    while (verdict := (await _verdict(crowd)))["pending"] and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(2)
    if not verdict["ok"] or verdict["pending"]:
        crowd.broken.append(f"the audit does not verify: {verdict['findings'][:3]}, {verdict['pending']} pending")


async def _verdict(crowd: "Crowd") -> Row:
    return dict((await crowd.http.get("/audit/verify")).json())


def _so_many(crowd: "Crowd", reached: str) -> int:
    return int(crowd.rows(f"SELECT count({reached}) AS n FROM erasures")[0]["n"])


def _content(crowd: "Crowd") -> list[bytes]:
    with psycopg.connect(crowd.stack.postgres.url) as owner:
        return list(columns(owner).values())


def _found(crowd: "Crowd") -> set[str]:
    return {word.decode() for content in _content(crowd) for word in WORD.findall(content)}


def _recoverable(crowd: "Crowd", words: list[str]) -> int:
    """How many of them stand in any column, in any form a program writes text in."""
    canaries = Canaries({word: word for word in words})
    return len(set[str]().union(*(canaries.found_in(content) for content in _content(crowd))))


async def _gathered(work: Any) -> list[Any]:
    gate = asyncio.Semaphore(16)

    async def one(each: Any) -> Any:
        async with gate:
            return await each

    return list(await asyncio.gather(*map(one, work)))
