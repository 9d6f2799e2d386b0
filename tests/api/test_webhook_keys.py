"""W-1 from the outside: an endpoint that asks for it is signed with a key pair beside the secret."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from adapters.signing import SignatureInvalid, verify
from domain.values import OrganisationId
from schema.webhook_secrets import WebhookSecretRepository
from tests.api.conftest import Api
from tests.api.test_webhooks import pinged, subscribed, until
from tests.api.wire import problem_of
from tests.receiver import Heard, Receiver, receiver

DEMO = OrganisationId("demo")
BOTH = "v1+v1a"


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as world:
        yield world


def raw(key: str) -> bytes:
    assert key.startswith("whpk_")
    return base64.b64decode(key.removeprefix("whpk_"), validate=True)


def is_signed(heard: Heard, key: str) -> bool:
    """By whoever has the other half of this key."""
    try:
        verify([], heard.headers, heard.body, datetime.now(UTC), public_keys=[raw(key)])
    except SignatureInvalid:
        return False
    return True


async def heard(api: Api, hook: Receiver, webhook_id: str) -> Heard:
    await until(api, await pinged(api, webhook_id), "delivered")
    return hook.heard[-1]


async def patched(api: Api, webhook_id: str, **changes: Any) -> dict[str, Any]:
    answer = await api.http.patch(f"/webhooks/{webhook_id}", json=changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_who_does_not_ask_is_signed_with_the_secret_alone(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    assert (created["signing"], created["publicKeys"], created["version"]) == ("v1", [], 1)
    assert (await heard(api, hook, created["id"])).headers["webhook-signature"].count(",") == 1


async def test_who_asks_is_signed_in_both_ways_and_the_public_key_is_always_shown(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url, signing=BOTH)
    [key] = created["publicKeys"]
    assert len(raw(key)) == 32
    told = await heard(api, hook, created["id"])
    assert [part.split(",")[0] for part in told.headers["webhook-signature"].split(" ")] == ["v1", "v1a"]
    assert Webhook(created["secret"]).verify(told.body, told.headers)["type"] == "ping"
    assert is_signed(told, key)
    for path in (f"/webhooks/{created['id']}", "/webhooks"):
        shown = await api.http.get(path)
        assert key in shown.text
        assert "whsec_" not in shown.text
        assert "whsk_" not in shown.text


async def test_the_private_half_is_stored_sealed_only(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url, signing=BOTH)
    async with api.house.db.transaction(DEMO) as session:
        [pair] = await WebhookSecretRepository(session).active(created["id"], "signing_key", datetime.now(UTC))
    assert raw(created["publicKeys"][0]) not in pair.sealed


async def test_after_a_rotation_both_pairs_sign_until_the_older_one_ends(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url, signing=BOTH)
    rotated = (await api.http.post(f"/webhooks/{created['id']}/rotate")).json()
    new, old = rotated["publicKeys"]
    assert [old] == created["publicKeys"]
    told = await heard(api, hook, created["id"])
    assert (is_signed(told, old), is_signed(told, new)) == (True, True)
    assert Webhook(rotated["secret"]).verify(told.body, told.headers)["type"] == "ping"

    async with api.house.db.transaction(DEMO) as session:  # a day later
        past = datetime.now(UTC) - timedelta(seconds=1)
        secrets = WebhookSecretRepository(session)
        [kept, _] = await secrets.active(created["id"], "signing_key", datetime.now(UTC))
        await secrets.expire_others(created["id"], "signing_key", kept.id, past)
    assert (await api.http.get(f"/webhooks/{created['id']}")).json()["publicKeys"] == [new]
    later = await heard(api, hook, created["id"])
    assert (is_signed(later, old), is_signed(later, new)) == (False, True)


async def test_it_is_turned_on_and_off_and_on_again_with_another_pair(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    on = await patched(api, created["id"], signing=BOTH)
    assert is_signed(await heard(api, hook, created["id"]), on["publicKeys"][0])
    off = await patched(api, created["id"], signing="v1")
    assert off["publicKeys"] == []
    told = await heard(api, hook, created["id"])
    assert not is_signed(told, on["publicKeys"][0])
    assert Webhook(created["secret"]).verify(told.body, told.headers)["type"] == "ping"
    again = await patched(api, created["id"], signing=BOTH)
    assert len(again["publicKeys"]) == 1
    assert again["publicKeys"] != on["publicKeys"]
    same = await patched(api, created["id"], signing=BOTH, description="nothing new")
    assert same["publicKeys"] == again["publicKeys"]


async def test_each_change_is_a_version_and_who_changed_an_older_one_hears_it(api: Api, hook: Receiver) -> None:
    created = await subscribed(api, hook.url)
    changed = await patched(api, created["id"], signing=BOTH, expectedVersion=1)
    assert changed["version"] == 2
    late = await api.http.patch(f"/webhooks/{created['id']}", json={"signing": "v1", "expectedVersion": 1})
    told = problem_of(late, 409, "conflict")
    assert (told["reason"], told["version"]) == ("stale_version", 2)
    shown = (await api.http.get(f"/webhooks/{created['id']}")).json()
    assert (shown["version"], shown["signing"], shown["publicKeys"]) == (2, BOTH, changed["publicKeys"])
    async with api.house.db.transaction(DEMO) as session:
        rows = await session.all(
            text("SELECT details FROM audit_events WHERE subject = :id AND action = 'webhook.changed'"),
            id=created["id"],
        )
    [on_record] = [row.details for row in rows]
    assert [on_record[when]["signing"] for when in ("before", "after")] == ["v1", BOTH]
    assert [on_record[when]["version"] for when in ("before", "after")] == [1, 2]


async def test_what_is_no_scheme_or_cannot_be_signed_is_refused(api: Api, hook: Receiver) -> None:
    body = {"url": hook.url, "eventTypes": ["ping"]}
    for scheme in ("v1a", "v2", "", "V1", None, ["v1"]):
        answer = await api.http.post("/webhooks", json={**body, "signing": scheme})
        problem_of(answer, 422, "validation_failed")
    chat = await api.http.post("/webhooks", json={**body, "kind": "chat", "signing": BOTH})
    problem_of(chat, 422, "request_invalid")
