"""T-8: who asks too much is told so, in the words of the draft; nobody else notices."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from tests.api.conftest import Api, served
from tests.api.test_auth import bearer
from tests.api.wire import problem_of

MOST = 20


@pytest.fixture(scope="module")
async def door(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """The same house behind a door that lets in 20 an hour, of which 16 with one key."""
    limits = {"rate_limit": MOST, "rate_limit_window": timedelta(hours=1)}
    async with (
        served(api.house.settings, api.house.temporal, **limits) as url,
        httpx2.AsyncClient(base_url=url, timeout=60) as http,
    ):
        yield http


def remaining(answer: httpx2.Response, name: str) -> int:
    found = re.search(rf'"{name}";r=(\d+);t=\d+', answer.headers["ratelimit"])
    assert found is not None, answer.headers["ratelimit"]
    return int(found[1])


async def test_T8_one_floods_and_the_other_has_no_error(api: Api, door: httpx2.AsyncClient) -> None:
    flood = bearer(await api.house.key("operator", organisation="flood"))
    steady = bearer(await api.house.key("operator", organisation="steady"))

    async def asks(headers: dict[str, str], times: int) -> list[httpx2.Response]:
        return await asyncio.gather(*[door.get("/interactions", headers=headers) for _ in range(times)])

    many, few = await asyncio.gather(asks(flood, 10 * MOST), asks(steady, 16))
    assert [answer.status_code for answer in few] == [200] * 16
    refused = [answer for answer in many if answer.status_code != 200]
    assert len(many) - len(refused) == 16
    for answer in refused:
        assert problem_of(answer, 429, "rate_limited")["limit"] == "key"
        assert 1 <= int(answer.headers["retry-after"]) <= 225
    others = bearer(await api.house.key("operator", organisation="flood"))
    answers = [await door.get("/interactions", headers=others) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert problem_of(answers[-1], 429, "rate_limited")["limit"] == "organisation"


async def test_every_answer_to_a_key_says_what_is_left_errors_too(api: Api, door: httpx2.AsyncClient) -> None:
    headers = bearer(await api.house.key("ingest", organisation="polite"))
    answers = [
        await door.get("/interactions/int_00000000", headers=headers),
        await door.get("/interactions", headers=headers),
        await door.get("/interactions/x", headers=headers),
        await door.post("/chat", json={"customerId": "nobody", "message": "hello"}, headers=headers),
        await door.post("/chat", json={}, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [404, 403, 400, 404, 422]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {
        '"key";q=16;w=3600, "organisation";q=20;w=3600'
    }
    assert [remaining(answer, "key") for answer in answers] == [15, 14, 13, 12, 11]
    assert [remaining(answer, "organisation") for answer in answers] == [19, 18, 17, 16, 15]


async def test_a_message_that_is_refused_is_not_taken_in(api: Api, door: httpx2.AsyncClient) -> None:
    headers = bearer(await api.house.key("ingest", "builder", "operator", organisation="talkative"))
    customer = {"name": "N", "plan": "pro", "status": "active"}
    assert (await door.put("/customers/cust_1", json=customer, headers=headers)).status_code == 201
    while (await door.get("/handoffs", headers=headers)).status_code == 200:
        pass
    message = {"customerId": "cust_1", "message": "hello", "requestId": "again"}
    problem_of(await door.post("/chat", json=message, headers=headers), 429, "rate_limited")
    # Through a door with room the same request id is still free, and answered once.
    taken = await api.http.post("/chat", json=message, headers=headers)
    assert (taken.status_code, taken.json()["replayed"]) == (200, False)


async def test_nobody_is_counted_and_nobody_is_told(api: Api, door: httpx2.AsyncClient) -> None:
    for answer in (
        await door.get("/interactions"),
        await door.get("/healthz"),
        await door.get("/interactions", headers=bearer("hf_test_unknown")),
    ):
        assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_T8_an_operator_and_a_customer_are_limited_as_keys_are(api: Api, door: httpx2.AsyncClient) -> None:
    """However many sessions and tokens they have; and they leave something to others of their organisation."""
    admin = bearer(await api.house.key("admin", organisation="crew"))
    added = await api.http.post("/operators", json={"login": "ana", "scopes": ["operator"]}, headers=admin)
    claim = {"organisation": "crew", "login": "ana", "password": added.json()["oneTimePassword"]}
    async with (
        httpx2.AsyncClient(base_url=door.base_url, timeout=60) as one,
        httpx2.AsyncClient(base_url=door.base_url, timeout=60) as two,
    ):
        for http in (one, two):
            assert (await http.post("/session", json=claim)).status_code == 201
        answers = [await http.get("/session") for _ in range(9) for http in (one, two)]
    assert [answer.status_code for answer in answers] == [200] * 16 + [429] * 2
    assert problem_of(answers[-1], 429, "rate_limited")["limit"] == "operator"
    assert answers[0].headers["ratelimit-policy"] == '"operator";q=16;w=3600, "organisation";q=20;w=3600'
    assert [remaining(answer, "operator") for answer in answers[:3]] == [15, 14, 13]

    customers = {"name": "N", "plan": "pro", "status": "active"}
    tokens = []
    for name in ("cust_1", "cust_1", "cust_2"):
        await api.http.put(f"/customers/{name}", json=customers, headers=admin)
        issued = await api.http.post(f"/customers/{name}/tokens", json={}, headers=admin)
        tokens.append(bearer(issued.json()["token"]))
    first, again, other = tokens
    answers = [await door.get("/interactions", headers=headers) for headers in (first, again, first, other)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert problem_of(answers[2], 429, "rate_limited")["limit"] == "customer"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 1800
