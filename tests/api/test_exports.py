"""Exports over HTTP: on record with what was asked for; no reader who goes away or stops keeps a connection."""

import asyncio
import json
import struct
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from socket import SO_LINGER, SO_RCVBUF, SOL_SOCKET, socket

import httpx2
import pytest

from api.streaming import Streamed
from domain.errors import DependencyDown
from schema.audit import AuditEvent, AuditRepository
from tests.api.conftest import Api, served
from tests.api.test_audited import events
from tests.api.test_auth import bearer
from tests.house import DEMO
from workflows import ids

MANY = 30_000
"""More than all buffers between here and the database hold."""


@pytest.fixture(scope="module")
async def filled(api: Api) -> Api:
    for start in range(0, MANY, 5_000):
        async with api.house.db.transaction(DEMO) as session:
            numbers = range(start, start + 5_000)
            at = datetime.now(UTC)
            made = [AuditEvent(at, "agent", "interaction.completed", f"int_{n:032}", {"n": n}) for n in numbers]
            await AuditRepository(session).append(*made)
    return api


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_an_export_is_on_record_with_what_was_asked_for_and_nobody_is_named(api: Api, form: str) -> None:
    who, jane = f"auditor {form}", "jane.canary@example.com"
    headers = bearer(await api.house.key("auditor", name=who))
    asked = {
        "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "action": "refund.issued",
        "interactionId": "int_" + "0" * 32, "customerId": jane, "actor": jane, "subject": jane,
    }  # fmt: skip
    assert (await api.http.get(f"/audit/export.{form}", params=asked, headers=headers)).status_code == 200
    assert (
        await api.http.get(
            f"/audit/export.{form}", params={"action": jane, "interactionId": "tel_4915112345678"}, headers=headers
        )
    ).status_code == 200
    assert (await api.http.get(f"/audit/export.{form}", headers=headers)).status_code == 200
    first, second, third = await events(api, who)
    key = api.house.settings.id_key.get_secret_value().encode()
    stands_for = ids.opaque(jane, key)
    assert first.details == {
        "format": form,
        "filters": {**asked, "customerId": stands_for, "actor": stands_for, "subject": stands_for},
    }
    assert second.details["filters"] == {
        "action": stands_for,
        "interactionId": ids.opaque("tel_4915112345678", key),
    }
    assert third.details["filters"] == {}
    assert jane not in str([first, second, third])
    assert "4915112345678" not in str(second)


async def begins(url: str, form: str) -> socket:
    """A client that asked for an export, has read its first bytes and reads no further."""
    client, loop = socket(), asyncio.get_running_loop()
    client.setblocking(False)
    client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
    host, port = url.removeprefix("http://").split(":")
    await loop.sock_connect(client, (host, int(port)))
    await loop.sock_sendall(client, f"GET /audit/export.{form} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    first = await loop.sock_recv(client, 2048)
    assert first.startswith(b"HTTP/1.1 200"), first
    return client


@pytest.fixture
async def narrow(filled: Api) -> AsyncIterator[str]:
    """A server with one connection to its database."""
    async with served(filled.house.settings, filled.house.temporal, database_pool_size=1) as url:
        yield url


async def works_again(url: str) -> None:
    """Once another request gets the one connection; in less than Postgres takes to end an idle transaction."""
    async with asyncio.timeout(20), httpx2.AsyncClient(base_url=url, timeout=30) as http:
        while (await http.get("/interactions")).status_code != 200:  # noqa: ASYNC110 - nothing tells when it is free
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("abruptly", [False, True])
async def test_F15_a_client_that_goes_away_in_the_middle_frees_the_connection(
    narrow: str, form: str, *, abruptly: bool
) -> None:
    for _ in range(3):
        client = await begins(narrow, form)
        if abruptly:  # a reset instead of a goodbye
            client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await works_again(narrow)


async def test_F15_negative_control_while_it_reads_on_the_connection_is_taken(narrow: str) -> None:
    client = await begins(narrow, "json")
    async with httpx2.AsyncClient(base_url=narrow, timeout=30) as http:
        try:
            async with asyncio.timeout(1):
                status = (await http.get("/interactions")).status_code
        except TimeoutError:
            status = None
    assert status in {None, 503}
    client.close()
    await works_again(narrow)


async def test_F15_who_reads_to_the_end_gets_all_of_it(narrow: str) -> None:
    async with httpx2.AsyncClient(base_url=narrow, timeout=60) as http:
        document = json.loads((await http.get("/audit/export.json")).content)
    assert len(document["events"]) >= MANY
    await works_again(narrow)


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_F15_a_client_that_keeps_the_socket_and_stops_reading_is_cut_off(filled: Api, form: str) -> None:
    house, stall = filled.house, timedelta(seconds=1)
    async with served(house.settings, house.temporal, database_pool_size=1, export_stall=stall) as url:
        client = await begins(url, form)
        await works_again(url)
        rest, loop = b"", asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while part := await loop.sock_recv(client, 65_536):
                rest += part
        client.close()
    assert not rest.endswith(b"0\r\n\r\n"), "what was cut off must not look whole"


async def test_what_fails_before_the_first_row_is_a_refusal_and_no_half_answer() -> None:
    async def rows() -> AsyncGenerator[str, None]:
        raise DependencyDown("away", dependency="postgres")
        yield ""

    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    with pytest.raises(DependencyDown):
        await Streamed(rows(), stall=timedelta(seconds=1), media_type="text/csv", name="x").stream_response(send)
    assert sent == []


async def peak_of(api: Api, form: str, *, keep: bool = False) -> tuple[int, int]:
    """Bytes of Python objects there were at once, of server and client together; bytes that were sent."""
    sent, kept = 0, []
    tracemalloc.start()
    try:
        async with api.http.stream("GET", f"/audit/export.{form}") as answer:
            async for part in answer.aiter_bytes():
                sent += len(part)
                kept += [part] if keep else []
        return tracemalloc.get_traced_memory()[1], sent
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_an_export_takes_the_same_memory_however_long_it_is(filled: Api, form: str) -> None:
    peak, sent = await peak_of(filled, form)
    assert sent > MANY * 100
    assert peak < sent / 2
    assert (await peak_of(filled, form, keep=True))[0] > sent, "negative control: who keeps it all would be noticed"
