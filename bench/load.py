"""A closed loop of callers over raw keep-alive connections: small, so that the caller's own cost stays small."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

PATIENCE_S = 60.0
"""How long an answer may take before the run is given up."""
_LENGTH = b"content-length:"


class Connection:
    """One keep-alive HTTP/1.1 connection to a server that states the length of its answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(_LENGTH) + len(_LENGTH)
        length = int(head[at : head.index(b"\r\n", at)])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


@dataclass
class Phase:
    """What one stretch of load showed. Times in seconds."""

    begun: float
    latencies: list[float] = field(default_factory=list)
    ended: float = 0.0

    @property
    def answered(self) -> int:
        return len(self.latencies)

    @property
    def per_second(self) -> float:
        """From the first request to the last answer: what is under way when the time is up counts, as does its wait."""
        return self.answered / (self.ended - self.begun)

    def percentile(self, share: float) -> float:
        """The latency that `share` of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class WrongAnswer(Exception):
    """An answer was not the one asked for."""


@dataclass
class Caller:
    """Sends the requests of one contestant, each number once."""

    port: int
    request: Callable[[int], bytes]
    accepts: Callable[[int, bytes], bool]
    numbers: Iterator[int]
    host: str = "127.0.0.1"

    async def once(self, number: int) -> bytes:
        """One checked answer on a connection of its own."""
        connection = await Connection.open(self.host, self.port)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._checked(connection, number)
        finally:
            connection.close()

    async def load(self, concurrency: int, seconds: float) -> Phase:
        """`concurrency` callers, each with one request under way at a time, for `seconds`; then waits for the last."""
        connections = [await Connection.open(self.host, self.port) for _ in range(concurrency)]
        phase = Phase(time.perf_counter())
        deadline = phase.begun + seconds
        try:
            async with asyncio.timeout(seconds + PATIENCE_S), asyncio.TaskGroup() as group:
                for connection in connections:
                    group.create_task(self._loop(connection, phase, deadline))
        finally:
            for connection in connections:
                connection.close()
        return phase

    async def _loop(self, connection: Connection, phase: Phase, deadline: float) -> None:
        begun = time.perf_counter()
        while begun < deadline:
            await self._checked(connection, next(self.numbers))
            ended = time.perf_counter()
            phase.latencies.append(ended - begun)
            phase.ended = begun = ended

    async def _checked(self, connection: Connection, number: int) -> bytes:
        status, body = await connection.send(self.request(number))
        if not self.accepts(status, body):
            raise WrongAnswer(f"request {number}: {status} {body[:600].decode(errors='replace')}")
        return body
