"""H-3: a person is a person, whichever way they come in: an operator's session and the keys issued to them."""

import secrets
from typing import Any

import httpx2

from tests.api.conftest import Api
from tests.api.test_auth import bearer
from tests.api.test_session import browser, signed_in

TWO_PEOPLE = 100_001


async def asked(api: Api, amount: int, message: str = "Please refund invoice inv_1") -> dict[str, Any]:
    customer = await api.customer(amount=amount)
    answer = (await api.http.post("/chat", json={"customerId": customer, "message": message})).json()
    return dict((await api.http.get(f"/handoffs/{answer['handoff']['id']}")).json())


async def own_key(http: httpx2.AsyncClient, *scopes: str, bearing: str = "") -> dict[str, Any]:
    """A key that whoever calls issues to themselves."""
    body = {"name": f"key {secrets.token_hex(4)}", "scopes": scopes}
    issued = await http.post("/keys", json=body, headers=bearer(bearing) if bearing else {})
    assert issued.status_code == 201, issued.text
    return dict(issued.json())


async def approve(api: Api, handoff: dict[str, Any], key: str, **more: Any) -> httpx2.Response:
    body = {"digest": handoff["digest"], **more}
    return await api.http.post(f"/handoffs/{handoff['id']}/approve", json=body, headers=bearer(key))


async def test_H3_an_operator_and_the_key_issued_to_them_are_one_person(api: Api) -> None:
    handoff = await asked(api, TWO_PEOPLE)
    async with browser(api) as http:
        operator = await signed_in(api, http, "operator", "admin")
        key = await own_key(http, "operator", "admin")
        assert key["owner"] == operator["id"]
        by_key = await own_key(api.http, "operator", bearing=key["key"])
        assert by_key["owner"] == operator["id"], "what a key issues is its owner's too"
        turned = await http.post(f"/keys/{by_key['id']}/rotate", json={"overlap": "PT0S"})
        body = {"digest": handoff["digest"]}
        said = await http.post(f"/handoffs/{handoff['id']}/approve", json=body)
    assert (said.status_code, said.json()["decision"]) == (200, None)
    for secret in (key["key"], turned.json()["key"]):
        answer = await approve(api, handoff, secret)
        assert (answer.status_code, answer.json()["decision"]) == (200, None), answer.text
    somebody = await approve(api, handoff, await api.house.key("operator"))
    assert somebody.json()["decision"] == "approved", "the control: another person is enough"


async def test_H3_who_raised_it_by_a_key_does_not_approve_it_in_a_session(api: Api) -> None:
    handoff = await asked(api, 50_000, "please refund 300 EUR of invoice inv_1")
    calls = [{"tool": a["tool"], "arguments": dict(a["arguments"])} for a in handoff["proposed"]]
    calls[0]["arguments"]["amount"] = 45_000
    async with browser(api) as http:
        await signed_in(api, http, "operator", "admin")
        key = await own_key(http, "operator")
        raised = (await approve(api, handoff, key["key"], arguments=calls)).json()
        assert raised["decision"] is None
        body = {"digest": raised["digest"]}
        mine = await http.post(f"/handoffs/{handoff['id']}/approve", json=body)
        assert (mine.status_code, mine.json()["code"], mine.json()["reason"]) == (
            403, "not_an_approver", "self_approval",
        )  # fmt: skip
    approved = await approve(api, raised, await api.house.key("operator"))
    assert approved.json()["decision"] == "approved"


async def test_a_key_that_vouches_for_nobody_can_do_nothing_else(api: Api) -> None:
    body = {"name": f"key {secrets.token_hex(4)}", "scopes": ["ingest", "operator"], "vouches": False}
    refused = await api.http.post("/keys", json=body)
    assert (refused.status_code, refused.json()["fields"]) == (422, ["scopes"])
    issued = await api.http.post("/keys", json={**body, "scopes": ["ingest"]})
    assert (issued.status_code, issued.json()["vouches"]) == (201, False)
    turned = await api.http.post(f"/keys/{issued.json()['id']}/rotate", json={})
    assert (turned.status_code, turned.json()["vouches"]) == (201, False), "its successor is no better"
