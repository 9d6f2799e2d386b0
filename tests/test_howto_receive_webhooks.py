"""The receiver in `docs/how-to/receive-webhooks.md` works as printed: it takes what we send and nothing else."""

import asyncio
import base64
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import httpx2
import pytest

from adapters.signing import sign
from domain.delivery import DeliveryStatus
from domain.signing import shown_secret
from schema.session import Database
from tests.outgoing import SECRET, Outgoing, outgoing
from tests.test_howto_add_a_tool import code_block, load

OLD = b"o" * 32


@dataclass
class Printed:
    module: ModuleType
    url: str
    http: httpx2.AsyncClient

    async def post(self, body: bytes, headers: dict[str, str]) -> int:
        return (await self.http.post(self.url, content=body, headers=headers)).status_code


@pytest.fixture
async def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Printed]:
    monkeypatch.setenv("WEBHOOK_SECRETS", f"{shown_secret(OLD)} {shown_secret(SECRET)}")
    module = load(code_block("receive-webhooks.md"), "receiver", tmp_path)
    module.Receiver.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), module.Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield Printed(module, f"http://127.0.0.1:{server.server_port}/hook", http)
    await asyncio.to_thread(server.shutdown)
    server.server_close()
    thread.join()
    del sys.modules[module.__name__]


@pytest.fixture
async def post(database: Database) -> AsyncIterator[Outgoing]:
    async with outgoing(database) as sending:
        yield sending


async def test_the_printed_receiver_takes_each_of_our_events_once(printed: Printed, post: Outgoing) -> None:
    await post.endpoint(url=printed.url)
    sent = [(await post.event())[0] for _ in range(3)]
    for delivery_id in sent:
        assert (await post.send(delivery_id)).status is DeliveryStatus.DELIVERED
    assert set(printed.module.taken) == {(await post.get(delivery_id)).source_id for delivery_id in sent}
    assert [event["data"]["sequence"] for event in printed.module.taken.values()] == [1, 2, 3]

    (again,) = {(await post.get(sent[0])).source_id}
    headers = sign([SECRET], str(again), datetime.now(UTC), '{"type":"other"}')
    assert await printed.post(b'{"type":"other"}', headers) == 204
    assert len(printed.module.taken) == 3
    assert printed.module.taken[again]["type"] == "ping"


async def test_during_a_rotation_it_takes_either_secret(printed: Printed) -> None:
    now = datetime.now(UTC)
    for number, secrets in enumerate(([OLD], [SECRET], [b"n" * 32, OLD])):
        assert await printed.post(b"{}", sign(secrets, f"evt_{number}", now, "{}")) == 204


async def test_what_is_forged_old_or_altered_is_refused(printed: Printed) -> None:
    now = datetime.now(UTC)
    genuine = sign([SECRET], "evt_1", now, "{}")
    forged: list[tuple[bytes, dict[str, str]]] = [
        (b"{} ", genuine),
        (b"{}", sign([b"x" * 32], "evt_1", now, "{}")),
        (b"{}", {**genuine, "webhook-id": "evt_2"}),
        (b"{}", {**genuine, "webhook-timestamp": str(int(now.timestamp()) + 1)}),
        (b"{}", {**genuine, "webhook-signature": genuine["webhook-signature"].replace("v1,", "v2,")}),
        (b"{}", {**genuine, "webhook-signature": "v1,"}),
        (b"{}", {**genuine, "webhook-timestamp": "9" * 5_000}),
        (b"{}", {**genuine, "webhook-timestamp": "\u00b2"}),
        (b"{}", sign([SECRET], "evt_1", now - timedelta(seconds=310), "{}")),
        (b"{}", sign([SECRET], "evt_1", now + timedelta(seconds=310), "{}")),
        *((b"{}", {n: v for n, v in genuine.items() if n != left_out}) for left_out in genuine),
    ]
    for body, headers in forged:
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        assert (await printed.http.post(printed.url, content=body, headers=raw)).status_code == 401
    assert printed.module.taken == {}
    assert await printed.post(b"{}", genuine) == 204


async def test_what_is_too_large_is_not_read(printed: Printed) -> None:
    body = b"x" * 100_001
    assert await printed.post(body, sign([SECRET], "evt_1", datetime.now(UTC), body.decode())) == 413


def test_the_secret_it_is_given_is_the_one_we_show() -> None:
    assert base64.b64decode(shown_secret(SECRET).removeprefix("whsec_")) == SECRET
