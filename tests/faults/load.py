"""Customers of a fault run, over HTTP as anybody else: each asks one thing, and repeats it under the same request id
until it is answered. Every answer is written down before anything else is done with it: `acks.jsonl`."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

SAYS = {
    "refund": "refund please",
    "approve": "refund please",
    "reject": "refund please",
    "ticket": "the app crashes whenever I log in",
    "question": "Can you send me a copy of my last invoice?",
    "complaint": "your service is terrible, I want to file a complaint",
    "parcel": "where is my order?",
}
WEIGHTS = {"refund": 6, "approve": 3, "reject": 1, "ticket": 3, "question": 1, "complaint": 4, "parcel": 4}


AIM_S = 0.25
EVENTS = [
    *(f"interaction.{how}" for how in ("completed", "refused", "failed", "waiting_for_human")),
    *(f"handoff.{how}" for how in ("opened", "decided", "breached")),
    "delivery.dead_letter",
]


@dataclass(frozen=True)
class Request:
    """One customer with one wish."""

    n: int
    kind: str
    at: float
    """Seconds after the start."""
    customer: str
    email: str
    amount: int
    """Of the one invoice, in cents; it is asked back whole."""


def requests(n: int, span_s: float, seed: int, blows: Sequence[float] = ()) -> list[Request]:
    """The same ones for the same seed. Every kind is there, and half of them come just before one of the `blows`:
    a step takes milliseconds, and a blow that hits nobody proves nothing."""
    dice = random.Random(seed * 31 + 7)
    kinds = [*SAYS, *dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=max(0, n - len(SAYS)))]
    dice.shuffle(kinds)
    made = []
    for i, kind in enumerate(kinds):
        large = kind in {"approve", "reject"}
        amount = dice.randrange(20_000, 90_000) if large else dice.randrange(100, 9_900)
        customer = f"cust_{seed}_{i}"
        at = (i + dice.random()) * span_s / n
        if blows and dice.random() < 0.5:
            at = max(0.0, dice.choice(blows) - dice.random() * AIM_S)
        made.append(Request(i, kind, at, customer, f"{customer}@example.com", amount))
    return made


@dataclass
class Load:
    url: str
    folder: Path
    plan: list[Request]
    patience_s: float = 240
    unanswered: list[int] = field(default_factory=list)

    async def seed(self) -> None:
        """Customers and invoices, before anything is broken."""
        with (self.folder / "plan.jsonl").open("w") as file:
            file.writelines(json.dumps(asdict(r)) + "\n" for r in self.plan)
        gate = asyncio.Semaphore(8)
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as http:

            async def one(r: Request) -> None:
                paid = (datetime.now(UTC) - timedelta(days=3)).isoformat()
                account = {"name": "Test Person", "plan": "pro", "status": "active", "email": r.email}
                invoice = {"total": {"amount": r.amount, "currency": "EUR"}, "status": "paid", "paidAt": paid}
                async with gate:
                    (await http.put(f"/customers/{r.customer}", json=account)).raise_for_status()
                    (await http.put(f"/customers/{r.customer}/invoices/inv_1", json=invoice)).raise_for_status()

            await asyncio.gather(*(one(r) for r in self.plan))

    async def listen(self, hook: str) -> None:
        """From now on somebody wants to hear of everything."""
        body = {"url": hook, "eventTypes": EVENTS}
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as http:
            (await http.post("/webhooks", json=body)).raise_for_status()

    async def run(self) -> None:
        """Returns when everybody was answered or lost patience."""
        begun = time.monotonic()
        async with httpx2.AsyncClient(base_url=self.url, timeout=12, limits=httpx2.Limits(max_connections=200)) as http:

            async def one(r: Request) -> None:
                await asyncio.sleep(max(0.0, begun + r.at - time.monotonic()))
                try:
                    async with asyncio.timeout(self.patience_s):
                        await self.story(http, r)
                except TimeoutError:
                    self.unanswered.append(r.n)

            await asyncio.gather(*(one(r) for r in self.plan))

    async def let_be_every_other(self) -> None:
        """Of the mails that wait as dead letters, a person discards half."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as http:
            found = (await http.get("/dead-letters", params={"channel": "email", "limit": 200})).raise_for_status()
            for letter in found.json()["items"][::2]:
                path = f"/deliveries/{letter['id']}/discard"
                (await http.post(path, json={"note": "nobody waits for it"})).raise_for_status()

    async def story(self, http: httpx2.AsyncClient, r: Request) -> None:
        """One customer's whole story, including the person who decides about it."""
        body = {"customerId": r.customer, "message": SAYS[r.kind], "requestId": "req_1"}
        answer = await self.until_answered(http, r, "POST", "/chat", body)
        handoff = answer.get("handoff")
        if r.kind not in {"approve", "reject"} or not handoff or handoff["kind"] != "approval":
            return
        path = f"/handoffs/{handoff['id']}"
        shown = await self.until_answered(http, r, "GET", path, None)
        if r.kind == "approve":
            await self.until_answered(http, r, "POST", f"{path}/approve", {"digest": shown["digest"]})
        else:
            await self.until_answered(http, r, "POST", f"{path}/reject", {"note": "no"})

    async def until_answered(
        self, http: httpx2.AsyncClient, r: Request, method: str, path: str, body: dict[str, Any] | None
    ) -> dict[str, Any]:
        """What a good client does: the same again until there is an answer, with a little patience in between."""
        wait = 0.1
        while True:
            with contextlib.suppress(httpx2.TransportError):
                answer = await http.request(method, path, json=body)
                self._write(r, method, path, answer)
                if answer.status_code == 200:
                    shown: dict[str, Any] = answer.json()
                    return shown
                if 400 <= answer.status_code < 500 and answer.status_code != 429:
                    return {}
            await asyncio.sleep(wait * (0.5 + random.random()))
            wait = min(wait * 1.5, 1.0)

    def _write(self, r: Request, method: str, path: str, answer: httpx2.Response) -> None:
        try:
            body = answer.json()
        except ValueError:
            body = answer.text[:500]
        entry = {
            "at": time.time(), "n": r.n, "kind": r.kind, "customer": r.customer, "method": method, "path": path,
            "status": answer.status_code, "retryAfter": answer.headers.get("retry-after"), "body": body,
        }  # fmt: skip
        with (self.folder / "acks.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")
