"""One house per module, and the product's own HTTP server in front of it: what is tested went over a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import uvicorn
from temporalio.client import Client

from adapters.llm.embedded import EmbeddedIntentModel
from api.main import create_app, server
from settings import Settings
from tests.house import House, open_house
from tests.postgres import PostgresServer
from tests.temporal import DevServer, free_port


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(settings: Settings, temporal: Client | None, **changed: Any) -> AsyncIterator[str]:
    """The HTTP process as `python -m api.main` runs it, on a free port; its URL."""
    settings = settings.model_copy(update={"api_port": free_port(), **changed})
    config = server(settings).config
    config.app = create_app(settings, temporal)
    process = _Server(config)
    running = asyncio.create_task(process.serve())
    async with asyncio.timeout(30):
        while not process.started:
            assert not running.done()
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{settings.api_port}"
    finally:
        process.should_exit = True
        await running


@dataclass
class Raw:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Api:
    """The HTTP contract from the outside."""

    http: httpx2.AsyncClient
    house: House
    _customers: int = field(default=0)

    async def customer(self, amount: int = 4_900) -> str:
        """A new customer with one invoice, which the rules refund by themselves unless it is made larger; its id."""
        self._customers += 1
        name = f"cust_n{self._customers}"
        await self.house.customer(name)
        await self.house.invoice("inv_1", amount, customer_id=name)
        return name

    async def raw(self, head: bytes, body: bytes = b"") -> Raw:
        """Bytes no client library would send. `head` is the request line and headers, without the empty line."""
        reader, writer = await asyncio.open_connection(self.http.base_url.host, self.http.base_url.port)
        common = b"\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + common + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        top, _, content = answer.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Raw(int(first.split()[1]), headers, content)


@pytest.fixture(scope="module")
async def module_house(
    postgres: PostgresServer,
    temporal: DevServer,
    tmp_path_factory: pytest.TempPathFactory,
    intents: EmbeddedIntentModel,
) -> AsyncIterator[House]:
    url = postgres.create()
    async with open_house(url, temporal.address, tmp_path_factory.mktemp("house"), intents=intents) as house:
        yield house
    postgres.drop(url)


@pytest.fixture(scope="module")
async def api(module_house: House) -> AsyncIterator[Api]:
    async with (
        served(module_house.settings, module_house.temporal) as url,
        httpx2.AsyncClient(base_url=url, timeout=60) as http,
    ):
        yield Api(http, module_house)
