"""What is away is said to be away; the same request, repeated later, is done once."""

import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from tests.api.conftest import Api, served
from tests.api.wire import problem_of
from tests.house import House, open_house
from tests.postgres import PostgresServer, embedded_postgres
from tests.temporal import DevServer, dev_server, free_port


@pytest.fixture(scope="module")
async def own_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevServer]:
    """A server only this module stops."""
    async with dev_server(tmp_path_factory.mktemp("own-temporal")) as server:
        yield server


@pytest.fixture(scope="module")
async def own_house(
    postgres: PostgresServer,
    own_temporal: DevServer,
    tmp_path_factory: pytest.TempPathFactory,
    intents: EmbeddedIntentModel,
) -> AsyncIterator[House]:
    url = postgres.create()
    async with open_house(url, own_temporal.address, tmp_path_factory.mktemp("own"), intents=intents) as house:
        yield house
    postgres.drop(url)


@pytest.mark.parametrize("prefer", ["wait=0", "wait=1", "wait=10"])
async def test_R10_without_temporal_nothing_is_acknowledged_and_a_repeat_is_done_once(
    own_house: House, own_temporal: DevServer, prefer: str
) -> None:
    customer = f"cust_{prefer.replace('=', '')}"
    await own_house.customer(customer)
    await own_house.invoice("inv_1", 4_900, customer_id=customer)
    body = {"customerId": customer, "message": "please refund invoice inv_1", "requestId": "r1"}
    refunds = len(await own_house.refunds())
    await own_temporal.stop(signal.SIGKILL)
    try:
        for _ in range(2):
            away = await own_house.http.post("/chat", json=body, headers={"Prefer": prefer})
            document = problem_of(away, 503, "dependency_down")
            assert (document["dependency"], int(away.headers["retry-after"]) > 0) == ("temporal", True)
        ready = await own_house.http.get("/readyz")
        assert (ready.status_code, ready.json()["missing"]) == (503, ["temporal"])
        assert (await own_house.http.get("/healthz")).status_code == 200
        assert (await own_house.http.get(f"/customers/{customer}")).status_code == 200
    finally:
        await own_temporal.start()
    answers: list[httpx2.Response] = []
    while not answers or answers[-1].status_code != 200:
        answers.append(await own_house.http.post("/chat", json=body))
        assert answers[-1].status_code in {200, 202, 503}, answers[-1].text
        assert len(answers) < 20
    assert answers[-1].json()["status"] == "completed"
    assert len(await own_house.refunds()) == refunds + 1


async def test_without_postgres_every_route_that_needs_it_says_so(api: Api) -> None:
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/none"
    async with (
        served(api.house.settings, api.house.temporal, database_url=nowhere) as url,
        httpx2.AsyncClient(base_url=url, timeout=60) as http,
    ):
        requests: list[tuple[str, str, Any]] = [
            ("POST", "/chat", {"customerId": "cust_123", "message": "hello"}),
            ("GET", "/interactions", None),
            ("GET", "/interactions/int_missing0", None),
            ("GET", "/handoffs", None),
            ("PUT", "/customers/cust_1", {"name": "N", "plan": "pro", "status": "active"}),
            ("GET", "/customers/cust_1", None),
        ]
        for method, path, body in requests:
            away = await http.request(method, path, json=body)
            assert problem_of(away, 503, "dependency_down")["dependency"] == "postgres"
            assert int(away.headers["retry-after"]) > 0
        keyed = await http.get("/interactions", headers={"Authorization": "Bearer hf_live_any"})
        problem_of(keyed, 503, "dependency_down")  # not 401: whose key it is cannot be known now
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["missing"], ready.headers["retry-after"]) == (503, ["postgres"], "2")
        assert (await http.get("/healthz")).status_code == 200


async def test_R10_postgres_comes_back_and_the_same_request_is_done_once(
    temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> None:
    with embedded_postgres() as own:
        async with open_house(own.create(), temporal.address, tmp_path, intents=intents) as house:
            await house.customer()
            await house.invoice("inv_1", 4_900)
            body = {"customerId": "cust_123", "message": "please refund invoice inv_1", "requestId": "r1"}
            own.stop()
            try:
                problem_of(await house.http.post("/chat", json=body), 503, "dependency_down")
            finally:
                own.start()
            answer = await house.http.post("/chat", json=body)
            assert (answer.status_code, answer.json()["status"]) == (200, "completed"), answer.text
            assert (await house.http.post("/chat", json=body)).json()["replayed"] is True
            assert len(await house.refunds()) == 1


async def test_readiness_names_a_worker_that_is_not_there(api: Api) -> None:
    assert (await api.http.get("/readyz")).json() == {"ready": True, "missing": []}
    async with (
        served(api.house.settings, api.house.temporal, task_queue="nobody-polls-this", chat_wait=timedelta(0)) as url,
        httpx2.AsyncClient(base_url=url) as http,
    ):
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["missing"]) == (503, ["worker"])


async def test_a_worker_that_fell_silent_is_missed_though_temporal_remembers_it(
    api: Api, postgres: PostgresServer
) -> None:
    """It polls on; what is taken from it are its signs of life, as a kill takes them."""
    assert (await api.http.get("/readyz")).json() == {"ready": True, "missing": []}
    with postgres.owner(api.house.settings.database_url) as owner:
        with owner.transaction():
            owner.execute("LOCK TABLE worker_heartbeats")  # no sign is under way
            owner.execute("REVOKE INSERT ON worker_heartbeats FROM holdfast_app")
            owner.execute("UPDATE worker_heartbeats SET at = at - interval '1 minute'")
        try:
            ready = await api.http.get("/readyz")
            assert (ready.status_code, ready.json()["missing"]) == (503, ["worker"])
        finally:
            owner.execute("GRANT INSERT ON worker_heartbeats TO holdfast_app")
