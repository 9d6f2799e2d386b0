"""Two organisations with one of everything each, and every way to stand before the door."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from api.auth import key_hash
from domain.values import CustomerId, InteractionId, OrganisationId
from domain.webhook import NewNotification, NotificationKind
from schema.api_keys import ApiKeyRepository
from schema.channels import ChannelRepository
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.notifications import NotificationRepository
from schema.page import Position, encode
from tests.api.conftest import Api
from tests.api.test_auth import ALLOWED, SCOPES, bearer

OURS, THEIRS = OrganisationId("demo"), OrganisationId("elsewhere")
CANARY = {OURS: "Quillfeather", THEIRS: "Brambleworth"}
"""In every text of an organisation that takes words: whoever reads it read something of theirs."""

NOT_AN_OBJECT = {"channel": "email"}


@dataclass
class Seed:
    """What one organisation has, by the names of path parameters."""

    organisation: OrganisationId
    admin: str
    objects: dict[str, str] = field(default_factory=dict)
    spare: dict[str, str] = field(default_factory=dict)
    """A second customer and calendar, for whoever makes one of the same name."""

    def path(self, template: str, chosen: Mapping[str, str] | None = None) -> str:
        named = {**self.objects, **NOT_AN_OBJECT, **(chosen or {})}
        return re.sub(r"\{(\w+)\}", lambda found: named[found[1]], template)

    @property
    def cursor(self) -> str:
        """A place in one of this organisation's lists."""
        return encode_cursor(self.objects["interactionId"])


def encode_cursor(object_id: str) -> str:
    """A place in a list, made of nothing but a time and the id of a row."""
    return encode(Position(datetime(2026, 11, 1, tzinfo=UTC), object_id))


def absent(like: str) -> str:
    """An id nobody has, built like one that somebody has: what refuses the one for its shape refuses the other."""
    prefix, word = like[:4], like[4:]
    if _ISSUED.fullmatch(like):
        return prefix + "0" * len(word)
    return "f" * len(like) if len(set(like)) == 1 else prefix + word[::-1]


def parameters(template: str) -> list[str]:
    """The path parameters that name an object."""
    return [name for name in re.findall(r"\{(\w+)\}", template) if name not in NOT_AN_OBJECT]


async def seeded(api: Api, organisation: OrganisationId) -> Seed:
    """One of everything, through the door where there is one."""
    key = await api.house.key("admin", organisation=organisation, name=f"seed of {organisation}")
    seed = Seed(organisation, key)
    word = CANARY[organisation]
    customer, invoice, calendar = f"cust_{word.lower()}", f"inv_{word.lower()}", f"cal-{word.lower()}"
    seed.objects = {"customerId": customer, "invoiceId": invoice, "calendarId": calendar}
    seed.spare = {"customerId": f"{customer}2", "calendarId": f"{calendar}2"}

    async def told(method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await api.http.request(method, path, json=body, headers=bearer(key))
        assert answer.status_code < 300, (path, answer.text)
        return dict(answer.json())

    person = {"name": word, "email": f"{word}@example.com", "plan": "pro", "status": "active"}
    for name in (customer, seed.spare["customerId"]):
        await told("PUT", f"/customers/{name}", person)
    bill = {"total": {"amount": 4_900, "currency": "EUR"}, "status": "paid", "description": word}
    bill["paidAt"] = (datetime.now(UTC) - timedelta(days=5)).isoformat()
    await told("PUT", f"/customers/{customer}/invoices/{invoice}", bill)
    await told("PUT", f"/customers/{customer}/consents/email", {"status": "granted"})
    for name in (calendar, seed.spare["calendarId"]):
        await told("PUT", f"/calendars/{name}", {"timeZone": "UTC", "openingHours": "24/7"})
    forgotten = f"{customer}3"
    await told("PUT", f"/customers/{forgotten}", person)
    erasure = await told("POST", f"/customers/{forgotten}/erase", {"requestId": "of the seed"})
    held = await told("POST", "/holds", {"customerId": customer, "reason": word})
    another_key = await told("POST", "/keys", {"name": word, "scopes": ["ingest"]})
    operator = await told("POST", "/operators", {"login": f"{word.lower()}@example.com", "scopes": ["operator"]})
    await told("PUT", "/identity-provider", ALLOWED["put", "/identity-provider"][1])
    await told("PUT", f"/operators/{operator['id']}/identity", {"subject": f"of-the-table {word}"})
    refund = await told("POST", "/chat", {"customerId": customer, "message": f"refund please, {word}"})
    asked = await told("POST", "/chat", {"customerId": customer, "message": f"I want to talk to a human. {word}"})
    effects = (await told("GET", f"/customers/{customer}/effects"))["items"]
    hook = await told("POST", "/webhooks", {"url": f"https://{word}.example.com/", "eventTypes": ["ping"]})
    assert refund["interactionId"] != asked["interactionId"]
    decisions = (await told("GET", f"/decisions?interactionId={asked['interactionId']}"))["items"]
    seed.objects |= {
        "interactionId": asked["interactionId"],
        "conversationId": asked["conversationId"],
        "handoffId": asked["handoff"]["id"],
        "effectId": effects[0]["id"],
        "decisionId": decisions[0]["id"],
        "webhookId": hook["id"],
        "erasureId": erasure["id"],
        "keyId": another_key["id"],
        "holdId": held["id"],
        "operatorId": operator["id"],
        **await _behind_the_door(api, organisation, customer, asked["interactionId"]),
    }
    return seed


async def _behind_the_door(api: Api, organisation: OrganisationId, customer: str, interaction: str) -> dict[str, str]:
    """What no request makes at once: a delivery that arrived, and a notification."""
    now, word = datetime.now(UTC), CANARY[organisation]
    async with api.house.db.transaction(organisation) as session:
        deliveries = DeliveryRepository(session)
        new = NewDelivery(
            interaction_id=InteractionId(interaction),
            customer_id=CustomerId(customer),
            purpose="news",
            channel="chat",
            body=word,
            at=now,
        )
        delivery = await deliveries.add(new)
        await deliveries.mark(delivery, DeliveryStatus.DELIVERED, now)
        await NotificationRepository(session).notify(NewNotification(NotificationKind.PING, "whk_1", now))
        notification = (await NotificationRepository(session).list("ana")).items[0].id
        channel = await ChannelRepository(session).add(CustomerId(customer), "email", word, "ana", now)
    return {"deliveryId": delivery, "notificationId": notification, "channelId": channel.id}


@dataclass(frozen=True)
class Door:
    """Somebody who calls, by what they send."""

    name: str
    headers: dict[str, str]
    organisation: OrganisationId | None
    scope: str | None

    @property
    def is_known(self) -> bool:
        return self.organisation is not None


async def doors(api: Api, theirs: Seed) -> list[Door]:
    """Nobody, each scope, an administrator of the other organisation, and keys that were good once."""
    now = datetime.now(UTC)
    found = [Door(scope, bearer(await api.house.key(scope)), OURS, scope) for scope in SCOPES]
    found.append(Door("admin of the other one", bearer(theirs.admin), THEIRS, "admin"))
    # Passed on by somebody: the one-machine stack lets in only who is on the machine itself.
    found.append(Door("nobody", {"Via": "1.1 proxy"}, None, None))
    expired, revoked = (f"hf_test_{secrets.token_urlsafe(32)}" for _ in range(2))
    async with api.house.db.transaction(OURS) as session:
        keys = ApiKeyRepository(session)
        await keys.issue("once", ["admin"], key_hash(expired), now, expires_at=now - timedelta(seconds=1))
        issued = await keys.issue("gone", ["admin"], key_hash(revoked), now)
        assert await keys.revoke(issued.id, now)
    return [
        *found,
        Door("expired key", bearer(expired), None, None),
        Door("revoked key", bearer(revoked), None, None),
    ]


UNEQUAL = {"date", "content-length", "ratelimit"}
"""Headers that differ with the moment, the length of an id, and how much the caller has asked already."""
_ISSUED = re.compile(r"[a-z]{3}_[0-9a-f]{16,}")
_MADE = re.compile(r"\"version\":\d+|\b[a-z]{3}_[0-9A-Za-z]{16,}|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)|whsec_[\w+/=]+")


def as_told(answer: httpx2.Response, *sent: str) -> tuple[int, list[tuple[str, str]], str]:
    """An answer without what the caller itself sent in it, and without what was made for it: ids, times, versions."""
    text = answer.text
    for value in sorted(sent, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", "…", text)
    headers = sorted((n, v) for n, v in answer.headers.items() if n not in UNEQUAL)
    return answer.status_code, headers, _MADE.sub("-", text)
