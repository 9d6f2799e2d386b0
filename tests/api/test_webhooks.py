"""Webhooks from the outside: subscribed, signed, tried, rotated, switched off."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from adapters.signing import verify
from domain.values import DeliveryId, OrganisationId
from domain.webhook import DomainEvent, EndpointKind, EventType
from schema.deliveries import DeliveryRepository
from schema.delivery_attempts import AttemptRepository
from schema.events import EventRepository
from schema.webhook_limits import MOST_WEBHOOKS
from schema.webhook_secrets import WebhookSecretRepository
from schema.webhooks import WebhookRepository, new_endpoint_id
from tests.api.conftest import Api
from tests.api.test_auth import bearer
from tests.api.wire import problem_of
from tests.receiver import Receiver, receiver

DEMO = OrganisationId("demo")


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as world:
        yield world


async def subscribed(api: Api, url: str, *events: str, **fields: Any) -> dict[str, Any]:
    body = {"url": url, "eventTypes": list(events or ("ping",)), **fields}
    answer = await api.http.post("/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def pinged(api: Api, webhook_id: str) -> str:
    answer = await api.http.post(f"/webhooks/{webhook_id}/test")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["deliveryId"])


async def until(api: Api, delivery_id: str, status: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while shown.get("status") != status:
            shown = (await api.http.get(f"/deliveries/{delivery_id}")).json()
            await asyncio.sleep(0.02)
    return shown


async def test_a_ping_arrives_signed_and_the_record_says_so(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    delivery = await until(api, await pinged(api, created["id"]), "delivered")
    (heard,) = hook.heard
    told = Webhook(created["secret"]).verify(heard.body, heard.headers)
    assert (told["type"], told["data"]["id"], told["data"]["sequence"]) == ("ping", created["id"], 1)
    assert heard.id == delivery["webhookId"]
    assert heard.body.decode() == delivery["payload"]
    assert [(e["status"], e["attempt"], e["responseStatus"]) for e in delivery["history"]] == [
        ("attempting", 1, None),
        ("delivered", 1, 204),
    ]


async def test_the_secret_is_shown_once_and_stored_sealed(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    raw = base64.b64decode(created["secret"].removeprefix("whsec_"))
    for path in (f"/webhooks/{created['id']}", "/webhooks"):
        assert "whsec_" not in (await api.http.get(path)).text
    async with api.house.db.transaction(DEMO) as session:
        (sealed,) = await WebhookSecretRepository(session).active(created["id"], "signing", datetime.now(UTC))
    assert raw not in sealed.sealed
    assert len(raw) == 32


async def test_after_a_rotation_both_secrets_sign(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    rotated = (await api.http.post(f"/webhooks/{created['id']}/rotate")).json()
    assert rotated["secret"] != created["secret"]
    await until(api, await pinged(api, created["id"]), "delivered")
    (heard,) = hook.heard
    for secret in (created["secret"], rotated["secret"]):
        assert Webhook(secret).verify(heard.body, heard.headers)["type"] == "ping"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(base64.b64encode(b"x" * 32).decode()).verify(heard.body, heard.headers)


async def test_410_switches_the_endpoint_off_and_the_delivery_is_a_dead_letter(api: Api, hook: Receiver) -> None:
    """W-3"""
    hook.faults.append("410 Gone")
    created = await subscribed(api, hook.url)
    dead = await until(api, await pinged(api, created["id"]), "dead_letter")
    assert (dead["reason"], dead["owner"], dead["attempts"]) == ("gone", "builders", 1)
    shown = (await api.http.get(f"/webhooks/{created['id']}")).json()
    assert (shown["enabled"], shown["disabledReason"]) == (False, "gone")
    problem_of(await api.http.post(f"/webhooks/{created['id']}/test"), 409, "conflict")
    notes = (await api.http.get("/notifications")).json()["items"]
    assert created["id"] in [n["subject"] for n in notes if n["kind"] == "webhook.disabled"]

    assert (await api.http.patch(f"/webhooks/{created['id']}", json={"enabled": True})).json()["enabled"] is True
    redriven = await api.http.post(f"/deliveries/{dead['id']}/redrive", json={})
    assert redriven.status_code == 200, redriven.text
    delivered = await until(api, dead["id"], "delivered")
    assert [h.id for h in hook.heard] == [delivered["webhookId"]] * 2
    assert (delivered["round"], delivered["attempts"]) == (1, 2)


async def test_of_two_people_redriving_one_is_first_and_the_other_hears_who(api: Api, hook: Receiver) -> None:
    hook.faults.append("410 Gone")
    created = await subscribed(api, hook.url)
    dead = await until(api, await pinged(api, created["id"]), "dead_letter")
    keys = [await api.house.key("operator", name=f"{name} {dead['id']}") for name in ("ana", "ben")]
    path = f"/deliveries/{dead['id']}/redrive"
    answers = await asyncio.gather(*(api.http.post(path, json={}, headers=bearer(keys[n % 2])) for n in range(10)))
    winners = [a for a in answers if a.status_code == 200]
    losers = [a for a in answers if a.status_code == 409]
    assert len(winners) + len(losers) == 10
    decided_by = {a.json()["decidedBy"] for a in winners}
    # A word that comes when the first round has ended again begins another.
    again = await until(api, dead["id"], "dead_letter")  # it is still switched off
    assert again["reason"] == "endpoint_disabled"
    assert 1 <= len(decided_by) <= again["round"]
    for answer in losers:
        told = problem_of(answer, 409, "conflict")
        assert told["by"] in decided_by
        assert told["at"]


async def test_a_discarded_one_is_never_sent_and_keeps_the_note(api: Api, hook: Receiver) -> None:
    hook.faults.append("410 Gone")
    created = await subscribed(api, hook.url)
    dead = await until(api, await pinged(api, created["id"]), "dead_letter")
    path = f"/deliveries/{dead['id']}/discard"
    first = await api.http.post(path, json={"note": "no longer needed"})
    assert (first.status_code, first.json()["status"]) == (200, "discarded")
    assert (await api.http.post(path, json={"note": "no longer needed"})).status_code == 200
    problem_of(await api.http.post(path, json={"note": "other words"}), 409, "conflict")
    problem_of(await api.http.post(f"/deliveries/{dead['id']}/redrive", json={}), 409, "conflict")
    assert first.json()["history"][-1]["details"] == {"note": "no longer needed"}
    problem_of(await api.http.post(path, json={}), 422, "validation_failed")


async def test_bulk_redrive_says_first_what_it_would_do(api: Api, hook: Receiver) -> None:
    hook.faults.append("410 Gone")
    created = await subscribed(api, hook.url)
    dead = await until(api, await pinged(api, created["id"]), "dead_letter")
    chosen = {"filter": {"endpointId": created["id"]}}
    told = (await api.http.post("/dead-letters/redrive", json=chosen)).json()
    assert told == {"dryRun": True, "count": 1, "ids": [dead["id"]], "more": False}
    assert (await api.http.get(f"/deliveries/{dead['id']}")).json()["status"] == "dead_letter"
    assert len(hook.heard) == 1
    await api.http.patch(f"/webhooks/{created['id']}", json={"enabled": True})
    done = (await api.http.post("/dead-letters/redrive", json={**chosen, "dryRun": False})).json()
    assert done == {"dryRun": False, "count": 1, "ids": [dead["id"]], "more": False}
    await until(api, dead["id"], "delivered")
    assert (await api.http.post("/dead-letters/redrive", json=chosen)).json()["count"] == 0


async def test_bulk_redrive_leaves_out_what_may_have_arrived_and_is_not_stuck_behind_it(api: Api) -> None:
    at = datetime.now(UTC)
    async with api.house.db.transaction(DEMO) as session:
        endpoint_id = new_endpoint_id()
        webhooks = WebhookRepository(session)
        await webhooks.create(endpoint_id, EndpointKind.WEBHOOK, "https://example.com/", ["ping"], "", "olga", at)
        endpoint = await webhooks.get(endpoint_id)
        ids: list[DeliveryId] = []
        for n in range(202):
            event = DomainEvent(EventType.PING, endpoint_id, at + timedelta(seconds=n - 300), key=str(n))
            ids += await EventRepository(session).record_for(event, endpoint)
            await AttemptRepository(session).refuse(ids[n], "outcome_unknown" if n else "smtp_550", "builders", at)
            await DeliveryRepository(session).mark_told(ids[n], at)

    async def dry(**more: str) -> tuple[int, list[str], bool]:
        body = {"filter": {"endpointId": endpoint_id, **more}}
        told = (await api.http.post("/dead-letters/redrive", json=body)).json()
        return told["count"], told["ids"], told["more"]

    assert await dry() == (1, [ids[0]], False)
    assert await dry(reason="outcome_unknown") == (200, ids[:1:-1], True)
    assert await dry(reason="smtp_550") == (1, [ids[0]], False)


async def test_lists_filter_and_dead_letters_are_a_list_of_their_own(api: Api, hook: Receiver) -> None:
    hook.faults.append("410 Gone")
    created = await subscribed(api, hook.url)
    dead = await until(api, await pinged(api, created["id"]), "dead_letter")
    for path, params, found in (
        ("/deliveries", {"endpointId": created["id"]}, True),
        ("/deliveries", {"endpointId": created["id"], "status": "delivered"}, False),
        ("/deliveries", {"channel": "webhook", "status": "dead_letter"}, True),
        ("/deliveries", {"channel": "email"}, False),
        ("/dead-letters", {"endpointId": created["id"]}, True),
        ("/dead-letters", {"reason": "gone"}, True),
        ("/dead-letters", {"reason": "bounced"}, False),
    ):
        items = (await api.http.get(path, params=params)).json()["items"]
        assert (dead["id"] in [i["id"] for i in items]) is found, (path, params)


async def test_the_list_says_what_went_wrong_last_until_it_arrives(api: Api, hook: Receiver) -> None:
    hook.faults.append("503 Slow\r\nRetry-After: 2")
    created = await subscribed(api, hook.url)
    waiting = await pinged(api, created["id"])

    async def listed() -> dict[str, Any]:
        params = {"endpointId": created["id"]}
        (item,) = (await api.http.get("/deliveries", params=params)).json()["items"]
        return dict(item)

    async with asyncio.timeout(20):
        while True:
            if (await listed())["lastFailure"]:
                break
            await asyncio.sleep(0.02)
    shown = await listed()
    assert (shown["status"], shown["reason"], shown["lastFailure"]) == ("pending", None, "http_503")
    assert (await api.http.get(f"/deliveries/{waiting}")).json()["lastFailure"] == "http_503"
    await until(api, waiting, "delivered")
    assert (await listed())["lastFailure"] is None


async def test_a_chat_room_gets_a_line_and_its_address_is_never_shown(api: Api, hook: Receiver) -> None:
    url = f"http://127.0.0.1:{hook.port}/services/T000/B000/secret"
    created = await subscribed(api, url, "ping", kind="chat")
    assert created["secret"] is None
    assert created["url"] == f"http://127.0.0.1:{hook.port}/…"
    await until(api, await pinged(api, created["id"]), "delivered")
    (heard,) = hook.heard
    assert heard.path == "/services/T000/B000/secret"
    assert heard.body.startswith(b'{"text":"This is where notifications arrive')
    problem_of(await api.http.post(f"/webhooks/{created['id']}/rotate"), 409, "conflict")


async def test_a_deleted_one_is_gone_and_gets_nothing_more(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    assert (await api.http.delete(f"/webhooks/{created['id']}")).status_code == 204
    problem_of(await api.http.get(f"/webhooks/{created['id']}"), 404, "not_found")
    problem_of(await api.http.post(f"/webhooks/{created['id']}/test"), 404, "not_found")
    assert created["id"] not in (await api.http.get("/webhooks")).text


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://10.0.0.1/hook",
        "https://localhost/hook",
        "https://user:pass@example.com/hook",
        "https://2130706433/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest",
    ],
)
async def test_X4_an_address_that_is_not_public_cannot_be_subscribed(api: Api, url: str) -> None:
    answer = await api.http.post("/webhooks", json={"url": url, "eventTypes": ["ping"]})
    assert problem_of(answer, 422, "request_invalid")["fields"] == ["url"]


async def test_what_nobody_is_ever_told_cannot_be_subscribed_to(api: Api, hook: Receiver) -> None:
    body = {"url": hook.url, "eventTypes": ["ping", "customer.created"]}
    told = problem_of(await api.http.post("/webhooks", json=body), 422, "request_invalid")
    assert (told["fields"], told["unknown"]) == (["eventTypes"], ["customer.created"])


async def test_notifications_are_read_by_each_reader_for_themselves(api: Api, hook: Receiver) -> None:
    hook.faults.append("410 Gone")
    created = await subscribed(api, hook.url)
    await until(api, await pinged(api, created["id"]), "dead_letter")
    ana, ben = [bearer(await api.house.key("operator")) for _ in range(2)]

    async def unread(who: dict[str, str]) -> list[str]:
        items = (await api.http.get("/notifications", params={"unread": True}, headers=who)).json()["items"]
        return [n["id"] for n in items if n["subject"] == created["id"]]

    before = await unread(ana)
    assert len(before) == 2  # switched off, and a dead letter
    for notification_id in before:
        for _ in range(2):
            read = await api.http.post(f"/notifications/{notification_id}/read", headers=ana)
            assert read.json()["readAt"]
    assert await unread(ana) == []
    assert await unread(ben) == before
    problem_of(await api.http.post("/notifications/ntf_missing0/read"), 404, "not_found")


def signature_of(heard_headers: dict[str, str], secret: str, body: bytes) -> str:
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    return verify([raw], heard_headers, body, datetime.now(UTC))


async def test_W1_our_own_verifier_takes_what_we_send(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    await until(api, await pinged(api, created["id"]), "delivered")
    (heard,) = hook.heard
    assert signature_of(heard.headers, created["secret"], heard.body) == heard.id


async def test_an_organisation_has_fifty_webhooks_at_most_however_many_ask_at_once(api: Api) -> None:
    key = {"Authorization": f"Bearer {await api.house.key('admin', organisation='crowded')}"}
    body = {"url": "http://127.0.0.1:9/", "eventTypes": ["ping"]}
    answers = [await api.http.post("/webhooks", json=body, headers=key) for _ in range(MOST_WEBHOOKS - 1)]
    answers += await asyncio.gather(*[api.http.post("/webhooks", json=body, headers=key) for _ in range(4)])
    assert Counter(answer.status_code for answer in answers) == {201: MOST_WEBHOOKS, 409: 3}
    (refused, *_) = [answer.json() for answer in answers if answer.status_code == 409]
    assert (refused["code"], refused["reason"], refused["most"]) == ("conflict", "too_many_webhooks", MOST_WEBHOOKS)
    gone = answers[0].json()["id"]
    assert (await api.http.delete(f"/webhooks/{gone}", headers=key)).status_code == 204
    assert (await api.http.post("/webhooks", json=body, headers=key)).status_code == 201


async def test_port_zero_is_no_address(api: Api) -> None:
    answer = await api.http.post("/webhooks", json={"url": "https://example.com:0/", "eventTypes": ["ping"]})
    problem_of(answer, 422, "request_invalid")
