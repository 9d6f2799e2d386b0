"""Operators sign in: sessions in Postgres behind a cookie, CSRF refused, failing slows down, everything on record."""

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api.main import create_app
from domain.signing_in import FREE_TRIES
from domain.values import OrganisationId
from schema.throttles import ThrottleRepository
from tests.api.conftest import Api
from tests.api.test_auth import bearer
from tests.api.wire import problem_of
from tests.postgres import PostgresServer

DEMO = OrganisationId("demo")
OURS = {"X-Holdfast-Csrf": "1"}
COOKIE = "holdfast_local_session"


@contextlib.asynccontextmanager
async def browser(api: Api, address: str = "127.0.0.1", **changed: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Another process, called from `address`, that keeps cookies."""
    settings = api.house.settings.model_copy(update=changed)
    app = create_app(settings, api.house.temporal)
    transport = httpx2.ASGITransport(app=app, client=(address, 4711))
    url = "http://localhost" if settings.local else "https://holdfast.example.com"
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=url, headers=OURS, timeout=60) as http,
    ):
        yield http


async def added(api: Api, *scopes: str, login: str = "") -> dict[str, Any]:
    body = {"login": login or f"ana-{secrets.token_hex(4)}@example.com", "scopes": scopes or ["operator"]}
    answer = await api.http.post("/operators", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def sign_in(http: httpx2.AsyncClient, login: str, password: str, **more: Any) -> httpx2.Response:
    body = {"organisation": "demo", "login": login, "password": password}
    return await http.post("/session", json=body, **more)


async def signed_in(api: Api, http: httpx2.AsyncClient, *scopes: str) -> dict[str, Any]:
    """An operator with a password of their own, signed in on `http`."""
    operator = await added(api, *scopes)
    assert (await sign_in(http, operator["login"], operator["oneTimePassword"])).status_code == 201
    own = secrets.token_urlsafe(18)
    changed = await http.post("/session/password", json={"password": operator["oneTimePassword"], "newPassword": own})
    assert changed.status_code == 200, changed.text
    return {**operator, "password": own}


async def row(api: Api, table: str, **where: str) -> Any:
    condition = " AND ".join(f"{name} = :{name}" for name in where)
    async with api.house.db.transaction(DEMO) as session:
        query = text(f"SELECT * FROM {table} WHERE organisation = :organisation AND {condition}")
        return await session.first(query, **where)


async def moved_back(api: Api, session_id: str, column: str, by: timedelta) -> None:
    """As if so much time had gone by. First its last use is on record: noted later, it would undo this."""
    async with asyncio.timeout(10):
        while (kept := await row(api, "sessions", id=session_id)).last_seen_at == kept.created_at:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with api.house.db.transaction(DEMO) as session:
        statement = f"UPDATE sessions SET {column} = {column} - CAST(:by AS interval) WHERE id = :id"
        assert await session.run(text(statement), by=by, id=session_id) == 1


async def audited(api: Api, subject: str) -> list[str]:
    events = (await api.http.get("/audit", params={"limit": 200})).json()["items"]
    return [e["action"] for e in events if e["subject"] == subject]


async def test_who_signs_in_acts_under_an_id_that_names_nobody(api: Api) -> None:
    async with browser(api) as http:
        operator = await signed_in(api, http, "operator", "builder")
        who = (await http.get("/session")).json()
        assert (who["kind"], who["name"], who["scopes"]) == ("session", operator["id"], ["builder", "operator"])
        assert (await http.put("/customers/cust_s", json={"name": "N", "plan": "pro", "status": "active"})).is_success
        shown = await api.http.get("/audit", params={"limit": 200})
    actors = {e["actor"] for e in shown.json()["items"] if e["action"] == "customer.stored"}
    assert operator["id"] in actors
    assert operator["login"] not in shown.text
    assert set(await audited(api, operator["id"])) == {"operator.added", "operator.password_changed"}
    assert {"session.started"} <= set(await audited(api, who["sessionId"]))


async def test_the_cookie_is_bound_to_this_host_and_no_script_reads_it(api: Api) -> None:
    operator = await added(api)
    async with browser(api, local=False) as http:
        given = await sign_in(http, operator["login"], operator["oneTimePassword"])
        cookie = given.headers["set-cookie"]
        assert re.match(r"__Host-holdfast_session=hf_ses_[\w-]{43};", cookie)
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "domain" not in cookie.lower()
        assert given.headers["cache-control"] == "no-store"
        assert (await http.get("/session")).json()["name"] == operator["id"]
    async with browser(api) as http:
        cookie = (await sign_in(http, operator["login"], operator["oneTimePassword"])).headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert "Secure" not in cookie


async def test_neither_password_nor_token_is_stored(api: Api) -> None:
    async with browser(api) as http:
        operator = await signed_in(api, http)
        token = http.cookies[COOKIE]
    kept = await row(api, "operators", id=operator["id"])
    assert kept.password_hash.startswith("$argon2id$")
    assert operator["password"] not in str(kept)
    async with api.house.db.transaction(DEMO) as session:
        rows = await session.all(text("SELECT * FROM sessions WHERE organisation = :organisation"))
    assert rows
    assert token not in str(rows)
    assert token[7:] not in str(rows)


async def test_a_one_time_password_is_good_for_choosing_another_and_nothing_else(api: Api) -> None:
    operator = await added(api, "admin")
    async with browser(api) as http:
        begun = await sign_in(http, operator["login"].upper(), operator["oneTimePassword"])
        assert begun.json()["passwordChangeNeeded"]
        for path in ("/interactions", "/keys", "/customers/cust_123"):
            problem_of(await http.get(path), 403, "password_change_needed")
        for weak, reason in (("passwordpassword", "common"), ("aaaaaaaaaaaaab", "too_simple")):
            body = {"password": operator["oneTimePassword"], "newPassword": weak}
            refused = problem_of(await http.post("/session/password", json=body), 422, "request_invalid")
            assert refused["reason"] == reason
        body = {"password": operator["oneTimePassword"], "newPassword": "x" * 11}
        problem_of(await http.post("/session/password", json=body), 422, "validation_failed")
        own = {"password": operator["oneTimePassword"], "newPassword": "a long enough phrase"}
        assert (await http.post("/session/password", json=own)).status_code == 200
        assert (await http.get("/interactions")).status_code == 200
        problem_of(await sign_in(http, operator["login"], operator["oneTimePassword"]), 401, "sign_in_failed")


async def test_changing_the_password_ends_every_other_session(api: Api) -> None:
    async with browser(api) as here, browser(api) as there:
        operator = await signed_in(api, here)
        assert (await sign_in(there, operator["login"], operator["password"])).status_code == 201
        body = {"password": operator["password"], "newPassword": "another good phrase"}
        assert (await here.post("/session/password", json=body)).status_code == 200
        assert (await here.get("/session")).status_code == 200
        problem_of(await there.get("/session"), 401, "session_over")


async def test_a_session_that_was_signed_out_is_over_even_for_who_kept_the_cookie(api: Api) -> None:
    async with browser(api) as http:
        await signed_in(api, http)
        kept, who = http.cookies[COOKIE], (await http.get("/session")).json()
        out = await http.delete("/session")
        assert out.status_code == 204
        assert f'{COOKIE}=""' in out.headers["set-cookie"]
        problem_of(await http.get("/session", headers={"Cookie": f"{COOKIE}={kept}"}), 401, "session_over")
    assert (await audited(api, who["sessionId"]))[0] == "session.ended"


async def test_a_session_nobody_uses_is_over(api: Api) -> None:
    async with browser(api) as http:
        await signed_in(api, http)
        who = (await http.get("/session")).json()
        await moved_back(api, who["sessionId"], "idle_until", timedelta(minutes=29))
        assert (await http.get("/session")).status_code == 200
        await moved_back(api, who["sessionId"], "idle_until", timedelta(minutes=2))
        problem_of(await http.get("/session"), 401, "session_over")


async def test_a_session_is_over_after_twelve_hours_however_much_it_is_used(api: Api, postgres: PostgresServer) -> None:
    async with browser(api) as http:
        await signed_in(api, http)
        who = (await http.get("/session")).json()
        with postgres.owner(api.house.settings.database_url) as owner:  # the application itself cannot
            moved = "UPDATE sessions SET expires_at = expires_at - interval '12 hours 1 second' WHERE id = %s"
            assert owner.execute(moved, [who["sessionId"]]).rowcount == 1
        problem_of(await http.get("/session"), 401, "session_over")


async def test_disabling_an_operator_ends_the_session_at_once_and_scopes_change_at_once(api: Api) -> None:
    async with browser(api) as http:
        operator = await signed_in(api, http, "operator")
        path = f"/operators/{operator['id']}"
        problem_of(await http.get("/audit"), 403, "scope_missing")
        assert (await api.http.patch(path, json={"scopes": ["auditor"]})).status_code == 200
        assert (await http.get("/audit")).status_code == 200
        assert (await api.http.patch(path, json={"enabled": False})).json()["enabled"] is False
        problem_of(await http.get("/audit"), 401, "session_over")
        problem_of(await sign_in(http, operator["login"], operator["password"]), 401, "sign_in_failed")
        assert (await api.http.patch(path, json={"enabled": True})).json()["enabled"] is True
        problem_of(await http.get("/audit"), 401, "session_over")
        assert (await sign_in(http, operator["login"], operator["password"])).status_code == 201


async def test_a_reset_password_replaces_the_forgotten_one(api: Api) -> None:
    async with browser(api) as http:
        operator = await signed_in(api, http)
        new = (await api.http.post(f"/operators/{operator['id']}/reset")).json()["oneTimePassword"]
        problem_of(await http.get("/session"), 401, "session_over")
        problem_of(await sign_in(http, operator["login"], operator["password"]), 401, "sign_in_failed")
        assert (await sign_in(http, operator["login"], new)).json()["passwordChangeNeeded"]


async def test_admins_do_not_shut_themselves_out(api: Api) -> None:
    async with browser(api) as http:
        admin = await signed_in(api, http, "admin")
        assert (await http.post("/session/step-up", json={"password": admin["password"]})).status_code == 200
        for body in ({"enabled": False}, {"scopes": ["operator"]}):
            problem_of(await http.patch(f"/operators/{admin['id']}", json=body), 409, "conflict")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X-Holdfast-Csrf": ""}, "header_missing"),
        ({"Sec-Fetch-Site": "cross-site"}, "cross_site"),
        ({"Sec-Fetch-Site": "same-site"}, "cross_site"),
        ({"Sec-Fetch-Site": "none"}, "cross_site"),
        ({"Origin": "https://evil.example.com"}, "other_origin"),
        ({"Origin": "null"}, "other_origin"),
        ({"Origin": "http://localhost.evil.example.com"}, "other_origin"),
        ({"Origin": "http://localhost:81"}, "other_origin"),
    ],
)
async def test_what_another_page_sends_with_the_cookie_changes_nothing(
    api: Api, headers: dict[str, str], reason: str
) -> None:
    async with browser(api) as http:
        await signed_in(api, http, "builder")
        body = {"name": "Forged", "plan": "pro", "status": "active"}
        refused = await http.put("/customers/cust_csrf", json=body, headers=headers)
        assert problem_of(refused, 403, "csrf_refused")["reason"] == reason
        assert (await http.get("/customers/cust_csrf", headers=headers)).status_code == 404
        if reason != "header_missing":
            forced = await sign_in(http, "somebody", "some password", headers=headers)
            problem_of(forced, 403, "csrf_refused")


async def test_what_our_own_page_sends_is_served(api: Api) -> None:
    """Negative control."""
    body = {"name": "Ours", "plan": "pro", "status": "active"}
    async with browser(api, console_url="https://desk.example.com/console") as http:
        await signed_in(api, http, "builder")
        for headers in (
            {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
            {"Origin": "http://localhost"},
            {"Origin": "https://desk.example.com"},
            {},
        ):
            assert (await http.put("/customers/cust_ours_page", json=body, headers=headers)).is_success


async def test_two_session_cookies_are_none_and_a_key_counts_more_than_a_cookie(api: Api) -> None:
    async with browser(api) as http:
        await signed_in(api, http, "auditor")
        token = http.cookies[COOKIE]
        for planted in (f"{COOKIE}={token}; {COOKIE}=x", f"{COOKIE}=x; {COOKIE}={token}", f"{COOKIE}="):
            http.cookies.clear()
            problem_of(await http.get("/audit", headers={"Cookie": planted}), 401, "session_over")
        weak = bearer(await api.house.key("ingest"))
        sent = {**weak, "Cookie": f"{COOKIE}={token}"}
        problem_of(await http.get("/audit", headers=sent), 403, "scope_missing")
        assert (await http.get("/audit", headers={"Cookie": f"{COOKIE}={token}"})).status_code == 200


async def test_a_failure_says_nothing_about_the_account(api: Api) -> None:
    operator, disabled = await added(api), await added(api)
    await api.http.patch(f"/operators/{disabled['id']}", json={"enabled": False})
    async with browser(api) as http:
        told = {
            (answer.status_code, answer.content)
            for answer in (
                await sign_in(http, operator["login"], "wrong"),
                await sign_in(http, "nobody@example.com", "wrong"),
                await sign_in(http, disabled["login"], disabled["oneTimePassword"]),
                await http.post(
                    "/session", json={"organisation": "no such", "login": operator["login"], "password": "wrong"}
                ),
            )
        }
    assert len(told) == 1
    assert {status for status, _ in told} == {401}


@pytest.mark.parametrize("exists", [True, False])
async def test_failing_again_and_again_makes_the_account_wait_even_with_the_right_password(
    api: Api, exists: bool
) -> None:
    operator = await added(api)
    login = operator["login"] if exists else f"no-{secrets.token_hex(4)}@example.com"
    async with browser(api) as http:
        for _ in range(FREE_TRIES["account"] + 1):
            problem_of(await sign_in(http, login, "wrong"), 401, "sign_in_failed")
        waits = await sign_in(http, login, operator["oneTimePassword"])
        problem_of(waits, 429, "rate_limited")
        assert int(waits.headers["retry-after"]) == 1
        other = await added(api)
        assert (await sign_in(http, other["login"], other["oneTimePassword"])).status_code == 201
    if exists:
        assert {"session.refused", "account.locked"} <= set(await audited(api, operator["id"]))


async def test_the_wait_doubles_up_to_a_quarter_hour_and_success_ends_it(api: Api) -> None:
    at, waits = datetime(2026, 1, 1, tzinfo=UTC), list[float]()
    async with api.house.db.transaction(OrganisationId("waits")) as session:
        throttles = ThrottleRepository(session)
        for _ in range(20):
            may, until = await throttles.try_once("account", "k", at)
            assert may
            waits.append((until - at).total_seconds())
            at = until
        assert (await throttles.try_once("account", "k", at - timedelta(seconds=1)))[0] is False
        await throttles.forgive("account", "k")
        assert await throttles.try_once("account", "k", at) == (True, at)
        await throttles.forget(at + timedelta(hours=25))
        assert await throttles.blocked_until("account", "k") is None
    assert waits == [0] * 5 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] + [900] * 5


async def test_many_tries_at_once_are_all_counted(api: Api) -> None:
    operator = await added(api)
    async with browser(api) as http:
        answers = await asyncio.gather(*(sign_in(http, operator["login"], "wrong") for _ in range(20)))
    statuses = [a.status_code for a in answers]
    assert statuses.count(401) <= FREE_TRIES["account"] + 2
    assert set(statuses) == {401, 429}


async def test_an_address_that_fails_for_many_accounts_waits_and_a_proxy_does_not(api: Api) -> None:
    logins = [f"spray-{n}@example.com" for n in range(FREE_TRIES["address"] + 2)]
    operator = await added(api)
    async with browser(api, "203.0.113.50") as http:
        statuses = [(await sign_in(http, login, "wrong")).status_code for login in logins]
        assert statuses[-1] == 429
        assert set(statuses[: FREE_TRIES["address"]]) == {401}
        problem_of(await sign_in(http, operator["login"], operator["oneTimePassword"]), 429, "rate_limited")
        forged = {"X-Forwarded-For": "198.51.100.9", "X-Real-IP": "198.51.100.9"}
        problem_of(await sign_in(http, operator["login"], "x", headers=forged), 429, "rate_limited")
    async with browser(api, "203.0.113.50", proxy_addresses="203.0.113.50") as http:
        assert (await sign_in(http, operator["login"], operator["oneTimePassword"])).status_code == 201


async def test_nothing_that_is_kept_about_failures_names_anybody(api: Api) -> None:
    login = f"secret-{secrets.token_hex(4)}@example.com"
    async with browser(api, "203.0.113.77") as http:
        await sign_in(http, login, "wrong")
    async with api.house.db.transaction(DEMO) as session:
        kept = [
            str(await session.all(text(f"SELECT * FROM {table} WHERE organisation = :organisation")))
            for table in ("audit_events", "sign_in_throttles")
        ]
    assert all("session.refused" in kept[0] and "account" in kept[1] for _ in kept)
    assert not [k for k in kept if login in k or "203.0.113.77" in k]


async def test_keys_and_operators_need_the_password_once_more(api: Api) -> None:
    async with browser(api) as http:
        admin = await signed_in(api, http, "admin")
        who = (await http.get("/session")).json()
        await moved_back(api, who["sessionId"], "stepped_up_at", timedelta(minutes=6))
        for path, body in (
            ("/keys", {"name": "x", "scopes": ["operator"]}),
            ("/keys/key_missing0/rotate", {}),
            ("/operators", {"login": "eve@example.com", "scopes": ["admin"]}),
            ("/operators/opr_missing0/reset", None),
        ):
            assert problem_of(await http.post(path, json=body), 403, "step_up_needed")["within"] == "PT5M"
        problem_of(await http.post("/session/step-up", json={"password": "wrong"}), 401, "sign_in_failed")
        before = http.cookies[COOKIE]
        assert (await http.post("/session/step-up", json={"password": admin["password"]})).status_code == 200
        assert http.cookies[COOKIE] != before
        problem_of(await http.post("/keys/key_missing0/rotate", json={}), 404, "key_not_found")
        http.cookies.clear()
        problem_of(await http.get("/session", headers={"Cookie": f"{COOKIE}={before}"}), 401, "session_over")
    assert "session.stepped_up" in await audited(api, who["sessionId"])


async def test_a_use_keeps_a_session_from_going_idle(api: Api) -> None:
    async with browser(api) as http:
        await signed_in(api, http)
        who = (await http.get("/session")).json()
        await moved_back(api, who["sessionId"], "last_seen_at", timedelta(minutes=20))
        await moved_back(api, who["sessionId"], "idle_until", timedelta(minutes=20))
    async with browser(api) as again:  # a process that has not noted this session a moment ago
        before = (await row(api, "sessions", id=who["sessionId"])).idle_until
        sent = {"Cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
        assert (await again.get("/session", headers=sent)).status_code == 200
        async with asyncio.timeout(10):
            while (await row(api, "sessions", id=who["sessionId"])).idle_until == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_T5_nobody_writes_what_the_server_owns_of_people_keys_and_tokens(api: Api) -> None:
    operator = await added(api)
    await api.house.customer("cust_t5_token")
    owned = (
        "id",
        "organisation",
        "createdBy",
        "passwordHash",
        "oneTimeUntil",
        "disabledAt",
        "lastUsedAt",
        "steppedUpAt",
    )
    for method, path, body in (
        ("POST", "/keys", {"name": "t5", "scopes": ["ingest"]}),
        ("POST", "/keys/key_missing0/rotate", {}),
        ("POST", "/operators", {"login": "t5@example.com", "scopes": ["operator"]}),
        ("PATCH", f"/operators/{operator['id']}", {"scopes": ["operator"]}),
        ("POST", "/session/step-up", {"password": "x"}),
        ("POST", "/customers/cust_t5_token/tokens", {}),
    ):
        for name in owned:
            answer = await api.http.request(method, path, json={**body, name: "x"})
            assert problem_of(answer, 422, "validation_failed")["errors"][0]["field"] == name, path
    begun = {"organisation": "demo", "login": operator["login"], "password": operator["oneTimePassword"]}
    for name in ("scopes", "operatorId", "expiresAt"):
        problem_of(await api.http.post("/session", json={**begun, name: "x"}), 422, "validation_failed")
    shown = (await api.http.get("/operators", params={"limit": 200})).json()["items"]
    assert [o["scopes"] for o in shown if o["id"] == operator["id"]] == [["operator"]]
