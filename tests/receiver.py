"""A webhook receiver on the loopback interface: a raw HTTP server that fails as it is told, and keeps what it heard."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Heard:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """`faults` are used up one per request, then everything is answered with 204.

    A fault is a status line and headers (`429 Slow\\r\\nRetry-After: 7`), `drop` (hear it, say nothing, hang up),
    `hang` (hear it, say nothing), `drip` (an answer that never ends, a byte at a time), or `flood` (the same, fast).
    """

    port: int = 0
    faults: list[str] = field(default_factory=list)
    always: str | None = None
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, requests: int) -> list[Heard]:
        """What was heard once it is that much."""
        async with asyncio.timeout(20), self._more:
            await self._more.wait_for(lambda: len(self.heard) >= requests)
        return list(self.heard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        fault = self.always or (self.faults.pop(0) if self.faults else "204 No Content")
        async with self._more:
            self.heard.append(Heard(head[0].split()[1], headers, body, time.monotonic()))
            self._more.notify_all()
        match fault:
            case "drop":
                writer.transport.abort()
            case "hang":
                await reader.read()  # until the other side gives up
            case "flood":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
            case "drip":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            case _:
                writer.write(f"HTTP/1.1 {fault}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Listens on a free port until the block ends."""
    world = Receiver()
    server = await asyncio.start_server(world.serve, "127.0.0.1", 0)
    world.port = server.sockets[0].getsockname()[1]
    try:
        yield world
    finally:
        server.close()
