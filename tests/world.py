"""The outside world: an HTTP ticket system that writes every call into a journal and fails as it is told.

Faults: `execute-then-drop` does the work and cuts the line, `refuse` answers 422, `503` answers before doing
anything, `hang` does the work and never answers, `garbage` does the work and answers nonsense.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import httpx2

from domain.errors import ToolOutcomeUnknown, ToolRefused, ToolUnavailable
from domain.ports import Ports
from domain.tools.create_ticket import CreateTicketArguments, create_ticket
from domain.tools.tool import Tool, ToolCall
from domain.values import Json


@dataclass
class World:
    port: int = 0
    honours_keys: bool = True
    """Whether a repeated key is recognised, as a good outside system does."""
    fault_of: Callable[[str, int], str | None] = lambda key, nth: None
    """Which fault the nth call under a key meets."""
    calls: list[str] = field(default_factory=list)
    """The key of every call that arrived."""
    done: list[str] = field(default_factory=list)
    """The key of every effect that happened."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
            await reader.readexactly(int(headers.get("content-length", 0)))
            await self._act(headers["idempotency-key"], writer)
        writer.close()

    async def _act(self, key: str, writer: asyncio.StreamWriter) -> None:
        self.calls.append(key)
        fault = self.fault_of(key, Counter(self.calls)[key])
        if fault in {"refuse", "503"}:
            await _send(writer, 422 if fault == "refuse" else 503, {})
            return
        if not (self.honours_keys and key in self.done):
            self.done.append(key)
        if fault == "execute-then-drop":
            return
        if fault == "hang":
            await asyncio.sleep(60)
            return
        if fault == "garbage":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{{{")
            await writer.drain()
            return
        await _send(writer, 200, {"ticketId": f"tkt_{key}"})

    def tool(self, *, idempotent: bool, timeout_s: float = 2.0, can_tell: bool = False) -> Tool[CreateTicketArguments]:
        """`create_ticket`, but in this outside system."""
        return Tool(
            name="create_ticket",
            summary="Open a ticket in the outside ticket system.",
            arguments=CreateTicketArguments,
            run=self._call,
            idempotent=idempotent,
            find=self._find if can_tell else None,
            timeout=create_ticket.timeout.__class__(seconds=timeout_s),
            preview=create_ticket.preview,
        )

    async def _find(self, key: str, extra: Mapping[str, object]) -> Json | None:
        return {"ticketId": f"tkt_{key}"} if key in self.done else None

    async def _call(self, arguments: CreateTicketArguments, call: ToolCall, ports: Ports) -> Json:
        """What a careful adapter does: every failure says what is known about the effect."""
        async with httpx2.AsyncClient(timeout=30) as http:
            try:
                answer = await http.post(
                    f"http://127.0.0.1:{self.port}/tickets",
                    json=arguments.model_dump(mode="json"),
                    headers={"Idempotency-Key": call.key},
                )
            except httpx2.ConnectError as error:
                raise ToolUnavailable("not reached") from error
            except httpx2.HTTPError as error:
                raise ToolOutcomeUnknown("no answer") from error
        if answer.status_code == 503:
            raise ToolUnavailable("not now")
        if answer.status_code == 422:
            raise ToolRefused("refused")
        try:
            return {"ticketId": str(answer.json()["ticketId"])}
        except (ValueError, KeyError) as error:
            raise ToolOutcomeUnknown("an answer nobody can read") from error


async def _send(writer: asyncio.StreamWriter, status: int, body: Json) -> None:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    await writer.drain()


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A running world on a free port."""
    here = World()
    server = await asyncio.start_server(here.answer, "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
