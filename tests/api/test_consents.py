"""What a customer says about a channel, over HTTP, and that it decides what leaves."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.consent import MessageClass
from domain.values import CustomerId, DeliveryId
from schema.deliveries import DeliveryRepository, NewDelivery
from tests.api.conftest import Api
from tests.api.wire import problem_of
from tests.house import DEMO, UNTIL_S


async def said(api: Api, name: str, status: str, **fields: Any) -> dict[str, Any]:
    answer = await api.http.put(f"/customers/{name}/consents/email", json={"status": status, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def is_held(shown: dict[str, Any]) -> bool:
    """It waits for the customer's morning, on a machine where these tests run at night."""
    return [event["code"] for event in shown["history"]][-1:] == ["quiet_hours"]


async def mailed(api: Api, name: str, message: MessageClass) -> dict[str, Any]:
    """A mail to them, once it is known what became of it."""
    async with api.house.db.transaction(DEMO) as session:
        delivery_id: DeliveryId = await DeliveryRepository(session).add(
            NewDelivery(
                interaction_id=None, customer_id=CustomerId(name), purpose=f"test_{secrets.token_hex(4)}",
                channel="email", body="Tomorrow at 9.", at=datetime.now(UTC), message_class=message,
                sent_by_workflow=True,
            )
        )  # fmt: skip
    await api.house.send(delivery_id)
    async with asyncio.timeout(UNTIL_S):
        while True:
            shown: dict[str, Any] = (await api.http.get(f"/deliveries/{delivery_id}")).json()
            if shown["status"] != "pending" or is_held(shown):
                return shown
            await asyncio.sleep(0.05)


async def test_the_last_word_is_shown_with_who_wrote_it_down(api: Api) -> None:
    await api.house.customer("cust_c1")
    assert (await api.http.get("/customers/cust_c1/consents")).json()["items"] == []
    first = await said(api, "cust_c1", "granted", note="by phone", expectedVersion=0)
    assert (first["status"], first["note"], first["version"], first["saidBy"]) == ("granted", "by phone", 1, "local")
    assert await said(api, "cust_c1", "granted", note="by phone") == first, "the same again is no new word"
    second = await said(api, "cust_c1", "withdrawn", expectedVersion=1)
    assert second["version"] == 2
    assert (await api.http.get("/customers/cust_c1/consents")).json()["items"] == [second]
    stale = await api.http.put("/customers/cust_c1/consents/email", json={"status": "granted", "expectedVersion": 1})
    assert problem_of(stale, 409, "conflict")["version"] == 2
    page = (await api.http.get("/audit", params={"action": "consent.changed"})).json()["items"]
    ours = [e["details"] for e in page if e["details"]["channel"] == "email"]
    assert {"channel": "email", "status": "withdrawn", "version": 2} in ours
    assert "cust_c1" not in str(page)


async def test_of_two_at_once_one_is_first(api: Api) -> None:
    await api.house.customer("cust_c2")
    answers = await asyncio.gather(
        *(
            api.http.put("/customers/cust_c2/consents/email", json={"status": status, "expectedVersion": 0})
            for status in ("granted", "withdrawn", "blocked")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/customers/cust_nobody/consents/email", {"status": "granted"}, 404, "customer_not_found"),
        ("/customers/cust_c3/consents/pigeon", {"status": "granted"}, 400, "path_invalid"),
        ("/customers/cust_c3/consents/email", {"status": "maybe"}, 422, "validation_failed"),
        ("/customers/cust_c3/consents/email", {}, 422, "validation_failed"),
    ],
)
async def test_what_is_refused(api: Api, path: str, body: dict[str, Any], status: int, code: str) -> None:
    await api.house.customer("cust_c3")
    problem_of(await api.http.put(path, json=body), status, code)


async def test_nobody_reads_of_a_customer_who_is_not_there(api: Api) -> None:
    problem_of(await api.http.get("/customers/cust_nobody/consents"), 404, "customer_not_found")


async def test_blocked_stops_the_next_mail_and_granted_lets_our_own_ideas_go(api: Api) -> None:
    await api.house.customer("cust_c4", email="c4@example.com")
    shown = await mailed(api, "cust_c4", MessageClass.PROACTIVE)
    assert (shown["status"], shown["reason"]) == ("dead_letter", "consent_missing")
    await said(api, "cust_c4", "granted")
    shown = await mailed(api, "cust_c4", MessageClass.PROACTIVE)
    assert shown["status"] == "delivered" or is_held(shown)
    assert (await mailed(api, "cust_c4", MessageClass.TRANSACTIONAL))["status"] == "delivered"
    await said(api, "cust_c4", "blocked")
    shown = await mailed(api, "cust_c4", MessageClass.TRANSACTIONAL)
    assert (shown["status"], shown["reason"], shown["attempts"]) == ("dead_letter", "channel_blocked", 0)
