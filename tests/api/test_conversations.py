"""The routes of conversations: what they take, what they refuse, and what is recorded of them."""

from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Api
from tests.api.wire import problem_of
from tests.house import DEMO as _DEMO


async def talk(api: Api, message: str = "hello") -> dict[str, Any]:
    customer = await api.customer()
    return dict((await api.http.post("/chat", json={"customerId": customer, "message": message})).json())


async def key(api: Api, *scopes: str, **named: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {await api.house.key(*scopes, **named)}"}


async def take(api: Api, conversation: str, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
    return await api.http.post(f"/conversations/{conversation}/takeover", json=body, headers=headers)


async def test_a_takeover_lasts_four_hours_unless_it_says_how_long(api: Api) -> None:
    here = (await talk(api))["conversationId"]
    for asked, lasts in ((None, timedelta(hours=4)), ("PT90M", timedelta(minutes=90)), ("P7D", timedelta(days=7))):
        shown = (await take(api, here, **_lasting(asked))).json()
        since, until = (datetime.fromisoformat(shown[name]) for name in ("heldSince", "heldUntil"))
        assert timedelta(0) <= (until - since) - lasts < timedelta(seconds=30)
    assert shown["state"] == "human"


@pytest.mark.parametrize(
    "duration",
    [
        "",
        "PT",
        "P",
        "P1",
        "4h",
        "PT0M",
        "PT59S",
        "P7DT1M",
        "P8D",
        "-PT4H",
        "PT4H ",
        "P1Y",
        14_400,
        1.5,
        True,
        [],
        "P1W",
    ],
)
async def test_what_is_no_duration_of_a_minute_to_a_week_is_refused(api: Api, duration: Any) -> None:
    here = (await talk(api))["conversationId"]
    document = problem_of(await take(api, here, **{"for": duration}), 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == ["for"]
    assert (await api.http.get(f"/conversations/{here}")).json()["state"] == "open"


async def test_a_customers_conversations_are_listed_by_state_and_paged(api: Api) -> None:
    asked = await talk(api)
    customer, here = asked["customerId"], asked["conversationId"]

    async def listed(**query: str) -> list[str]:
        answer = await api.http.get("/conversations", params={"customerId": customer, **query})
        return [item["id"] for item in answer.json()["items"]]

    await take(api, here)
    assert (await listed(), await listed(state="human"), await listed(state="open")) == ([here], [here], [])
    problem_of(await api.http.get("/conversations", params={"state": "asleep"}), 422, "validation_failed")
    problem_of(await api.http.get("/conversations", params={"mood": "x"}), 422, "validation_failed")
    first = (await api.http.get("/conversations", params={"limit": 1})).json()
    await talk(api)
    second = (await api.http.get("/conversations", params={"limit": 1})).json()
    after = (await api.http.get("/conversations", params={"limit": 1, "cursor": second["nextCursor"]})).json()
    assert after["items"][0]["id"] == first["items"][0]["id"]


async def test_the_list_shows_no_words(api: Api) -> None:
    await talk(api, "hello, this is a secret")
    assert "secret" not in (await api.http.get("/conversations")).text


async def test_who_does_it_comes_from_the_key_and_stands_in_the_audit(api: Api) -> None:
    here = (await talk(api))["conversationId"]
    ana = await key(api, "operator", name=f"ana of {here}")
    problem_of(await take(api, here, ana, holder="somebody else"), 422, "validation_failed")
    assert (await take(api, here, ana, note="customer is upset")).json()["heldBy"] == f"ana of {here}"
    sent = await api.http.post(f"/conversations/{here}/messages", json={"message": "Hello!"}, headers=ana)
    for _ in range(2):
        assert (await api.http.post(f"/conversations/{here}/release", headers=ana)).status_code == 200
    for _ in range(2):
        assert (await api.http.post(f"/conversations/{here}/close", headers=ana)).json()["state"] == "closed"
    from sqlalchemy import text

    async with api.house.db.transaction(_DEMO) as session:
        rows = await session.all(
            text("SELECT actor, action, details FROM audit_events WHERE subject = :here ORDER BY at, id"), here=here
        )
    assert {row.actor for row in rows} == {f"ana of {here}"}
    assert [row.action.removeprefix("conversation.") for row in rows] == [
        "taken_over",
        "message_sent",
        "released",
        "closed",
    ], "a repeat that changed nothing is no event"
    assert rows[1].details == {"message": sent.json()["id"]}
    assert "upset" not in str(rows)


async def test_a_message_is_sent_once_per_request_id_in_body_or_header(api: Api) -> None:
    here = (await talk(api))["conversationId"]
    await take(api, here)

    async def say(text: str, header: str | None = None, **body: Any) -> httpx2.Response:
        headers = {"Idempotency-Key": header} if header else None
        return await api.http.post(f"/conversations/{here}/messages", json={"message": text, **body}, headers=headers)

    first = (await say("hi", requestId="m1")).json()
    again = (await say("hi", header="m1")).json()
    assert (first["replayed"], again) == (False, {**first, "replayed": True})
    problem_of(await say("bye", requestId="m1"), 422, "request_id_reused")
    problem_of(await say("hi", requestId="m1", waitForCustomer=True), 422, "request_id_reused")
    problem_of(await say("hi", header="other", requestId="m1"), 400, "request_id_invalid")
    assert (await say("hi")).json()["id"] != first["id"], "without a key every message is a new one"
    problem_of(await say("   "), 422, "validation_failed")


async def test_messages_are_paged_backwards_and_each_page_is_in_order(api: Api) -> None:
    asked = await talk(api)
    here = asked["conversationId"]
    await take(api, here)
    for n in range(5):
        await api.http.post(f"/conversations/{here}/messages", json={"message": f"m{n}"})
    texts: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.http.get(f"/conversations/{here}", params={"limit": 3, **cursor})).json()
        texts = [m["text"] for m in page["messages"]] + texts
        if page["earlierCursor"] is None:
            break
        cursor = {"cursor": page["earlierCursor"]}
    assert texts == ["hello", asked["reply"], "m0", "m1", "m2", "m3", "m4"]
    problem_of(await api.http.get(f"/conversations/{here}", params={"cursor": "x"}), 422, "request_invalid")


async def test_what_is_not_there_is_404(api: Api) -> None:
    for method, verb, body in (("GET", "", None), ("POST", "/takeover", {}), ("POST", "/messages", {"message": "x"})):
        answer = await api.http.request(method, f"/conversations/cnv_{'0' * 32}{verb}", json=body)
        problem_of(answer, 404, "conversation_not_found")


async def test_what_was_said_in_shadow_was_not_said(api: Api) -> None:
    asked = await talk(api)
    body = {"customerId": asked["customerId"], "message": "a rehearsal", "mode": "shadow"}
    assert (await api.http.post("/chat", json=body)).status_code == 200
    shown = (await api.http.get(f"/conversations/{asked['conversationId']}")).json()
    assert [m["text"] for m in shown["messages"]] == ["hello", asked["reply"]]


def _lasting(duration: str | None) -> dict[str, Any]:
    return {"for": duration} if duration else {}
