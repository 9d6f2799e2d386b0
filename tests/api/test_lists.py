"""Lists: bounded, newest first, resumable, filtered, and each organisation's own."""

from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.wire import problem_of

LISTS = ("/interactions", "/handoffs")


@pytest.fixture(scope="module")
async def told(api: Api) -> list[dict[str, Any]]:
    """Five interactions of one customer, one of another, one in shadow mode; oldest first."""
    for customer in ("cust_list", "cust_list2"):
        await api.house.customer(customer)
    bodies = [{"customerId": "cust_list", "message": "hello"} for _ in range(4)]
    bodies.append({"customerId": "cust_list", "message": "I want to talk to a human"})
    bodies.append({"customerId": "cust_list2", "message": "hello"})
    bodies.append({"customerId": "cust_list2", "message": "hello", "mode": "shadow"})
    return [(await api.http.post("/chat", json=body)).json() for body in bodies]


async def ids(api: Api, path: str = "/interactions", **params: Any) -> list[str]:
    answer = await api.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_the_newest_comes_first(api: Api, told: list[dict[str, Any]]) -> None:
    assert await ids(api) == [t["interactionId"] for t in reversed(told)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_put_together_are_the_whole_list(api: Api, told: list[dict[str, Any]], limit: int) -> None:
    found: list[str] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        page = (await api.http.get("/interactions", params=params)).json()
        assert len(page["items"]) <= limit
        found += [item["id"] for item in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == [t["interactionId"] for t in reversed(told)]


async def test_a_page_stays_in_place_while_new_ones_come(api: Api, told: list[dict[str, Any]]) -> None:
    mine = {"customerId": "cust_list"}
    first = (await api.http.get("/interactions", params={**mine, "limit": 2})).json()
    await api.house.customer("cust_list3")
    await api.http.post("/chat", json={"customerId": "cust_list3", "message": "hello"})
    rest = await ids(api, **mine, cursor=first["nextCursor"])
    assert [i["id"] for i in first["items"]] + rest == [t["interactionId"] for t in reversed(told[:5])]


async def test_filters_narrow_alone_and_together(api: Api, told: list[dict[str, Any]]) -> None:
    everything = [t["interactionId"] for t in told]
    human = told[4]
    assert await ids(api, customerId="cust_list2") == everything[6:4:-1]
    assert await ids(api, mode="shadow") == [everything[6]]
    assert await ids(api, mode="live", customerId="cust_list2") == [everything[5]]
    assert await ids(api, status="waiting_for_human") == [everything[4]]
    assert await ids(api, intent="human_request") == [everything[4]]
    assert await ids(api, conversationId=human["conversationId"]) == everything[4::-1]
    assert await ids(api, customerId="cust_nobody") == []
    at = (await api.http.get(f"/interactions/{everything[4]}")).json()["createdAt"]
    assert everything[4] in await ids(api, **{"from": at})
    assert everything[4] not in await ids(api, to=at)
    assert await ids(api, **{"from": at, "to": at}) == []
    assert await ids(api, "/handoffs", kind="takeover") == [human["handoff"]["id"]]
    for nothing in ({"kind": "approval"}, {"status": "resolved"}, {"breached": "true"}, {"priority": "low"}):
        assert await ids(api, "/handoffs", **nothing) == []


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", ["0", "-1", "201", "1e2", "1.5", "ten", "", "\u0663", "9" * 400])
async def test_a_limit_is_1_to_200(api: Api, path: str, limit: str) -> None:
    document = problem_of(await api.http.get(path, params={"limit": limit}), 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == ["limit"]
    for fine in (1, 200):
        assert (await api.http.get(path, params={"limit": fine})).status_code == 200


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "abc",
        "a b",
        "x" * 501,
        "bnVsbA",
        "W10",
        "WzEsMl0",
        "WyJ4IiwieSJd",
        "\x00",
        "WyIyMDI2LTAxLTAxIiwgImEiXQ",
        "'--",
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(api: Api, path: str, cursor: str) -> None:
    answer = await api.http.get(path, params={"cursor": cursor})
    problem_of(answer, 422, answer.json()["code"])
    assert answer.json()["code"] in {"validation_failed", "request_invalid"}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", ["bogus", "Limit", "organisation", "offset", "customer", "limit[]", "\u202e"])
async def test_an_unknown_parameter_is_refused_and_named(api: Api, path: str, name: str) -> None:
    document = problem_of(await api.http.get(path, params={name: "1"}), 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "dead"),
        ("status", ""),
        ("intent", "x"),
        ("mode", "LIVE"),
        ("from", "yesterday"),
        ("from", "1700000000"),
        ("from", "2026-01-01"),
        ("from", "2026-01-01T00:00:00"),
        ("to", "9999-12-31T23:59:59Z"),
        ("to", "0001-01-01T00:00:00Z"),
        ("conversationId", "x"),
        ("customerId", ""),
        ("customerId", "a\x00b"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_and_named(api: Api, name: str, value: str) -> None:
    document = problem_of(await api.http.get("/interactions", params={name: value}), 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == [name]


async def test_T1_another_organisation_sees_none_of_it_not_even_with_our_cursor(
    api: Api, told: list[dict[str, Any]]
) -> None:
    theirs = {"Authorization": f"Bearer {await api.house.key('admin', organisation='elsewhere')}"}
    cursor = (await api.http.get("/interactions", params={"limit": 1})).json()["nextCursor"]
    for path in LISTS:
        empty: dict[str, Any] = {"items": [], "nextCursor": None}
        assert (await api.http.get(path, headers=theirs)).json() == empty
        assert (await api.http.get(path, headers=theirs, params={"cursor": cursor})).json() == empty


async def test_a_customers_ledger_says_what_was_done_and_who_allowed_it(api: Api) -> None:
    customer = await api.customer(amount=15_000)
    asked = (await api.http.post("/chat", json={"customerId": customer, "message": "refund please"})).json()
    handoff = f"/handoffs/{asked['handoff']['id']}"
    digest = (await api.http.get(handoff)).json()["digest"]
    await api.http.post(f"{handoff}/approve", json={"digest": digest})
    await api.house.until_settled(asked["interactionId"])

    path = f"/customers/{customer}/effects"
    (refund,) = (await api.http.get(path)).json()["items"]
    assert (refund["effect"], refund["attempts"], refund["arguments"]["amount"]) == ("confirmed", 1, 15_000)
    assert (refund["interactionId"], refund["handoffId"]) == (asked["interactionId"], asked["handoff"]["id"])
    problem_of(await api.http.get("/customers/cust_nobody/effects"), 404, "customer_not_found")
