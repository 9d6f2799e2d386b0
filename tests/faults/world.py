"""The outside world of a fault run: a process of its own that nobody kills, `python -m tests.faults.world <folder>`.

Two outside systems over HTTP (one recognises keys, one does everything it is told again), a mail server and a receiver
of webhooks. Every call is one line of `journal.jsonl`, written before anything is answered. Which calls meet a fault is
decided by the seed and the call itself, not by the order in which calls happen to arrive.

It imports nothing of the product: what it says happened is evidence.
"""

import asyncio
import contextlib
import hashlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any, TextIO

from aiosmtpd.smtp import SMTP

REFUSE, BUSY, DROP, LATE_503, HANG, DRIP, GARBAGE, ERROR_BODY = (
    "refuse",
    "503",
    "execute-then-drop",
    "execute-then-503",
    "hang",
    "slow-drip",
    "garbage",
    "200-with-error",
)
HOLD = "hold"
"""Only on demand: it does the work and answers a while later."""
HOLD_S = 5
"""So long that on a busy machine eight calls are under way at once."""
DEFER, REJECT, ACCEPT_THEN_DROP = "451", "550", "accept-then-drop"
TOOL_FAULTS = (REFUSE, BUSY, DROP, LATE_503, HANG, DRIP, GARBAGE, ERROR_BODY)
MAIL_FAULTS = (DEFER, REJECT, ACCEPT_THEN_DROP)
MAIL_ANSWERS = {DEFER: "451 try again later", REJECT: "550 no such mailbox"}
HOOK_FAULTS = (BUSY, DROP)
EXECUTES = frozenset({None, DROP, LATE_503, HANG, DRIP, GARBAGE, HOLD})
"""Faults that come after the work was done."""


@dataclass(frozen=True)
class Dice:
    """Says for each call whether it meets a fault, the same for the same seed. The first call of a key is unlucky
    oftener than its repeats, and soon a key is left alone, so that every story comes to an end."""

    seed: int
    rate: float

    def fault(self, key: str, nth: int, faults: tuple[str, ...], most: int = 2) -> str | None:
        """`cust~hang` hangs at the first call, `cust~!hang` at every one."""
        _, scripted, wanted = key.partition("~")
        if scripted:
            return wanted.lstrip("!") if nth == 1 or wanted.startswith("!") else None
        if nth > most:
            return None
        digest = hashlib.sha256(f"{self.seed}:{key}:{nth}".encode()).digest()
        roll = int.from_bytes(digest[:4]) / 2**32
        return faults[digest[4] % len(faults)] if roll < self.rate / nth else None


@dataclass
class World:
    journal: TextIO
    dice: Dice
    mail_dice: Dice
    calls: Counter[str] = field(default_factory=Counter)
    done: set[str] = field(default_factory=set)

    def write(self, **entry: Any) -> None:
        self.journal.write(json.dumps({"at": time.time(), **entry}) + "\n")
        self.journal.flush()

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = lines[0].split(" ")[1]
            if path.startswith("/hook"):
                await self._hook(headers["webhook-id"], body, writer)
            else:
                await self._tool(path.strip("/"), headers["idempotency-key"], body, writer)
        writer.close()

    async def _tool(self, system: str, key: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        # By customer: keys are drawn anew in every run.
        customer = json.loads(body)["customer"]
        nth = self._count(f"{system}:{customer}")
        fault = self.dice.fault(f"{system}:{customer}", nth, TOOL_FAULTS)
        # A system that recognises keys does nothing for the second time; the other one does it again.
        executed = fault in EXECUTES and not (system == "keyed" and key in self.done)
        if executed:
            self.done.add(key)
        self.write(
            kind="tool", system=system, key=key, nth=nth, fault=fault, executed=executed,
            customer=customer, body=hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        await _answer_tool(fault, f"ref_{hashlib.sha256(key.encode()).hexdigest()[:12]}", writer)

    async def _hook(self, webhook_id: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        nth = self._count(f"hook:{webhook_id}")
        fault = self.dice.fault(f"hook:{webhook_id}", nth, HOOK_FAULTS, most=1)
        self.write(
            kind="webhook", key=webhook_id, nth=nth, fault=fault, executed=fault != BUSY,
            body=hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        if fault != DROP:
            await _say(writer, 503 if fault == BUSY else 204, b"")

    async def handle_DATA(self, server: Any, _session: object, envelope: Any) -> str:  # aiosmtpd's name
        message = message_from_bytes(bytes(envelope.content))
        key = str(message["Message-ID"]).strip()
        address = str(envelope.rcpt_tos[0])
        nth = self._count(f"mail:{address}")
        fault = self.mail_dice.fault(f"mail:{address}", nth, MAIL_FAULTS, most=1)  # the next try is a minute off
        self.write(
            kind="mail", key=key, to=list(envelope.rcpt_tos), nth=nth, fault=fault, executed=fault not in MAIL_ANSWERS,
            body=hashlib.sha256(message.as_string().partition("\n\n")[2].encode()).hexdigest(),
        )  # fmt: skip
        if fault == ACCEPT_THEN_DROP:
            server.transport.abort()
        return MAIL_ANSWERS.get(fault or "", "250 OK kept")

    def _count(self, call: str) -> int:
        self.calls[call] += 1
        return self.calls[call]


TOOL_ANSWERS = {
    REFUSE: (422, b"{}", ""),
    BUSY: (503, b"{}", "Retry-After: 1\r\n"),  # the promise that goes with Retry-After: nothing was done
    LATE_503: (503, b"{}", ""),
    GARBAGE: (200, b"{{{", ""),
    ERROR_BODY: (200, b'{"error": "internal"}', ""),
}


async def _answer_tool(fault: str | None, reference: str, writer: asyncio.StreamWriter) -> None:
    good = json.dumps({"reference": reference}).encode()
    if fault == HANG:
        await asyncio.sleep(30)
    elif fault == HOLD:
        await asyncio.sleep(HOLD_S)
        await _say(writer, 200, good)
    elif fault == DRIP:
        await _drip(writer, good)
    elif fault in TOOL_ANSWERS:
        await _say(writer, *TOOL_ANSWERS[fault])
    elif fault is None:
        await _say(writer, 200, good)


async def _say(writer: asyncio.StreamWriter, status: int, body: bytes, more: str = "") -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(f"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    for byte in body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def main(folder: Path) -> None:
    given = json.loads((folder / "world.json").read_text())
    with (folder / "journal.jsonl").open("a") as journal:
        world = World(journal, Dice(given["seed"], given["rate"]), Dice(given["seed"], given["mail_rate"]))
        loop = asyncio.get_running_loop()
        web = await asyncio.start_server(world.http, "127.0.0.1", given["http_port"])
        mail = await loop.create_server(
            lambda: SMTP(world, hostname="localhost", enable_SMTPUTF8=True, loop=loop), "127.0.0.1", given["smtp_port"]
        )
        async with web, mail:
            (folder / "world.ready").touch()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
