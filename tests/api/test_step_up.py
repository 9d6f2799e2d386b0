"""Much money takes the password once more, from whoever came with a session; whichever way the yes comes."""

from datetime import timedelta
from typing import Any

import httpx2

from domain.approval import ApprovalPolicy
from domain.tools import ALL_TOOLS
from tests.api.conftest import Api
from tests.api.test_auth import bearer
from tests.api.test_session import browser, moved_back, signed_in
from tests.api.wire import problem_of

ABOVE = ApprovalPolicy.shipped().step_up_above or 0
TOOLS = {tool.name: tool for tool in ALL_TOOLS}


async def asked(api: Api, amount: int) -> dict[str, Any]:
    """A handoff that would refund so much."""
    customer = await api.customer(amount=amount)
    body = {"customerId": customer, "message": "Please refund invoice inv_1"}
    answer = (await api.http.post("/chat", json=body)).json()
    return dict((await api.http.get(f"/handoffs/{answer['handoff']['id']}")).json())


async def without_proof(api: Api, http: httpx2.AsyncClient, *scopes: str) -> dict[str, Any]:
    """Signed in a while ago."""
    operator = await signed_in(api, http, *scopes)
    who = (await http.get("/session")).json()
    await moved_back(api, who["sessionId"], "stepped_up_at", timedelta(minutes=5, seconds=1))
    return operator


async def test_a_yes_to_much_money_needs_the_password_once_more(api: Api) -> None:
    handoff = await asked(api, ABOVE + 1)
    path, body = f"/handoffs/{handoff['id']}/approve", {"digest": handoff["digest"]}
    async with browser(api) as http:
        operator = await without_proof(api, http, "operator")
        refused = problem_of(await http.post(path, json=body), 403, "step_up_needed")
        assert refused["within"] == "PT5M"
        assert (await api.http.get(f"/handoffs/{handoff['id']}")).json()["decision"] is None
        await http.post("/session/step-up", json={"password": operator["password"]})
        said = await http.post(path, json=body)
    assert said.status_code == 200, said.text
    assert said.json()["decision"] == "approved"
    (given,) = said.json()["approvals"]["given"]
    assert (given["by"], given["via"]) == (operator["id"], "session")


async def test_a_yes_to_less_and_any_no_need_no_password(api: Api) -> None:
    less, much = await asked(api, ABOVE), await asked(api, ABOVE + 1)
    async with browser(api) as http:
        await without_proof(api, http, "operator")
        yes = await http.post(f"/handoffs/{less['id']}/approve", json={"digest": less["digest"]})
        no = await http.post(f"/handoffs/{much['id']}/reject", json={})
    assert (yes.json()["decision"], no.json()["decision"]) == ("approved", "rejected")


async def test_a_key_is_its_own_proof(api: Api) -> None:
    handoff = await asked(api, ABOVE + 1)
    key = bearer(await api.house.key("operator"))
    said = await api.http.post(f"/handoffs/{handoff['id']}/approve", json={"digest": handoff["digest"]}, headers=key)
    assert said.json()["decision"] == "approved"


async def test_neither_a_link_nor_a_key_is_a_way_around(api: Api) -> None:
    handoff = await asked(api, ABOVE + 1)
    async with browser(api) as http:
        await without_proof(api, http, "admin")
        problem_of(await http.post(f"/handoffs/{handoff['id']}/links", json={}), 403, "step_up_needed")
        key = {"name": "a way around", "scopes": ["operator"]}
        problem_of(await http.post("/keys", json=key), 403, "step_up_needed")


async def test_asking_for_more_is_judged_by_what_is_asked_for(api: Api) -> None:
    """An edit that lowers the amount below the limit needs no password; the refusal leaves no edit behind."""
    handoff = await asked(api, ABOVE + 10)
    calls = [{"tool": call["tool"], "arguments": call["arguments"]} for call in handoff["proposed"]]
    path = f"/handoffs/{handoff['id']}/approve"
    async with browser(api) as http:
        await without_proof(api, http, "operator")
        for amount, status in ((ABOVE + 1, 403), (ABOVE, 200)):
            calls[0]["arguments"]["amount"] = amount
            said = await http.post(path, json={"digest": handoff["digest"], "arguments": calls})
            assert said.status_code == status, said.text
    assert len((await api.http.get(f"/handoffs/{handoff['id']}")).json()["revisions"]) == 1


def test_what_cannot_be_read_needs_the_password_and_no_limit_means_never() -> None:
    policy = ApprovalPolicy.shipped()
    unread = [{"tool": "no_such_tool", "arguments": {}}]
    assert policy.needs_step_up(unread, TOOLS)
    assert not policy.needs_step_up([], TOOLS)
    assert not policy.model_copy(update={"step_up_above": None}).needs_step_up(unread, TOOLS)
