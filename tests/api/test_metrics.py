"""`/metrics`, and the name every HTTP exchange has."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Api, served

REFUND = "please refund invoice inv_1"
PERSONAL = "canary-91c2@example.com"


async def metrics(api: Api) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the process, by name and labels."""
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (s.name, frozenset(s.labels.items())): s.value
        for family in text_string_to_metric_families(answer.text)
        for s in family.samples
    }


async def grown(api: Api, before: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str) -> dict[str, float]:
    """What a metric grew by since, by its labels."""
    now = await metrics(api)
    return {
        ",".join(f"{k}={v}" for k, v in sorted(labels)): value - before.get((n, labels), 0)
        for (n, labels), value in now.items()
        if n == name and value != before.get((n, labels), 0)
    }


async def test_every_answer_is_counted_by_outcome_mode_and_repetition(api: Api) -> None:
    customer, before = await api.customer(), await metrics(api)
    body = {"customerId": customer, "message": REFUND, "requestId": "m1"}
    for _ in range(2):
        assert (await api.http.post("/chat", json=body)).status_code == 200
    await api.http.post("/chat", json={**body, "requestId": "m2", "mode": "shadow", "message": "which plan am I on?"})
    await api.http.post("/chat", json={**body, "requestId": "m3", "message": "let me talk to a human"})
    counted = await grown(api, before, "holdfast_answers_total")
    assert counted == {
        "mode=live,outcome=proceed,replayed=false": 1,
        "mode=live,outcome=proceed,replayed=true": 1,
        "mode=shadow,outcome=proceed,replayed=false": 1,
        "mode=live,outcome=ask_human,replayed=false": 1,
    }
    waits = await grown(api, before, "holdfast_answer_wait_seconds_count")
    assert waits == {"mode=live,replayed=false": 2, "mode=live,replayed=true": 1, "mode=shadow,replayed=false": 1}


async def test_an_answer_nobody_waited_for_counts_as_pending(api: Api) -> None:
    customer, before = await api.customer(), await metrics(api)
    body = {"customerId": customer, "message": REFUND}
    answer = await api.http.post("/chat", json=body, headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    assert await grown(api, before, "holdfast_answers_total") == {"mode=live,outcome=pending,replayed=false": 1}


async def test_a_request_id_used_for_another_body_counts_as_a_conflict_and_as_no_answer(api: Api) -> None:
    customer, before = await api.customer(), await metrics(api)
    body = {"customerId": customer, "message": "hello", "requestId": "c1"}
    await api.http.post("/chat", json=body)
    assert (await api.http.post("/chat", json={**body, "message": "goodbye"})).status_code == 422
    assert await grown(api, before, "holdfast_idempotency_conflicts_total") == {"": 1}
    assert sum((await grown(api, before, "holdfast_answers_total")).values()) == 1


async def test_a_persons_decision_is_counted_once_however_often_it_is_sent(api: Api) -> None:
    customer, before = await api.customer(), await metrics(api)
    asked = await api.http.post("/chat", json={"customerId": customer, "message": "let me talk to a human"})
    path = f"/handoffs/{asked.json()['handoff']['id']}/resolve"
    for _ in range(2):
        assert (await api.http.post(path, json={"reply": "Here I am."})).status_code == 200
    assert await grown(api, before, "holdfast_handoff_decisions_total") == {"decision=resolved": 1}


async def test_requests_are_measured_by_route_and_no_label_comes_from_a_caller(api: Api) -> None:
    await api.http.get(f"/customers/{PERSONAL}?q={PERSONAL}", headers={"Host": PERSONAL, "User-Agent": PERSONAL})
    await api.http.request("PURGE", "/healthz")
    await api.http.get(f"/{PERSONAL}")
    samples = await metrics(api)
    routes = {dict(labels).get("http_route") for name, labels in samples if name.startswith("http_server_request")}
    assert {"/customers/{customerId}", "/metrics"} <= routes
    text = (await api.http.get("/metrics")).text
    assert "canary" not in text.lower()
    assert 'http_request_method="_OTHER"' in text


async def test_metrics_need_no_key_because_a_scraper_has_none(api: Api) -> None:
    async with served(api.house.settings, api.house.temporal, local=False) as url:
        assert (await api.http.get(f"{url}/metrics")).status_code == 200
        assert (await api.http.get(f"{url}/handoffs")).status_code == 401


@pytest.mark.parametrize("sent", ["a", "~" * 128, "0af76519-16cd-43dd", '{"x":1}'])
async def test_a_callers_request_id_comes_back(api: Api, sent: str) -> None:
    answer = await api.http.get("/healthz", headers={"X-Request-Id": sent})
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", [b"", b"x" * 129, b"two words", b"caf\xc3\xa9", b"a\tb", b"1\r\nX-Request-Id: 2"])
async def test_a_request_id_that_is_none_is_not_repeated(api: Api, sent: bytes) -> None:
    answer = await api.raw(b"GET /healthz HTTP/1.1\r\nX-Request-Id: " + sent)
    assert answer.status == 200
    assert "x-request-id" not in answer.headers


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/healthz"), ("POST", "/chat")])
async def test_a_refusal_carries_the_callers_request_id_too(api: Api, method: str, path: str) -> None:
    answer = await api.http.request(method, path, headers={"X-Request-Id": "r-1"})
    assert (answer.headers["x-request-id"], answer.is_error) == ("r-1", True)
