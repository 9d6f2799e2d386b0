"""R-8: poisoned messages among many good ones, `make faults ARGS='--scale poison --n 1000'`.

One in twenty calls a system that never answers, answers what nobody can read, drips, or says no to every call. They
are strewn evenly among the others, so that from the first to the last of these some are being tried.
"""

import asyncio
import time
from collections import Counter

from tests.faults.check import Row
from tests.faults.load import SAYS, Load, Request
from tests.faults.scale import Crowd, Scale, p95

WAYS = ("hang", "garbage", "slow-drip", "200-with-error", "execute-then-drop", "execute-then-503", "503", "refuse")
AT_ONCE = 8
EVERY = 20
BUDGET_S = 900
"""By when six attempts, a minute or two apart, are used up on a busy machine."""
_STATES = """
    SELECT e.customer_id, e.tool, coalesce((SELECT v.state FROM effect_events v WHERE v.effect_id = e.id
    AND v.state IN ('confirmed', 'failed', 'unknown')), 'open') AS state FROM effects e
    WHERE e.customer_id LIKE %s AND e.tool <> 'send_email'
"""


async def poison(crowd: Crowd, n: int) -> Row:
    """R-8"""
    await _asked(crowd, _good("warm", 40), [])
    clean, _ = await _asked(crowd, _good("clean", n), [])
    poisoned = [
        Request(i, "complaint", 0, f"cust_poison{i}~!{WAYS[i % len(WAYS)]}", f"p{i}@example.com", 100)
        for i in range(max(2, n // EVERY))
    ]
    beside, alone = await _asked(crowd, _good("beside", n), poisoned)
    states = "cust_poison%"
    await crowd.until(lambda: all(r["state"] != "open" for r in crowd.rows(_STATES, states)), BUDGET_S)
    await crowd.until(lambda: _handoffs(crowd) >= len(poisoned), 60)
    _check(crowd, n, poisoned)
    if alone:
        crowd.broken.append(f"void: {alone} of the good ones were answered while nothing poisonous was under way")
    ended = Counter(r["state"] for r in crowd.rows(_STATES, states))
    why = crowd.rows("SELECT reason, count(*) AS n FROM handoffs WHERE customer_id LIKE 'cust_poison%%' GROUP BY 1")
    return {
        "others, clean: p95 (ms)": p95(clean), "beside poison: p95 (ms)": p95(beside), "poisoned": len(poisoned),
        "how poison ended": dict(ended), "a person has it because": {r["reason"]: r["n"] for r in why},
    }  # fmt: skip


def _good(prefix: str, n: int) -> list[Request]:
    return [Request(i, "ticket", 0, f"cust_{prefix}{i}", f"{prefix}{i}@example.com", 100) for i in range(n)]


async def _asked(crowd: Crowd, good: list[Request], poisoned: list[Request]) -> tuple[list[float], int]:
    """How long each good one took; how many were answered while no poisoned one was being tried."""
    load = Load(crowd.stack.api_url, crowd.folder, [*good, *poisoned])
    await load.seed()
    gate, under_way, took, alone = asyncio.Semaphore(AT_ONCE), set[asyncio.Task[None]](), list[float](), 0

    async def ask(r: Request) -> None:
        body = {"customerId": r.customer, "message": SAYS[r.kind], "requestId": "req_1"}
        await load.until_answered(crowd.http, r, "POST", "/chat", body)

    async def one(i: int, r: Request) -> None:
        nonlocal alone
        async with gate:
            if i % EVERY == 0 and poisoned:
                under_way.add(asyncio.create_task(ask(poisoned[i // EVERY % len(poisoned)])))
            begun = time.monotonic()
            await ask(r)
            took.append(time.monotonic() - begun)
            alone += bool(poisoned) and not any(not task.done() for task in under_way)

    await asyncio.gather(*(one(i, r) for i, r in enumerate(good)))
    await asyncio.gather(*under_way)
    return took, alone


def _handoffs(crowd: Crowd) -> int:
    [found] = crowd.rows(
        "SELECT count(DISTINCT interaction_id) AS n FROM handoffs WHERE customer_id LIKE 'cust_poison%%'"
    )
    return int(found["n"])


def _check(crowd: Crowd, n: int, poisoned: list[Request]) -> None:
    """Every good one is done once, every poisoned one has an end and a person, and nothing is stuck."""
    tickets = Counter(r["customer_id"] for r in crowd.rows("SELECT customer_id FROM tickets"))
    good = [f"cust_{prefix}{i}" for prefix in ("clean", "beside") for i in range(n)]
    poisonous = crowd.rows(_STATES, "cust_poison%")
    open_ones = crowd.rows(
        """SELECT e.id FROM effects e WHERE e.tool <> 'send_email' AND NOT EXISTS (SELECT FROM effect_events v WHERE
        v.effect_id = e.id AND v.state IN ('confirmed', 'failed', 'unknown'))"""
    )
    wrong = {
        "good ones not done": sum(tickets[c] == 0 for c in good),
        "good ones done twice": sum(tickets[c] > 1 for c in good),
        "poisoned ones said to be done": sum(r["state"] == "confirmed" for r in poisonous),
        "poisoned ones without an effect on record": len(poisoned) - len(poisonous),
        "poisoned ones nobody has": len(poisoned) - _handoffs(crowd),
        "effects stuck": len(open_ones),
    }
    crowd.broken += [f"{count} {what}" for what, count in wrong.items() if count]


SCALE: Scale = (poison, 1_000)
