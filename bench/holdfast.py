"""The product: the real `POST /chat`, started by the launcher people use, with worker and API as separate processes.

It does all that the floors do and what they leave out: versioned rules over facts it gathers, the effect ledger,
verification of the reply against results, audit, search attributes, row-level security, problem answers.
"""

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from bench.contestant import CUSTOMERS, LOOPBACK, BenchFailed, Contestant, free_port, http
from bench.load import Connection

AT_ONCE = 16


@dataclass
class Holdfast(Contestant):
    """What `make up` starts, as `--separate` processes, on a database of the shared Postgres."""

    name: ClassVar[str] = "holdfast"
    title: ClassVar[str] = "Holdfast"
    how: ClassVar[tuple[str, ...]] = ("--separate",)

    async def start(self) -> None:
        ports = {"--api-port": self.port, "--temporal-port": free_port(), "--smtp-port": free_port()}
        options = [part for option, port in ports.items() for part in (option, str(port))]
        command = (sys.executable, "stack.py", "up", *self.how, "--headless", "--quiet", *options)
        state = self.place.folder / "state"
        self.launch("stack", (*command, "--data-dir", str(state)), {"DATABASE_URL": self.place.database_url})
        await self.ready("/readyz")
        await asyncio.gather(*(self._create_customers(range(n, CUSTOMERS, AT_ONCE)) for n in range(AT_ONCE)))

    async def _create_customers(self, numbers: Iterable[int]) -> None:
        """Active customers without an e-mail address: their answers go out in the chat."""
        connection = await Connection.open(LOOPBACK, self.port)
        for number in numbers:
            account = {"name": f"Bench {number}", "plan": "pro", "status": "active"}
            status, body = await connection.send(http("PUT", f"/customers/bench_{number}", account))
            if status not in {200, 201}:
                raise BenchFailed(f"holdfast: creating a customer: {status} {body[:400].decode(errors='replace')}")
        connection.close()

    def inspect(self, body: bytes) -> None:
        """The reference interaction is one confirmed ticket and nothing that waits for a person."""
        answer = json.loads(body)
        effects = [(action["tool"], action["effect"]) for action in answer["actions"]]
        if ("create_ticket", "confirmed") not in effects or not answer["verification"]["passed"]:
            raise BenchFailed(f"holdfast: not the reference interaction: {json.dumps(answer)[:600]}")


@dataclass
class HoldfastTogether(Holdfast):
    """What `make up` starts: worker and API in the launcher's process. Takes part when asked for by name."""

    name: ClassVar[str] = "holdfast_together"
    title: ClassVar[str] = "Holdfast, one process"
    how: ClassVar[tuple[str, ...]] = ()
