"""An end customer's token: messages and interactions of one customer, for a short while, and nothing else."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from api.auth import Scope, key_hash
from domain.values import CustomerId, OrganisationId
from schema.customer_tokens import CustomerTokenRepository
from tests.api.conftest import Api
from tests.api.test_auth import ALLOWED, bearer
from tests.api.wire import problem_of

DEMO = OrganisationId("demo")
MAY = {operation for operation, (_, _, scopes) in ALLOWED.items() if "customer" in scopes}


async def token_for(api: Api, customer: str, **body: Any) -> dict[str, Any]:
    answer = await api.http.post(f"/customers/{customer}/tokens", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


async def mine(api: Api, customer: str) -> dict[str, str]:
    return bearer((await token_for(api, customer))["token"])


async def test_a_customer_writes_and_reads_their_own_and_is_not_told_why(api: Api) -> None:
    customer = await api.customer()
    me = await mine(api, customer)
    body = {"customerId": customer, "message": "Please refund invoice inv_1"}
    said = await api.http.post("/chat", json=body, headers=me)
    assert said.status_code == 200, said.text
    answer = said.json()
    assert answer["status"] == "completed"
    assert "refunded" in answer["reply"]
    told = {
        "interactionId",
        "conversationId",
        "requestId",
        "customerId",
        "mode",
        "status",
        "reply",
        "replayed",
        "links",
    }
    assert answer.keys() == told
    assert answer["links"] == {"self": f"/interactions/{answer['interactionId']}"}
    read = await api.http.get(answer["links"]["self"], headers=me)
    assert read.status_code == 200, read.text
    assert read.json().keys() == told - {"replayed"} | {"message", "createdAt", "answeredAt", "finishedAt"}
    (listed,) = (await api.http.get("/interactions", headers=me)).json()["items"]
    assert listed["id"] == answer["interactionId"]
    assert (listed["intent"], listed["confidence"], listed["outcome"]) == (None, None, None)
    whole = (await api.http.get(answer["links"]["self"])).json()
    assert whole["timeline"]  # negative control: there is more, and an operator sees it
    assert whole["decision"]


async def test_another_customer_does_not_exist_for_a_customer(api: Api) -> None:
    customer, other = await api.customer(), await api.customer()
    me = await mine(api, customer)
    theirs = (await api.http.post("/chat", json={"customerId": other, "message": "hello"})).json()
    for ours, missing in (
        (
            await api.http.post("/chat", json={"customerId": other, "message": "hello"}, headers=me),
            await api.http.post("/chat", json={"customerId": "cust_none", "message": "hello"}, headers=me),
        ),
        (
            await api.http.get(f"/interactions/{theirs['interactionId']}", headers=me),
            await api.http.get(f"/interactions/int_{'0' * 32}", headers=me),
        ),
    ):
        assert ours.status_code == 404
        assert ours.content == missing.content
    # The answer is that of the product to everybody else, byte for byte.
    everybody = await api.http.post("/chat", json={"customerId": "cust_none", "message": "hello"})
    hidden = await api.http.post("/chat", json={"customerId": other, "message": "hello"}, headers=me)
    assert everybody.content == hidden.content
    assert (await api.http.get("/interactions", params={"customerId": other}, headers=me)).json()["items"] == []
    assert (await api.http.get("/interactions", headers=me)).json()["items"] == []
    into = {"customerId": customer, "message": "hello", "conversationId": theirs["conversationId"]}
    problem_of(await api.http.post("/chat", json=into, headers=me), 404, "conversation_not_found")


async def test_a_rehearsal_is_neither_asked_for_nor_shown_by_a_customer(api: Api) -> None:
    customer = await api.customer()
    me = await mine(api, customer)
    body = {"customerId": customer, "message": "refund please", "mode": "shadow"}
    assert problem_of(await api.http.post("/chat", json=body, headers=me), 403, "scope_missing")["needs"] == ["ingest"]
    rehearsed = (await api.http.post("/chat", json=body)).json()["interactionId"]
    problem_of(await api.http.get(f"/interactions/{rehearsed}", headers=me), 404, "interaction_not_found")
    assert (await api.http.get("/interactions", params={"mode": "shadow"}, headers=me)).json()["items"] == []


@pytest.mark.parametrize("operation", sorted(ALLOWED), ids=lambda o: f"{o[0]} {o[1]}")
async def test_a_customer_may_call_what_is_declared_and_nothing_else(api: Api, operation: tuple[str, str]) -> None:
    await api.house.customer("cust_token")
    me = await mine(api, "cust_token")
    path, body, _ = ALLOWED[operation]
    answer = await api.http.request(operation[0], path, json=body, headers=me)
    if operation in MAY:
        assert answer.status_code in {200, 404}, answer.text
    elif operation[1].startswith("/session/") or operation == ("delete", "/session"):
        problem_of(answer, 404, "not_found")
    else:
        assert Scope.CUSTOMER not in problem_of(answer, 403, "scope_missing")["needs"]


def test_a_customer_may_call_five_operations() -> None:
    assert {path for _, path in MAY} == {
        "/chat",
        "/interactions",
        "/interactions/{interactionId}",
        "/interactions/{interactionId}/verify",
        "/interactions/{interactionId}/code",
    }


async def test_a_token_is_over_after_its_time_and_when_the_customer_signs_out(api: Api) -> None:
    customer = await api.customer()
    first, second = await token_for(api, customer), await token_for(api, customer, expiresIn="PT1H")
    for made in (first, second):
        assert (await api.http.get("/interactions", headers=bearer(made["token"]))).status_code == 200
    async with api.house.db.transaction(DEMO) as session:
        ids = await session.all(text("SELECT id FROM customer_tokens WHERE customer_id = :c"), c=customer)
        assert {row.id for row in ids} == {first["id"], second["id"]}
    assert (await api.http.delete(f"/customers/{customer}/tokens")).status_code == 204
    for made in (first, second):
        problem_of(await api.http.get("/interactions", headers=bearer(made["token"])), 401, "not_authenticated")
    for lifetime in ("PT1H1S", "PT59S", "P1D"):
        wrong = await api.http.post(f"/customers/{customer}/tokens", json={"expiresIn": lifetime})
        problem_of(wrong, 422, "validation_failed")


async def test_an_expired_token_is_refused_and_forgotten_with_the_next(api: Api) -> None:
    customer, old, now = await api.customer(), f"hf_cust_{secrets.token_urlsafe(32)}", datetime.now(UTC)
    async with api.house.db.transaction(DEMO) as session:
        tokens = CustomerTokenRepository(session)
        await tokens.issue(CustomerId(customer), key_hash(old), "test", now, now - timedelta(seconds=1))
    problem_of(await api.http.get("/interactions", headers=bearer(old)), 401, "not_authenticated")
    new = await token_for(api, customer)
    async with api.house.db.transaction(DEMO) as session:
        kept = await session.all(text("SELECT id FROM customer_tokens WHERE customer_id = :c"), c=customer)
    assert [row.id for row in kept] == [new["id"]]


async def test_a_token_is_not_stored_and_its_issue_names_nobody(api: Api) -> None:
    customer = f"anna-{secrets.token_hex(4)}@example.com"
    await api.house.customer(customer)
    made = await token_for(api, customer)
    async with api.house.db.transaction(DEMO) as session:
        kept = await session.all(text("SELECT * FROM customer_tokens WHERE organisation = :organisation"))
    assert made["id"] in str(kept)
    assert made["token"] not in str(kept)
    shown = await api.http.get("/audit", params={"limit": 50})
    (event,) = [e for e in shown.json()["items"] if e["details"].get("token") == made["id"]]
    assert event["action"] == "customer_token.issued"
    assert customer not in shown.text


async def test_T1_no_token_for_another_organisations_customer(api: Api) -> None:
    customer = await api.customer()
    theirs = bearer(await api.house.key("ingest", organisation="elsewhere"))
    for method, body in (("POST", {}), ("DELETE", None)):
        foreign = await api.http.request(method, f"/customers/{customer}/tokens", json=body, headers=theirs)
        missing = await api.http.request(method, "/customers/cust_none/tokens", json=body, headers=theirs)
        problem_of(foreign, 404, "customer_not_found")
        assert foreign.content == missing.content
    me = await mine(api, customer)
    problem_of(await api.http.post(f"/customers/{customer}/tokens", json={}, headers=me), 403, "scope_missing")
