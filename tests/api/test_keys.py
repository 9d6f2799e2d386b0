"""Keys over HTTP: shown once, kept as a hash, rotated with an overlap, revoked at once, on record."""

import asyncio
import hashlib
import re
import secrets
from typing import Any

import httpx2
from sqlalchemy import text

from domain.values import OrganisationId
from tests.api.conftest import Api, served
from tests.api.test_auth import bearer
from tests.api.wire import problem_of

DEMO = OrganisationId("demo")


async def issued(api: Api, **fields: Any) -> dict[str, Any]:
    body = {"name": f"a key {secrets.token_hex(4)}", "scopes": ["auditor"], **fields}
    answer = await api.http.post("/keys", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def audited(api: Api, subject: str) -> list[tuple[str, str]]:
    events = (await api.http.get("/audit")).json()["items"]
    return [(e["action"], e["actor"]) for e in events if e["subject"] == subject]


async def test_a_key_is_shown_once_and_kept_as_a_hash(api: Api) -> None:
    await api.house.customer("cust_keys")
    answer = await api.http.post("/keys", json={"name": "once", "scopes": ["auditor", "auditor", "ingest"]})
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"hf_live_[A-Za-z0-9_-]{43}", made["key"])
    assert (made["scopes"], made["hint"]) == (["auditor", "ingest"], made["key"][:12])
    assert (await api.http.get("/audit", headers=bearer(made["key"]))).status_code == 200
    listed = await api.http.get("/keys", params={"limit": 200})
    assert made["id"] in {key["id"] for key in listed.json()["items"]}
    assert made["key"] not in listed.text
    async with api.house.db.transaction(DEMO) as session:
        query = text("SELECT * FROM api_keys WHERE organisation = :organisation AND id = :id")
        row = await session.first(query, id=made["id"])
    assert row is not None
    assert row.key_hash == hashlib.sha256(made["key"].encode()).digest()
    assert made["key"][12:] not in str(row)


async def test_a_revoked_key_is_refused_by_every_process_from_the_next_request_on(api: Api) -> None:
    made = await issued(api)
    async with (
        served(api.house.settings, api.house.temporal) as other,
        httpx2.AsyncClient(base_url=other, headers=bearer(made["key"])) as elsewhere,
    ):
        for _ in range(2):
            assert (await elsewhere.get("/audit")).status_code == 200
            assert (await api.http.get("/audit", headers=bearer(made["key"]))).status_code == 200
        assert (await api.http.delete(f"/keys/{made['id']}")).status_code == 204
        problem_of(await elsewhere.get("/audit"), 401, "key_revoked")
        problem_of(await api.http.get("/audit", headers=bearer(made["key"])), 401, "key_revoked")
    assert (await api.http.delete(f"/keys/{made['id']}")).status_code == 204
    assert await audited(api, made["id"]) == [("key.revoked", "local"), ("key.issued", "local")]


async def test_a_rotated_key_gives_its_name_to_its_successor_and_works_until_the_overlap_is_over(api: Api) -> None:
    old = await issued(api)
    new = (await api.http.post(f"/keys/{old['id']}/rotate", json={"overlap": "PT1H"})).json()
    assert (new["name"], new["scopes"], new["id"] != old["id"]) == (old["name"], old["scopes"], True)
    for key in (old, new):
        assert (await api.http.get("/audit", headers=bearer(key["key"]))).status_code == 200
    problem_of(await api.http.post(f"/keys/{old['id']}/rotate", json={}), 409, "conflict")
    last = (await api.http.post(f"/keys/{new['id']}/rotate", json={"overlap": "PT0S"})).json()
    problem_of(await api.http.get("/audit", headers=bearer(new["key"])), 401, "key_expired")
    assert (await api.http.get("/audit", headers=bearer(last["key"]))).status_code == 200
    listed = {key["id"]: key for key in (await api.http.get("/keys", params={"limit": 200})).json()["items"]}
    assert (listed[old["id"]]["replacedBy"], listed[new["id"]]["replacedBy"]) == (new["id"], last["id"])
    assert ("key.rotated", "local") in await audited(api, last["id"])


async def test_a_revoked_key_is_not_rotated_back_to_life(api: Api) -> None:
    made = await issued(api)
    await api.http.delete(f"/keys/{made['id']}")
    problem_of(await api.http.post(f"/keys/{made['id']}/rotate", json={}), 409, "conflict")


async def test_two_rotations_at_once_make_one_successor(api: Api) -> None:
    made = await issued(api)
    answers = await asyncio.gather(*(api.http.post(f"/keys/{made['id']}/rotate", json={}) for _ in range(6)))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_key_says_when_it_was_last_used(api: Api) -> None:
    made = await issued(api)
    assert made["lastUsedAt"] is None
    await api.http.get("/audit", headers=bearer(made["key"]))
    async with asyncio.timeout(10):
        while True:
            (shown,) = [k for k in (await api.http.get("/keys")).json()["items"] if k["id"] == made["id"]]
            if shown["lastUsedAt"]:
                break
            await asyncio.sleep(0.01)
    assert shown["lastUsedAt"] >= made["createdAt"]


async def test_a_name_that_stands_for_others_is_refused(api: Api) -> None:
    for name in ("agent", "System", "local", "opr_0123", "customer"):
        answer = await api.http.post("/keys", json={"name": name, "scopes": ["operator"]})
        assert problem_of(answer, 422, "request_invalid")["fields"] == ["name"]


async def test_no_key_is_issued_for_what_is_no_scope_of_keys(api: Api) -> None:
    wrongs: tuple[dict[str, object], ...] = (
        {"scopes": ["customer"]},
        {"scopes": ["root"]},
        {"scopes": []},
        {"organisation": "elsewhere"},
    )
    for wrong in wrongs:
        answer = await api.http.post("/keys", json={"name": "x", "scopes": ["ingest"], **wrong})
        problem_of(answer, 422, "validation_failed")
    past = {"name": "x", "scopes": ["ingest"], "expiresAt": "2020-01-01T00:00:00Z"}
    assert problem_of(await api.http.post("/keys", json=past), 422, "request_invalid")["fields"] == ["expiresAt"]


async def test_T1_another_organisations_key_is_a_missing_one(api: Api) -> None:
    made = await issued(api)
    theirs = bearer(await api.house.key("admin", organisation="elsewhere"))
    for method, path in (("POST", "/keys/{}/rotate"), ("DELETE", "/keys/{}")):
        body: dict[str, str] | None = {} if method == "POST" else None
        foreign = await api.http.request(method, path.format(made["id"]), json=body, headers=theirs)
        missing = await api.http.request(method, path.format("key_" + "0" * 32), json=body, headers=theirs)
        problem_of(foreign, 404, "key_not_found")
        assert foreign.content == missing.content
    assert made["id"] not in (await api.http.get("/keys", headers=theirs)).text
    assert (await api.http.get("/audit", headers=bearer(made["key"]))).status_code == 200
