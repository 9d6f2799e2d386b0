"""O-1: more requests at once than a process takes on. Some are refused, and none is half done."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from tests.api.conftest import Api, served
from tests.house import DEMO, House

AT_ONCE = 50
MOST = 4


@pytest.fixture
async def small(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """A process of the same house that takes on four at once."""
    async with (
        served(api.house.settings, api.house.temporal, max_requests=MOST) as url,
        httpx2.AsyncClient(base_url=url, timeout=60) as http,
    ):
        yield http


async def ask(http: httpx2.AsyncClient, customer: str, number: int) -> httpx2.Response:
    body = {"customerId": customer, "message": "the app crashes whenever I log in", "requestId": f"over{number}"}
    return await http.post("/chat", json=body, headers={"Prefer": "wait=60"})


async def keys_of(house: House, customer: str) -> set[str]:
    """The requests there is a row for."""
    async with house.db.transaction(DEMO) as session:
        rows = await session.all(
            text(
                "SELECT request_id FROM interactions"
                " WHERE organisation = :organisation AND customer_id = :customer AND request_id LIKE 'over%'"
            ),
            customer=customer,
        )
    return {row.request_id for row in rows}


async def test_O1_of_fifty_at_once_some_are_refused_none_is_lost_and_repeats_complete_once(
    api: Api, small: httpx2.AsyncClient
) -> None:
    customer = await api.customer()
    first = await asyncio.gather(*(ask(small, customer, n) for n in range(AT_ONCE)))
    statuses = Counter(answer.status_code for answer in first)
    refused = {f"over{n}" for n, answer in enumerate(first) if answer.status_code == 503}
    assert set(statuses) == {200, 503}, statuses
    assert statuses[200] >= MOST
    assert await keys_of(api.house, customer) == {f"over{n}" for n in range(AT_ONCE)} - refused
    for answer in first:
        if answer.status_code == 503:
            document: dict[str, Any] = answer.json()
            assert (document["code"], document["type"]) == ("overloaded", "/errors/overloaded")
            assert 2 <= int(answer.headers["retry-after"]) <= 6
            assert answer.headers["content-type"] == "application/problem+json"
    repeats = [await ask(small, customer, n) for n in range(AT_ONCE)]
    assert {answer.status_code for answer in repeats} == {200}
    replayed = {f"over{n}" for n, answer in enumerate(repeats) if answer.json()["replayed"]}
    assert replayed == {f"over{n}" for n in range(AT_ONCE)} - refused
    assert len({answer.json()["interactionId"] for answer in repeats}) == AT_ONCE


async def test_O1_health_readiness_and_metrics_are_never_refused(api: Api, small: httpx2.AsyncClient) -> None:
    customer = await api.customer()
    asking = [asyncio.create_task(ask(small, customer, n)) for n in range(AT_ONCE)]
    looks = await asyncio.gather(*(small.get(path) for path in ("/healthz", "/readyz", "/metrics") * 10))
    assert {look.status_code for look in looks} == {200}
    answers = await asyncio.gather(*asking)
    assert 503 in {answer.status_code for answer in answers}, "there was no overload: the run proves nothing"
    shed = next(
        line for line in (await small.get("/metrics")).text.splitlines() if line.startswith("holdfast_requests_shed")
    )
    assert float(shed.rsplit(" ", 1)[1]) == sum(answer.status_code == 503 for answer in answers)


async def test_negative_control_with_room_nobody_is_refused(api: Api) -> None:
    customer = await api.customer()
    answers = await asyncio.gather(*(ask(api.http, customer, n) for n in range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {200}
