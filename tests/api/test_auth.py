"""Who is calling: the key says it, and nothing else does."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from api.auth import key_hash
from api.main import create_app
from domain.values import OrganisationId
from schema.api_keys import ApiKeyRepository
from tests.api.conftest import Api
from tests.api.wire import problem_of

OPEN = {
    *("/healthz", "/readyz", "/errors", "/errors/{code}", "/approvals/{token}"),
    *("/session/oidc", "/session/oidc/callback/{providerId}"),
}
"""What anybody may ask. A signed link is a credential of its own."""
SIGN_IN = ("post", "/session")
"""Who signs in has nothing yet but a password."""


async def stranger(api: Api, path: str = "/interactions", **headers: str) -> httpx2.Response:
    """A call from another machine."""
    app = create_app(api.house.settings, api.house.temporal)
    transport = httpx2.ASGITransport(app=app, client=("203.0.113.7", 4711))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        return await http.get(path, headers=headers)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer nonsense", "Basic dXNlcjpwYXNz", "hf_live_x", "Bearer a b", "Bearer kl\u00fc", "Digest x"],
)
async def test_a_wrong_credential_is_401_even_on_this_machine(api: Api, header: str) -> None:
    answer = await api.http.get("/interactions", headers=[(b"Authorization", header.encode("latin-1"))])
    problem_of(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_T4_two_credentials_are_none(api: Api) -> None:
    key = await api.house.key("admin")
    assert (await api.http.get("/interactions", headers=bearer(key))).status_code == 200
    for other in (key, "nonsense"):
        twice = [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {other}")]
        problem_of(await api.http.get("/interactions", headers=twice), 401, "not_authenticated")


async def test_a_revoked_or_expired_key_is_refused_and_told_so(api: Api) -> None:
    now = datetime.now(UTC)
    expired, revoked = (f"hf_test_{secrets.token_urlsafe(32)}" for _ in range(2))
    await api.house.key("admin")
    async with api.house.db.transaction(OrganisationId("demo")) as session:
        keys = ApiKeyRepository(session)
        await keys.issue("expired", ["admin"], key_hash(expired), now, expires_at=now - timedelta(seconds=1))
        issued = await keys.issue("revoked", ["admin"], key_hash(revoked), now)
    assert (await api.http.get("/interactions", headers=bearer(revoked))).status_code == 200
    async with api.house.db.transaction(OrganisationId("demo")) as session:
        assert await ApiKeyRepository(session).revoke(issued.id, now)
    for key, code in ((expired, "key_expired"), (revoked, "key_revoked")):
        answer = await api.http.get("/interactions", headers=bearer(key))
        problem_of(answer, 401, code)
        assert answer.headers["www-authenticate"] == "Bearer"


CUSTOMER = {"name": "N", "plan": "pro", "status": "active"}
INVOICE = {"total": {"amount": 1, "currency": "EUR"}, "status": "open"}
MESSAGE = {"customerId": "cust_scopes", "message": "hello"}
EVERYBODY = {"ingest", "operator", "builder", "auditor"}
"""A key has no session, which is 404 where one is needed; it may ask who it is."""
ALLOWED: dict[tuple[str, str], tuple[str, Any, set[str]]] = {
    ("post", "/chat"): ("/chat", MESSAGE, {"ingest", "customer"}),
    ("post", "/proposals"): ("/proposals", {"customerId": "cust_scopes", "reply": "Hello."}, {"ingest"}),
    ("get", "/decisions"): ("/decisions", None, {"operator", "auditor"}),
    ("get", "/decisions/{decisionId}"): ("/decisions/dec_missing0", None, {"operator", "auditor"}),
    ("post", "/decisions/{decisionId}/approve"): (
        "/decisions/dec_missing0/approve", {"digest": "0" * 64}, {"operator"}),
    ("post", "/decisions/{decisionId}/reject"): ("/decisions/dec_missing0/reject", {}, {"operator"}),
    ("post", "/decisions/evaluate"): (
        "/decisions/evaluate", {"cases": [{"facts": {}}]}, {"operator", "auditor", "builder"}),
    ("get", "/interactions"): ("/interactions", None, {"operator", "auditor", "customer"}),
    ("get", "/interactions/{interactionId}"): (
        "/interactions/int_missing0", None, {"ingest", "operator", "auditor", "customer"}),
    ("post", "/interactions/{interactionId}/verify"): (
        "/interactions/int_missing0/verify", {"code": "000000"}, {"ingest", "customer"}),
    ("post", "/interactions/{interactionId}/code"): ("/interactions/int_missing0/code", None, {"ingest", "customer"}),
    ("put", "/customers/{customerId}"): ("/customers/cust_scopes", CUSTOMER, {"builder"}),
    ("get", "/customers/{customerId}"): ("/customers/cust_scopes", None, {"operator", "builder", "auditor"}),
    ("get", "/customers/{customerId}/invoices"): (
        "/customers/cust_scopes/invoices", None, {"operator", "builder", "auditor"}),
    ("post", "/customers/{customerId}/erase"): ("/customers/cust_missing/erase", {}, {"admin"}),
    ("get", "/erasures/{erasureId}"): ("/erasures/ers_missing0", None, {"operator", "auditor"}),
    ("get", "/customers/{customerId}/export"): ("/customers/cust_scopes/export", None, {"operator", "auditor"}),
    ("post", "/codec/decode"): ("/codec/decode", {"payloads": []}, {"auditor"}),
    ("get", "/effects/{effectId}"): ("/effects/eff_missing0", None, {"operator", "auditor"}),
    ("get", "/customers/{customerId}/effects"): ("/customers/cust_scopes/effects", None, {"operator", "auditor"}),
    ("get", "/customers/{customerId}/consents"): (
        "/customers/cust_scopes/consents", None, {"operator", "builder", "auditor"}),
    ("put", "/customers/{customerId}/consents/{channel}"): (
        "/customers/cust_scopes/consents/email", {"status": "granted"}, {"operator", "builder"}),
    ("put", "/customers/{customerId}/invoices/{invoiceId}"): (
        "/customers/cust_scopes/invoices/inv_1", INVOICE, {"builder"}),
    ("post", "/handoffs/{handoffId}/priority"): (
        "/handoffs/hnd_missing0/priority", {"priority": "high"}, {"operator"}),
    ("get", "/calendars"): ("/calendars", None, {"builder", "operator", "auditor"}),
    ("get", "/calendars/{calendarId}"): ("/calendars/none", None, {"builder", "operator", "auditor"}),
    ("put", "/calendars/{calendarId}"): (
        "/calendars/scopes", {"timeZone": "UTC", "openingHours": "24/7"}, {"builder"}),
    ("get", "/calendars/{calendarId}/week"): (
        "/calendars/none/week?from=2026-11-23", None, {"builder", "operator", "auditor"}),
    ("post", "/calendars/{calendarId}/due"): (
        "/calendars/none/due",
        {"from": "2026-11-23T00:00:00Z", "duration": "PT1H"},
        {"builder", "operator", "auditor"},
    ),
    ("get", "/handoffs"): ("/handoffs", None, {"operator", "auditor"}),
    ("get", "/handoffs/{handoffId}"): ("/handoffs/hnd_missing0", None, {"operator", "auditor"}),
    ("post", "/handoffs/{handoffId}/approve"): ("/handoffs/hnd_missing0/approve", {"digest": "0" * 64}, {"operator"}),
    ("post", "/handoffs/{handoffId}/reject"): ("/handoffs/hnd_missing0/reject", {}, {"operator"}),
    ("post", "/handoffs/{handoffId}/resolve"): ("/handoffs/hnd_missing0/resolve", {"reply": "x"}, {"operator"}),
    ("post", "/handoffs/{handoffId}/claim"): ("/handoffs/hnd_missing0/claim", None, {"operator"}),
    ("post", "/handoffs/{handoffId}/release"): ("/handoffs/hnd_missing0/release", None, {"operator"}),
    ("post", "/handoffs/{handoffId}/reassign"): ("/handoffs/hnd_missing0/reassign", {"to": "x"}, {"operator"}),
    ("post", "/handoffs/{handoffId}/notes"): ("/handoffs/hnd_missing0/notes", {"note": "x"}, {"operator"}),
    ("post", "/handoffs/{handoffId}/presence"): ("/handoffs/hnd_missing0/presence", None, {"operator"}),
    ("post", "/handoffs/{handoffId}/links"): ("/handoffs/hnd_missing0/links", {}, {"operator"}),
    ("get", "/conversations"): ("/conversations", None, {"operator", "auditor"}),
    ("get", "/conversations/{conversationId}"): ("/conversations/cnv_missing0", None, {"operator", "auditor"}),
    ("post", "/conversations/{conversationId}/takeover"): ("/conversations/cnv_missing0/takeover", {}, {"operator"}),
    ("post", "/conversations/{conversationId}/release"): ("/conversations/cnv_missing0/release", None, {"operator"}),
    ("post", "/conversations/{conversationId}/close"): ("/conversations/cnv_missing0/close", None, {"operator"}),
    ("post", "/conversations/{conversationId}/messages"): (
        "/conversations/cnv_missing0/messages", {"message": "x"}, {"operator"}),
    ("get", "/deliveries"): ("/deliveries", None, {"operator", "auditor"}),
    ("get", "/dead-letters"): ("/dead-letters", None, {"operator", "auditor"}),
    ("get", "/deliveries/{deliveryId}"): ("/deliveries/dlv_missing0", None, {"operator", "auditor"}),
    ("post", "/delivery-reports"): ("/delivery-reports", {"report": "no report"}, {"ingest", "builder"}),
    ("post", "/deliveries/{deliveryId}/redrive"): ("/deliveries/dlv_missing0/redrive", {}, {"operator"}),
    ("post", "/deliveries/{deliveryId}/discard"): ("/deliveries/dlv_missing0/discard", {"note": "x"}, {"operator"}),
    ("post", "/dead-letters/redrive"): ("/dead-letters/redrive", {"filter": {"reason": "none"}}, {"operator"}),
    ("post", "/webhooks"): ("/webhooks", {"url": "https://example.com/", "eventTypes": ["ping"]}, {"builder"}),
    ("get", "/webhooks"): ("/webhooks", None, {"builder", "operator", "auditor"}),
    ("get", "/webhooks/{webhookId}"): ("/webhooks/whk_missing0", None, {"builder", "operator", "auditor"}),
    ("patch", "/webhooks/{webhookId}"): ("/webhooks/whk_missing0", {"enabled": False}, {"builder"}),
    ("delete", "/webhooks/{webhookId}"): ("/webhooks/whk_missing0", None, {"builder"}),
    ("post", "/webhooks/{webhookId}/rotate"): ("/webhooks/whk_missing0/rotate", None, {"builder"}),
    ("post", "/webhooks/{webhookId}/test"): ("/webhooks/whk_missing0/test", None, {"builder"}),
    ("get", "/notifications"): ("/notifications", None, {"operator", "builder"}),
    ("post", "/notifications/{notificationId}/read"): (
        "/notifications/ntf_missing0/read", None, {"operator", "builder"}),
    ("post", "/customers/{customerId}/tokens"): ("/customers/cust_scopes/tokens", {}, {"ingest"}),
    ("delete", "/customers/{customerId}/tokens"): ("/customers/cust_none/tokens", None, {"ingest"}),
    ("get", "/retention"): ("/retention", None, {"auditor"}),
    ("put", "/retention"): ("/retention", {"days": {"messages": 400}}, {"admin"}),
    ("get", "/retention/due"): ("/retention/due", None, {"auditor"}),
    ("post", "/holds"): ("/holds", {"customerId": "cust_scopes", "reason": "x"}, {"admin"}),
    ("get", "/holds"): ("/holds", None, {"auditor"}),
    ("get", "/holds/{holdId}"): ("/holds/hld_missing0", None, {"auditor"}),
    ("post", "/holds/{holdId}/release"): ("/holds/hld_missing0/release", {"note": "x"}, {"admin"}),
    ("get", "/customers/{customerId}/channels"): (
        "/customers/cust_scopes/channels", None, {"ingest", "operator", "auditor"}),
    ("post", "/customers/{customerId}/channels"): (
        "/customers/cust_scopes/channels", {"kind": "email", "address": "x@example.com"}, {"ingest"}),
    ("post", "/customers/{customerId}/channels/{channelId}/verify"): (
        "/customers/cust_scopes/channels/chn_missing0/verify", {"code": "000000"}, {"ingest"}),
    ("delete", "/customers/{customerId}/channels/{channelId}"): (
        "/customers/cust_scopes/channels/chn_missing0", None, {"ingest"}),
    ("get", "/keys"): ("/keys", None, {"admin"}),
    ("post", "/keys"): ("/keys", {"name": "of the table", "scopes": ["ingest"]}, {"admin"}),
    ("post", "/keys/{keyId}/rotate"): ("/keys/key_missing0/rotate", {}, {"admin"}),
    ("delete", "/keys/{keyId}"): ("/keys/key_missing0", None, {"admin"}),
    ("get", "/operators"): ("/operators", None, {"admin"}),
    ("post", "/operators"): ("/operators", {"login": "of-the-table", "scopes": ["operator"]}, {"admin"}),
    ("patch", "/operators/{operatorId}"): ("/operators/opr_missing0", {"enabled": False}, {"admin"}),
    ("post", "/operators/{operatorId}/reset"): ("/operators/opr_missing0/reset", None, {"admin"}),
    ("get", "/identity-provider"): ("/identity-provider", None, {"admin"}),
    ("put", "/identity-provider"): (
        "/identity-provider", {"issuer": "https://idp.example.com", "clientId": "of-the-table"}, {"admin"}),
    ("get", "/operators/{operatorId}/identity"): ("/operators/opr_missing0/identity", None, {"admin"}),
    ("put", "/operators/{operatorId}/identity"): (
        "/operators/opr_missing0/identity", {"subject": "of-the-table"}, {"admin"}),
    ("delete", "/operators/{operatorId}/identity"): ("/operators/opr_missing0/identity", None, {"admin"}),
    ("get", "/session"): ("/session", None, EVERYBODY),
    ("post", "/session/oidc/step-up"): ("/session/oidc/step-up", {}, EVERYBODY),
    ("delete", "/session"): ("/session", None, EVERYBODY),
    ("post", "/session/step-up"): ("/session/step-up", {"password": "x"}, EVERYBODY),
    ("post", "/session/password"): (
        "/session/password", {"password": "x", "newPassword": "x" * 12}, EVERYBODY),
    ("get", "/metrics/dashboard"): ("/metrics/dashboard", None, {"operator", "auditor"}),
    ("get", "/audit"): ("/audit", None, {"auditor"}),
    ("get", "/audit/export.json"): ("/audit/export.json", None, {"auditor"}),
    ("get", "/audit/export.csv"): ("/audit/export.csv", None, {"auditor"}),
    ("get", "/audit/verify"): ("/audit/verify", None, {"auditor"}),
    ("get", "/audit/public-key"): ("/audit/public-key", None, {"auditor", "operator"}),
    ("get", "/debug/mail"): ("/debug/mail", None, {"admin"}),
    ("get", "/debug/mail/{name}"): (f"/debug/mail/{'0' * 32}", None, {"admin"}),
    ("get", "/debug/outbox"): ("/debug/outbox", None, {"admin"}),
}  # fmt: skip
"""Every operation: a request for it, and the scopes that may; `admin` may everything."""
SCOPES = ("ingest", "operator", "builder", "auditor", "admin")


async def test_T1_every_operation_of_the_contract_is_in_the_table_of_scopes(api: Api) -> None:
    paths = (await api.http.get("/openapi.json")).json()["paths"]
    served = {(method, path) for path, methods in paths.items() for method in methods if path not in OPEN}
    served.remove(SIGN_IN)
    assert served == ALLOWED.keys()


IDENTITY = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Real-IP": "127.0.0.1",
    "Forwarded": "for=127.0.0.1",
    "X-Forwarded-Host": "localhost",
    "X-Forwarded-Proto": "https",
    "X-User": "admin",
    "X-User-Id": "admin",
    "X-Tenant": "demo",
    "X-Organisation": "demo",
    "X-Remote-User": "admin",
    "Remote-User": "admin",
    "X-Original-URL": "/healthz",
    "X-HTTP-Method-Override": "GET",
    "X-Api-Key": "admin",
    "Cookie": "session=admin",
}


async def test_T4_no_header_makes_a_stranger_somebody(api: Api) -> None:
    problem_of(await stranger(api), 401, "not_authenticated")
    for name, value in IDENTITY.items():
        problem_of(await stranger(api, **{name: value}), 401, "not_authenticated")


async def test_T4_no_header_changes_whose_key_it_is(api: Api) -> None:
    await api.house.customer("cust_demo_only")
    theirs = bearer(await api.house.key("auditor", organisation="elsewhere"))
    plain = await api.http.get("/customers/cust_demo_only", headers=theirs)
    assert plain.status_code == 404
    for name, value in IDENTITY.items():
        answer = await api.http.get("/customers/cust_demo_only", headers={**theirs, name: value})
        assert (answer.status_code, answer.content) == (plain.status_code, plain.content)
        overridden = await api.http.put("/customers/cust_x", json=CUSTOMER, headers={**theirs, name: value})
        problem_of(overridden, 403, "scope_missing")


async def test_without_a_key_only_this_machine_itself_is_let_in(api: Api) -> None:
    assert (await api.http.get("/interactions")).status_code == 200
    assert (await api.http.get("/interactions", headers={"Host": "localhost:8000"})).status_code == 200
    assert (await api.http.get("/interactions", headers={"Host": "[::1]:8000"})).status_code == 200
    for headers in (
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"Host": "rebound.example.com"},
        {"Host": "127.0.0.1.example.com"},
        {"Host": "localhost@example.com"},
        {"Host": ""},
    ):
        problem_of(await api.http.get("/interactions", headers=headers), 401, "not_authenticated")


async def test_a_web_page_cannot_make_a_browser_write_here(api: Api) -> None:
    """What a browser sends without asking first is no JSON; what it asks for first is not granted."""
    page = {"Origin": "https://example.com"}
    simple = await api.http.post("/chat", content=b"{}", headers={**page, "Content-Type": "text/plain"})
    problem_of(simple, 415, "media_type_unsupported")
    for origin in ("https://example.com", "null", "http://localhost.example.com", "http://[", ""):
        bare = await api.http.post("/handoffs/hnd_missing0/claim", headers={"Origin": origin})
        problem_of(bare, 401, "not_authenticated")
    own = await api.http.post("/handoffs/hnd_missing0/claim", headers={"Origin": "http://localhost:5173"})
    problem_of(own, 404, "handoff_not_found")
    asked = await api.http.options(
        "/chat",
        headers={**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"},
    )
    assert asked.status_code == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]
