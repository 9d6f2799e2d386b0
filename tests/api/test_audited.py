"""Who did what, or was not let: every operation that changes something is in the table, and on record when it ran."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api.denials import Denial, Denials
from api.lately import Lately
from domain.consent import MessageClass
from domain.values import CustomerId, DeliveryId
from schema.api_keys import ApiKeyRepository
from schema.base import new_id
from schema.deliveries import DeliveryRepository, NewDelivery
from schema.delivery_attempts import AttemptRepository
from schema.session import Database
from tests.api.conftest import Api
from tests.api.test_auth import ALLOWED, CUSTOMER, EVERYBODY, INVOICE, bearer
from tests.api.wire import problem_of
from tests.house import DEMO
from tests.schema.given import ACME, NOW

CANARY = "jane.canary@example.com"
WEBHOOK = {"url": "http://127.0.0.1:9/", "eventTypes": ["ping"]}
CALENDAR = {"timeZone": "UTC", "openingHours": "24/7"}


async def handoff(api: Api) -> str:
    """A large refund waits for two people."""
    asked = await api.house.chat(f"refund please, {CANARY}", customer_id=await api.customer(150_000))
    return str(asked.json()["handoff"]["id"])


async def conversation(api: Api) -> str:
    asked = await api.house.chat("hello", customer_id=await api.customer())
    return str(asked.json()["conversationId"])


async def dead_letter(api: Api) -> DeliveryId:
    customer_id = await api.customer()
    async with api.house.db.transaction(DEMO) as session:
        new = NewDelivery(
            interaction_id=None, customer_id=CustomerId(customer_id), purpose=new_id("why"), channel="email",
            body=CANARY, at=datetime.now(UTC), message_class=MessageClass.TRANSACTIONAL, sent_by_workflow=True,
        )  # fmt: skip
        delivery_id = await DeliveryRepository(session).add(new)
        await AttemptRepository(session).refuse(delivery_id, "no_address", "operators", datetime.now(UTC))
        await DeliveryRepository(session).mark_told(delivery_id, datetime.now(UTC))
    return delivery_id


async def webhook(api: Api) -> str:
    return str((await api.http.post("/webhooks", json=WEBHOOK)).json()["id"])


async def key(api: Api) -> str:
    body = {"name": new_id("key"), "scopes": ["ingest"]}
    return str((await api.http.post("/keys", json=body)).json()["id"])


async def legal_hold(api: Api) -> str:
    body = {"customerId": await api.customer(), "reason": CANARY}
    return str((await api.http.post("/holds", json=body)).json()["id"])


async def nothing(_: Api) -> str:
    return ""


async def digest(api: Api, handoff_id: str) -> str:
    return str((await api.http.get(f"/handoffs/{handoff_id}")).json()["digest"])


Given = Callable[[Api], Awaitable[str]]
DID: dict[tuple[str, str], tuple[Given, Any, str]] = {
    ("put", "/customers/{customerId}"): (nothing, {**CUSTOMER, "email": CANARY}, "customer.stored"),
    ("put", "/customers/{customerId}/invoices/{invoiceId}"): (
        nothing, {**INVOICE, "description": CANARY}, "invoice.stored"),
    ("put", "/customers/{customerId}/consents/{channel}"): (
        nothing, {"status": "withdrawn", "note": CANARY}, "consent.changed"),
    ("put", "/calendars/{calendarId}"): (nothing, CALENDAR, "calendar.published"),
    ("post", "/handoffs/{handoffId}/claim"): (handoff, None, "handoff.claimed"),
    ("post", "/handoffs/{handoffId}/release"): (handoff, None, "handoff.released"),
    ("post", "/handoffs/{handoffId}/reassign"): (handoff, {"to": "otto"}, "handoff.reassigned"),
    ("post", "/handoffs/{handoffId}/notes"): (handoff, {"note": CANARY}, "handoff.noted"),
    ("post", "/handoffs/{handoffId}/priority"): (handoff, {"priority": "low"}, "handoff.reprioritised"),
    ("post", "/handoffs/{handoffId}/approve"): (handoff, {"note": CANARY}, "handoff.approval_given"),
    ("post", "/handoffs/{handoffId}/reject"): (handoff, {"note": CANARY}, "handoff.rejected"),
    ("post", "/handoffs/{handoffId}/resolve"): (handoff, {"reply": CANARY}, "handoff.resolved"),
    ("post", "/handoffs/{handoffId}/links"): (handoff, {}, "handoff.link_created"),
    ("post", "/conversations/{conversationId}/takeover"): (conversation, {}, "conversation.taken_over"),
    ("post", "/conversations/{conversationId}/release"): (conversation, None, "conversation.released"),
    ("post", "/conversations/{conversationId}/close"): (conversation, None, "conversation.closed"),
    ("post", "/conversations/{conversationId}/messages"): (
        conversation, {"message": CANARY}, "conversation.message_sent"),
    ("post", "/deliveries/{deliveryId}/redrive"): (
        dead_letter, {"correct": {"to": CANARY}}, "delivery.redriven"),
    ("post", "/deliveries/{deliveryId}/discard"): (dead_letter, {"note": CANARY}, "delivery.discarded"),
    ("post", "/dead-letters/redrive"): (
        dead_letter, {"filter": {"reason": "no_address"}, "dryRun": False}, "delivery.redriven"),
    ("post", "/webhooks"): (nothing, {**WEBHOOK, "description": CANARY}, "webhook.created"),
    ("patch", "/webhooks/{webhookId}"): (webhook, {"enabled": False}, "webhook.changed"),
    ("post", "/webhooks/{webhookId}/rotate"): (webhook, None, "webhook.rotated"),
    ("post", "/webhooks/{webhookId}/test"): (webhook, None, "webhook.tested"),
    ("delete", "/webhooks/{webhookId}"): (webhook, None, "webhook.deleted"),
    ("post", "/keys"): (nothing, {"name": "a new key", "scopes": ["ingest"]}, "key.issued"),
    ("post", "/keys/{keyId}/rotate"): (key, {}, "key.rotated"),
    ("delete", "/keys/{keyId}"): (key, None, "key.revoked"),
    ("put", "/retention"): (nothing, {"days": {"messages": 400}}, "retention.changed"),
    ("post", "/holds"): (nothing, {"customerId": "cust_held", "reason": CANARY}, "hold.placed"),
    ("post", "/holds/{holdId}/release"): (legal_hold, {"note": CANARY}, "hold.released"),
    ("get", "/audit/export.json"): (nothing, None, "audit.exported"),
    ("get", "/audit/export.csv"): (nothing, None, "audit.exported"),
}  # fmt: skip
"""What it is done to, what is sent, and what the audit says then."""
NOT_BY_THE_ROUTE = {
    ("post", "/chat"): "the worker records how the interaction ended",
    ("post", "/proposals"): "the worker records how the interaction ended",
    ("post", "/decisions/{decisionId}/approve"): "as the handoff's: tests/e2e/test_proposals.py",
    ("post", "/decisions/{decisionId}/reject"): "as the handoff's: tests/e2e/test_proposals.py",
    ("post", "/decisions/evaluate"): "computes",
    ("post", "/calendars/{calendarId}/due"): "computes",
    ("post", "/delivery-reports"): "on record as what became of the delivery: tests/api/test_reports.py",
    ("post", "/handoffs/{handoffId}/presence"): "says that somebody looks, for a minute",
    ("post", "/notifications/{notificationId}/read"): "one's own mark",
    ("post", "/session"): "tests/api/test_session.py",
    ("delete", "/session"): "tests/api/test_session.py",
    ("post", "/session/step-up"): "tests/api/test_session.py",
    ("post", "/session/password"): "tests/api/test_session.py",
    ("post", "/session/oidc"): "tests/api/test_oidc.py",
    ("post", "/session/oidc/step-up"): "tests/api/test_oidc.py",
    ("put", "/identity-provider"): "tests/api/test_oidc.py",
    ("put", "/operators/{operatorId}/identity"): "tests/api/test_oidc.py",
    ("delete", "/operators/{operatorId}/identity"): "tests/api/test_oidc.py",
    ("post", "/operators"): "tests/api/test_session.py",
    ("patch", "/operators/{operatorId}"): "tests/api/test_session.py",
    ("post", "/operators/{operatorId}/reset"): "tests/api/test_session.py",
    ("post", "/customers/{customerId}/erase"): "tests/e2e/test_erasure.py",
    ("post", "/codec/decode"): "tests/api/test_codec.py",
    ("post", "/customers/{customerId}/tokens"): "tests/api/test_customer_tokens.py",
    ("delete", "/customers/{customerId}/tokens"): "tests/api/test_customer_tokens.py",
    ("post", "/customers/{customerId}/channels"): "tests/api/test_channels.py",
    ("post", "/customers/{customerId}/channels/{channelId}/verify"): "tests/api/test_channels.py",
    ("delete", "/customers/{customerId}/channels/{channelId}"): "tests/api/test_channels.py",
    ("post", "/interactions/{interactionId}/verify"): "tests/e2e/test_identity.py",
    ("post", "/interactions/{interactionId}/code"): "tests/e2e/test_identity.py",
}
BEFORE = {
    "/handoffs/{handoffId}/release": ("release", "claim"),
    "/conversations/{conversationId}/release": ("release", "takeover"),
    "/conversations/{conversationId}/messages": ("messages", "takeover"),
}
"""What must have been called, instead of it."""


async def events(api: Api, actor: str) -> list[Any]:
    async with api.house.db.transaction(DEMO) as session:
        rows = text(
            "SELECT * FROM audit_events WHERE organisation = :organisation AND actor = :actor ORDER BY xact, id"
        )
        return list(await session.all(rows, actor=actor))


async def test_A3_every_operation_that_changes_something_is_in_the_table(api: Api) -> None:
    paths = (await api.http.get("/openapi.json")).json()["paths"]
    changing = {(m, p) for p, methods in paths.items() for m in methods if m != "get"}
    signed = {o for o in changing if o[1] == "/approvals/{token}"}
    """Nobody's key: `tests/e2e/test_approvals.py`."""
    assert changing - signed == {o for o in DID if o[0] != "get"} | NOT_BY_THE_ROUTE.keys()


@pytest.mark.parametrize("operation", DID, ids=lambda o: f"{o[0]} {o[1]}")
async def test_A3_what_was_done_is_on_record_without_a_word_of_anybody(api: Api, operation: tuple[str, str]) -> None:
    (method, path), (given, body, action) = operation, DID[operation]
    who = new_id("who")
    headers = bearer(await api.house.key("admin", name=who))
    if body == {"to": "otto"}:
        await api.house.key("operator", name="otto")
    subject = await given(api)
    there = path.replace("{customerId}", await api.customer()).replace("{invoiceId}", "inv_2")
    there = there.replace("{calendarId}", "office").replace("{channel}", "email")
    for name in ("handoffId", "conversationId", "deliveryId", "webhookId", "keyId", "holdId"):
        there = there.replace(f"{{{name}}}", subject)
    if names := BEFORE.get(path):
        await api.http.post(there.replace(*names), json={}, headers=headers)
    if path.endswith("/approve"):
        body = {**body, "digest": await digest(api, subject)}
    if path == "/holds":
        body = {**body, "customerId": await api.customer()}
    answer = await api.http.request(method, there, json=body, headers=headers)
    assert answer.status_code < 300, answer.text
    did = await events(api, who)
    assert did[-1].action == action
    about = [(e.subject, e.details.get("replaces")) for e in did if e.action == action]
    assert not subject or subject in {one for both in about for one in both}
    assert CANARY not in str(did)


async def test_A3_a_persons_correction_is_told_apart_from_a_persons_answer(api: Api) -> None:
    who = new_id("who")
    headers = bearer(await api.house.key("operator", name=who))
    for body in ({"reply": CANARY}, {"continue": True, "correction": {"intent": "cancellation"}, "note": CANARY}):
        asked = await api.house.chat("I want to talk to a human", customer_id=await api.customer())
        answer = await api.http.post(f"/handoffs/{asked.json()['handoff']['id']}/resolve", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
    said, corrected = await events(api, who)
    assert {said.action, corrected.action} == {"handoff.resolved"}
    assert ("corrected" in said.details, corrected.details["corrected"]) == (False, True)


async def test_A3_a_key_is_issued_and_revoked_on_record(api: Api) -> None:
    async with api.house.db.transaction(DEMO) as session:
        keys, now = ApiKeyRepository(session), datetime.now(UTC)
        issued = await keys.issue("desk 7", ["operator"], b"hash of desk 7", now, expires_at=now + timedelta(days=1))
        assert await keys.revoke(issued.id, now)
        assert not await keys.revoke(issued.id, now)
    about = [e for e in await events(api, "command") if e.subject == issued.id]
    assert [(e.action, e.details["name"]) for e in about] == [("key.issued", "desk 7"), ("key.revoked", "desk 7")]
    assert about[0].details["scopes"] == ["operator"]


@pytest.mark.parametrize(
    "operation", [o for o, (_, _, a) in ALLOWED.items() if a != EVERYBODY], ids=lambda o: f"{o[0]} {o[1]}"
)
async def test_A3_a_denied_attempt_is_on_record(api: Api, operation: tuple[str, str]) -> None:
    path, body, allowed = ALLOWED[operation]
    scope = next(scope for scope in ("builder", "ingest", "auditor") if scope not in allowed)
    who = new_id("who")
    key = await api.house.key(scope, name=who)
    problem_of(await api.http.request(operation[0], path, json=body, headers=bearer(key)), 403, "scope_missing")
    (denied,) = await events(api, who)
    assert (denied.action, denied.subject[:4]) == ("access.denied", "key_")
    assert denied.details == {"reason": "scope_missing", "method": operation[0].upper(), "route": operation[1]}


async def test_A3_a_denial_is_on_record_whatever_serves_the_application(api: Api) -> None:
    """Embedded, without a server that hands it a state."""
    who = new_id("who")
    headers = bearer(await api.house.key("ingest", name=who))
    problem_of(await api.house.http.get("/audit", headers=headers), 403, "scope_missing")
    assert [e.action for e in await events(api, who)] == ["access.denied"]


async def test_A3_who_is_let_through_or_unknown_leaves_no_denial(api: Api) -> None:
    """Negative control, and the hot path."""
    who = new_id("who")
    before = await api.house.count("audit_events WHERE action LIKE '%denied'")
    key = await api.house.key("auditor", name=who)
    assert (await api.http.get("/interactions", headers=bearer(key))).status_code == 200
    problem_of(await api.http.get("/interactions/int_missing0", headers=bearer(key)), 404, "interaction_not_found")
    problem_of(await api.http.get("/interactions", headers=bearer("unknown")), 401, "not_authenticated")
    assert await events(api, who) == []
    assert await api.house.count("audit_events WHERE action LIKE '%denied'") == before


async def test_A3_an_approval_of_what_is_not_on_the_table_is_on_record(api: Api) -> None:
    who, here = new_id("who"), await handoff(api)
    headers = bearer(await api.house.key("operator", name=who))
    for _ in range(3):
        answer = await api.http.post(f"/handoffs/{here}/approve", json={"digest": "0" * 64}, headers=headers)
        problem_of(answer, 409, "approval_stale")
    denied = await events(api, who)
    assert {(e.action, e.subject, e.details["reason"]) for e in denied} == {
        ("handoff.approval_denied", here, "approval_stale")
    }
    assert len(denied) <= 2  # a minute may have ended between


async def test_A3_a_signed_link_that_is_over_names_who_tried(api: Api) -> None:
    who, here = new_id("who"), await handoff(api)
    await api.house.key("operator", name=who)
    link = (await api.http.post(f"/handoffs/{here}/links", json={"approver": who})).json()["url"]
    assert (await api.http.post(link, json={"decision": "reject"})).status_code == 200
    problem_of(await api.http.get(link), 410, "approval_link_over")
    assert not [e for e in await events(api, who) if e.action == "handoff.approval_denied"]
    problem_of(await api.http.post(link, json={"decision": "approve"}), 410, "approval_link_over")
    denied = [e for e in await events(api, who) if e.action == "handoff.approval_denied"]
    assert [(e.subject, e.details["reason"]) for e in denied] == [(here, "approval_link_over")]
    assert link.rsplit("/", 1)[1] not in str(denied)


async def test_A3_a_flood_of_denials_is_one_event_a_minute(api: Api) -> None:
    """300 requests at 20 at a time to many paths of one route."""
    who = new_id("who")
    headers, gate = bearer(await api.house.key("ingest", name=who)), asyncio.Semaphore(20)

    async def knock(n: int) -> httpx2.Response:
        async with gate:
            return await api.http.get(f"/customers/cust_guess{n}", headers=headers)

    answers = await asyncio.gather(*(knock(n) for n in range(300)))
    assert {a.status_code for a in answers} == {403}
    assert 1 <= len(await events(api, who)) <= 2  # a minute may have ended between


async def test_A3_several_processes_collapse_and_the_next_minute_or_route_counts_anew(database: Database) -> None:
    async def count() -> int:
        async with database.transaction(ACME) as session:
            row = await session.first(text("SELECT count(*) AS n FROM audit_events WHERE organisation = :organisation"))
        assert row is not None
        return int(row.n)

    denial = Denial(ACME, "ana", "key_1", "access.denied", "scope_missing", "GET", "/audit")
    one, other = Denials(Lately(most=1)), Denials()
    for process in (one, other, one):
        await process.record(database, denial, NOW)
    assert await count() == 1
    await other.record(database, Denial(ACME, "ana", "key_1", "access.denied", "scope_missing", "GET", "/x"), NOW)
    assert await count() == 2
    await one.record(database, Denial(ACME, "ben", "key_2", "access.denied", "scope_missing", "GET", "/audit"), NOW)
    await one.record(database, denial, NOW)  # forgotten meanwhile, but not by the database
    assert await count() == 3
    await other.record(database, denial, NOW + timedelta(minutes=1))
    assert await count() == 4


async def test_A3_what_was_configured_is_on_record_before_and_after_and_found_under_its_customer(api: Api) -> None:
    customer_id, who = await api.customer(10_000), new_id("who")
    headers = bearer(await api.house.key("admin", name=who))
    account = (await api.http.get(f"/customers/{customer_id}")).json()
    changed = {**account, "plan": "enterprise", "name": CANARY, "email": CANARY}
    del changed["customerId"]
    bill = {"total": {"amount": 7, "currency": "EUR"}, "status": "void", "description": CANARY}
    invoice_id = (await api.http.get(f"/customers/{customer_id}/invoices")).json()["items"][0]["id"]
    await api.http.put(f"/customers/{customer_id}", json=changed, headers=headers)
    await api.http.put(f"/customers/{customer_id}/invoices/{invoice_id}", json=bill, headers=headers)
    hook = await webhook(api)
    await api.http.patch(
        f"/webhooks/{hook}", json={"eventTypes": ["handoff.opened"], "enabled": False}, headers=headers
    )
    await api.http.delete(f"/webhooks/{hook}", headers=headers)
    stored, billed, patched, deleted = [event.details for event in await events(api, who)]
    assert (stored["before"]["plan"], stored["after"]["plan"]) == (account["plan"], "enterprise")
    assert stored["changed"] == ["email", "name", "plan"]
    assert (billed["before"]["total"]["amount"], billed["after"]["total"]["amount"]) == (10_000, 7)
    assert (billed["before"]["status"], billed["after"]["status"]) == ("paid", "void")
    assert (patched["before"]["eventTypes"], patched["after"]["eventTypes"]) == (["ping"], ["handoff.opened"])
    assert (patched["before"]["enabled"], patched["after"]["enabled"]) == (True, False)
    assert deleted["before"] == patched["after"]
    assert CANARY not in str([stored, billed, patched, deleted])
    found = (await api.http.get("/audit", params={"customerId": customer_id})).json()["items"]
    assert {"customer.stored", "invoice.stored"} <= {event["action"] for event in found}
    other = (await api.http.get("/audit", params={"customerId": await api.customer(5)})).json()["items"]
    assert not {event["id"] for event in found} & {event["id"] for event in other}
