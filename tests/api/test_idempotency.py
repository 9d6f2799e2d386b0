"""The request id: same key and body, same answer; same key and another body, nothing runs."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError

from api.routes.chat import ChatRequest
from tests.api.conftest import Api, served
from tests.api.wire import problem_of

REFUND = "please refund invoice inv_1"
JSON = {"Content-Type": "application/json"}


async def chat(api: Api, customer: str, **fields: Any) -> httpx2.Response:
    return await api.http.post("/chat", json={"customerId": customer, "message": REFUND, **fields})


def core(answer: httpx2.Response) -> dict[str, Any]:
    """The answer but for the word that it was given before."""
    return {name: value for name, value in answer.json().items() if name != "replayed"}


async def effects(api: Api, customer: str) -> tuple[int, int, int]:
    """Interactions, effects and refunds of one customer, counted behind the API's back."""
    from sqlalchemy import text

    from tests.house import DEMO

    async with api.house.db.transaction(DEMO) as session:
        row = await session.first(
            text(
                """
                SELECT (SELECT count(*) FROM interactions WHERE customer_id = :c) AS interactions,
                       (SELECT count(*) FROM effects e JOIN interactions i ON i.id = e.interaction_id
                        WHERE i.customer_id = :c) AS effects,
                       (SELECT count(*) FROM refunds WHERE customer_id = :c) AS refunds
                """
            ),
            c=customer,
        )
    assert row is not None
    return row.interactions, row.effects, row.refunds


async def test_I1_the_same_request_gets_the_same_answer_and_nothing_happens_again(api: Api) -> None:
    customer = await api.customer()
    first = await chat(api, customer, requestId="r1")
    assert first.status_code == 200, first.text
    assert (first.json()["replayed"], "idempotent-replayed" in first.headers) == (False, False)
    happened = await effects(api, customer)
    assert happened[2] == 1

    for _ in range(5):
        again = await chat(api, customer, requestId="r1")
        assert (again.status_code, again.headers["content-type"]) == (200, first.headers["content-type"])
        assert (again.json()["replayed"], again.headers["idempotent-replayed"]) == (True, "true")
        assert core(again) == core(first)
    assert await effects(api, customer) == happened


async def test_I1_the_header_is_the_same_key_as_the_body(api: Api) -> None:
    customer = await api.customer()
    first = await chat(api, customer, requestId="r-header")
    body = {"customerId": customer, "message": REFUND}
    again = await api.http.post("/chat", json=body, headers={"Idempotency-Key": "r-header"})
    assert core(again) == core(first)
    both = await api.http.post("/chat", json={**body, "requestId": "r-header"}, headers={"Idempotency-Key": "r-header"})
    assert core(both) == core(first)
    differ = await api.http.post("/chat", json={**body, "requestId": "a"}, headers={"Idempotency-Key": "b"})
    problem_of(differ, 400, "request_id_invalid")
    twice = await api.http.post("/chat", json=body, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    problem_of(twice, 400, "request_id_invalid")


OTHER: dict[str, Any] = {
    "message": "where is my order?",
    "mode": "shadow",
    "conversationId": "cnv_another00",
    "sender": {"kind": "email", "address": "other@example.com"},
}
"""Another value for every field that means something. `customerId` is part of the key; `requestId` is the key;
`agentId` names no agent that exists, which is refused before any key is looked up."""
NOT_MUTATED = {"customerId", "requestId", "agentId"}


def test_I2_every_field_of_the_request_is_mutated() -> None:
    fields = {field.alias for field in ChatRequest.model_fields.values()}
    assert fields == OTHER.keys() | NOT_MUTATED, "a new field needs another value here, or a reason"


@pytest.mark.parametrize("field", OTHER)
async def test_I2_the_same_key_with_another_body_names_the_field_and_runs_nothing(api: Api, field: str) -> None:
    customer = await api.customer()
    assert (await chat(api, customer, requestId="r2")).status_code == 200
    other = {"conversationId": await another_conversation(api, customer)} if field == "conversationId" else OTHER
    happened = await effects(api, customer)
    reused = await chat(api, customer, **{"requestId": "r2", field: other[field]})
    assert problem_of(reused, 422, "request_id_reused")["fields"] == [field]
    assert await effects(api, customer) == happened
    said = OTHER[field]["address"] if field == "sender" else OTHER[field]
    assert said not in reused.text or field == "mode"


async def another_conversation(api: Api, customer: str) -> str:
    return str((await chat(api, customer, message="hello", requestId="elsewhere")).json()["conversationId"])


SNAKE = {"customerId": "customer_id", "requestId": "request_id"}
EQUAL_MEANING: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "key order": lambda b: json.dumps(dict(reversed(b.items()))).encode(),
    "white space": lambda b: json.dumps(b, indent=3).encode() + b"\r\n ",
    "escapes": lambda b: re.sub("[a-zA-Z]", lambda letter: f"\\u{ord(letter[0]):04x}", json.dumps(b)).encode(),
    "a byte-order mark": lambda b: b"\xef\xbb\xbf" + json.dumps(b).encode(),
    "a default written out": lambda b: json.dumps({**b, "mode": "live", "agentId": None}).encode(),
    "snake case": lambda b: json.dumps({SNAKE.get(k, k): v for k, v in b.items()}).encode(),
}


@pytest.mark.parametrize("spelling", EQUAL_MEANING)
async def test_I3_equal_meaning_is_the_same_request(api: Api, spelling: str) -> None:
    customer = await api.customer()
    body = {"customerId": customer, "message": REFUND, "requestId": "r3"}
    first = await api.http.post("/chat", json=body)
    again = await api.http.post("/chat", content=EQUAL_MEANING[spelling](body), headers=JSON)
    assert (again.status_code, again.json().get("replayed")) == (200, True), again.text
    assert core(again) == core(first)


async def test_I3_a_field_given_in_both_spellings_is_refused(api: Api) -> None:
    body = {"customerId": "cust_a", "customer_id": "cust_b", "message": "hello"}
    problem_of(await api.http.post("/chat", json=body), 422, "validation_failed")


@pytest.mark.parametrize("message", [REFUND, "I want to talk to a human"])
async def test_I4_fifty_at_once_get_one_answer_and_one_consequence(api: Api, message: str, round_: int) -> None:
    customer = await api.customer()
    answers = await asyncio.gather(*(chat(api, customer, message=message, requestId="r4") for _ in range(50)))
    assert {a.status_code for a in answers} == {200}, [a.text for a in answers if a.status_code != 200]
    assert len({json.dumps(core(a), sort_keys=True) for a in answers}) == 1
    assert [a.json()["replayed"] for a in answers].count(False) == 1
    interactions, _, refunds = await effects(api, customer)
    assert (interactions, refunds) == (1, int(message == REFUND))


async def test_I5_of_two_bodies_at_once_one_wins_and_the_other_is_refused_every_time(api: Api, round_: int) -> None:
    customer = await api.customer()
    messages = [REFUND, "please refund invoice inv_1 now"]
    answers = await asyncio.gather(*(chat(api, customer, message=messages[n % 2], requestId="r5") for n in range(50)))
    statuses = [{a.status_code for a in answers[n::2]} for n in (0, 1)]
    assert sorted(statuses, key=min) == [{200}, {422}]
    assert len({json.dumps(core(a), sort_keys=True) for a in answers if a.status_code == 200}) == 1
    assert (await effects(api, customer))[2] == 1


def workflow_of(answer: httpx2.Response) -> str:
    return str(answer.json()["links"]["temporal"]).rpartition("/workflows/")[2]


async def forget(api: Api, workflow_id: str) -> None:
    """Deletes the workflow from Temporal and waits until it is gone, as after its retention."""
    client = api.house.temporal
    execution = WorkflowExecution(workflow_id=workflow_id)
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    await client.workflow_service.delete_workflow_execution(request)
    async with asyncio.timeout(120):  # the server deletes when it has nothing better to do: 20 s are usual
        while await is_known(api, workflow_id):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.1)


async def is_known(api: Api, workflow_id: str) -> bool:
    try:
        await api.house.temporal.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return False
    return True


async def test_I6_the_answer_outlives_temporals_memory_and_a_restart(api: Api) -> None:
    customer = await api.customer()
    first = await chat(api, customer, requestId="r6")
    await api.house.until_settled(first.json()["interactionId"])
    workflow_id = workflow_of(first)
    assert await is_known(api, workflow_id)
    happened = await effects(api, customer)
    await forget(api, workflow_id)

    async with (
        served(api.house.settings, api.house.temporal) as url,
        httpx2.AsyncClient(base_url=url, timeout=60) as restarted,
    ):
        body = {"customerId": customer, "message": REFUND, "requestId": "r6"}
        again = await restarted.post("/chat", json=body)
        assert core(again) == core(first)
        reused = await restarted.post("/chat", json={**body, "message": "hello"})
        problem_of(reused, 422, "request_id_reused")
    assert not await is_known(api, workflow_id)
    assert await effects(api, customer) == happened


async def test_I7_a_refused_request_burns_no_key(api: Api) -> None:
    customer = await api.customer()
    problem_of(await chat(api, customer, requestId="r7", mode="dead"), 422, "validation_failed")
    problem_of(await chat(api, customer, requestId="r7", conversationId="cnv_missing0"), 404, "conversation_not_found")
    problem_of(await chat(api, customer, requestId="r7", agentId="agt_missing0"), 404, "agent_not_found")
    problem_of(await chat(api, "cust_later", requestId="r7"), 404, "customer_not_found")
    assert (await effects(api, customer))[0] == 0
    corrected = await chat(api, customer, requestId="r7")
    assert (corrected.status_code, corrected.json()["replayed"]) == (200, False)
    await api.house.customer("cust_later")
    assert (await chat(api, "cust_later", requestId="r7")).json()["replayed"] is False


async def test_I8_a_refusal_stays_refused_for_its_key_whatever_changes(api: Api) -> None:
    customer = await api.customer()
    await api.house.invoice("inv_1", 4_900, customer_id=customer, paid_days_ago=60)
    refused = await chat(api, customer, requestId="r8")
    assert refused.json()["status"] == "refused"
    await api.house.invoice("inv_1", 4_900, customer_id=customer, paid_days_ago=1)
    assert core(await chat(api, customer, requestId="r8")) == core(refused)
    assert (await effects(api, customer))[2] == 0
    assert (await chat(api, customer, requestId="r8-new")).json()["status"] == "completed"


async def test_I9_a_key_is_the_organisations_and_the_customers_own(api: Api) -> None:
    answers = []
    for organisation in ("north", "south"):
        key = await api.house.key("ingest", "builder", organisation=organisation)
        mine = {"Authorization": f"Bearer {key}"}
        for customer in ("cust_same", "cust_other"):
            account = {"name": "N", "plan": "pro", "status": "active"}
            assert (await api.http.put(f"/customers/{customer}", json=account, headers=mine)).status_code == 201
            body = {"customerId": customer, "message": f"hello from {organisation}", "requestId": "shared"}
            answers.append(await api.http.post("/chat", json=body, headers=mine))
    assert [a.status_code for a in answers] == [200] * 4
    assert [a.json()["replayed"] for a in answers] == [False] * 4
    assert len({a.json()["interactionId"] for a in answers}) == 4


BAD_KEYS = {
    "empty": "",
    "too long": "k" * 256,
    "newline": "a\nb",
    "escape": "a\x1bb",
    "delete": "a\x7fb",
    "C1": "a\x85b",
}


@pytest.mark.parametrize("bad", BAD_KEYS)
async def test_I11_what_cannot_be_a_key_is_400_in_the_body(api: Api, bad: str) -> None:
    answer = await chat(api, "cust_123", requestId=BAD_KEYS[bad])
    assert problem_of(answer, 400, "request_id_invalid")["errors"][0]["field"] == "requestId"


@pytest.mark.parametrize("raw", [rb"\u0000", rb"\ud800", rb"a\udfffb"])
async def test_I11_a_key_that_is_no_text_is_400_in_the_body(api: Api, raw: bytes) -> None:
    content = b'{"customerId": "cust_123", "message": "hello", "requestId": "' + raw + b'"}'
    problem_of(await api.http.post("/chat", content=content, headers=JSON), 400, "json_invalid")


@pytest.mark.parametrize("key", [b"", b"k" * 256, b"a\x01b", b"a\x7fb", b"\xc3\xa9", b"\xed\xa0\x80", b"\xff"])
async def test_I11_what_cannot_be_a_key_is_400_in_the_header(api: Api, key: bytes) -> None:
    body = json.dumps({"customerId": "cust_123", "message": "hello"}).encode()
    head = b"POST /chat HTTP/1.1\r\nContent-Type: application/json\r\nIdempotency-Key: " + key
    answer = await api.raw(head, body)
    assert answer.status == 400, answer
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize("part", ["%00", "%0A", "%7F", "%C2%85", "%FF", "%ED%A0%80", "k" * 256])
@pytest.mark.parametrize("path", ["/customers/{}", "/customers/{}/invoices", "/interactions/{}", "/handoffs/{}"])
async def test_I11_what_cannot_be_an_id_is_400_in_the_path(api: Api, path: str, part: str) -> None:
    answer = await api.http.get(path.format(part))
    problem_of(answer, 400, "path_invalid")


async def test_I11_a_key_of_255_characters_in_any_script_is_fine(api: Api) -> None:
    customer = await api.customer()
    for key in ("k" * 255, "ключ", "鍵 🔑", "a/b?c#d%20", "\u202eright to left"):
        first, again = [await chat(api, customer, message="hello", requestId=key) for _ in range(2)]
        assert (first.status_code, first.json()["requestId"], again.json()["replayed"]) == (200, key, True)


TAKE_A_KEY = {"/chat", "/proposals", "/conversations/{conversationId}/messages", "/customers/{customerId}/erase"}
REFUSE_ONE = {
    *("/webhooks", "/webhooks/{webhookId}/rotate", "/webhooks/{webhookId}/test", "/keys", "/keys/{keyId}/rotate"),
    *("/handoffs/{handoffId}/notes", "/handoffs/{handoffId}/links"),
    *("/operators", "/operators/{operatorId}/reset", "/session", "/customers/{customerId}/tokens", "/holds"),
    "/customers/{customerId}/channels",
    *("/session/oidc", "/session/oidc/step-up"),
}
REPEATABLE = {
    *("/handoffs/{handoffId}/" + verb for verb in ("claim", "release", "reassign", "priority", "presence")),
    *("/handoffs/{handoffId}/" + verb for verb in ("approve", "reject", "resolve")),
    *("/conversations/{conversationId}/" + verb for verb in ("takeover", "release", "close")),
    *("/deliveries/{deliveryId}/redrive", "/deliveries/{deliveryId}/discard", "/dead-letters/redrive"),
    *("/delivery-reports", "/notifications/{notificationId}/read", "/calendars/{calendarId}/due"),
    *("/interactions/{interactionId}/verify", "/interactions/{interactionId}/code"),
    "/customers/{customerId}/channels/{channelId}/verify",
    *("/approvals/{token}", "/codec/decode", "/session/step-up", "/session/password"),
    "/holds/{holdId}/release",
    *("/decisions/{decisionId}/approve", "/decisions/{decisionId}/reject", "/decisions/evaluate"),
}
"""They say how something is to be, or a repeat finds the first decision."""


async def test_every_operation_takes_a_key_refuses_one_or_is_safe_to_repeat(api: Api) -> None:
    paths = (await api.http.get("/openapi.json")).json()["paths"]
    posts = {path for path, methods in paths.items() if "post" in methods}
    assert posts == TAKE_A_KEY | REFUSE_ONE | REPEATABLE


@pytest.mark.parametrize("path", sorted(REFUSE_ONE))
async def test_a_key_is_refused_where_none_is_taken_and_nothing_is_made(api: Api, path: str) -> None:
    before = (await api.http.get("/webhooks")).json(), (await api.http.get("/keys")).json()
    there = re.sub(r"{[^}]*}", "whk_1", path)
    body = None if path.endswith("/reset") else {"url": "http://127.0.0.1:9/", "eventTypes": ["ping"]}
    answer = await api.http.post(there, json=body, headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_not_taken")
    assert before == ((await api.http.get("/webhooks")).json(), (await api.http.get("/keys")).json())
