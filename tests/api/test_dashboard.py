"""`GET /metrics/dashboard`: what was said and done, counted, whether or not it was rolled up yet."""

import asyncio
import base64
import hashlib
import re
import secrets
from html.parser import HTMLParser
from typing import Any

import pytest
from temporalio.client import ScheduleActionStartWorkflow

from api.dashboard_page import page
from domain.dashboard import Dashboard
from domain.values import OrganisationId
from tests.api.conftest import Api
from tests.api.wire import problem_of
from workflows import ids
from workflows.rollup import RollupWorkflow
from workflows.schedules import SCHEDULES, ensure_schedules

REFUND = "please refund invoice inv_1"


async def dashboard(api: Api, **query: str) -> dict[str, Any]:
    answer = await api.http.get("/metrics/dashboard", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def roll(api: Api) -> int:
    """One round, as the schedule starts it."""
    temporal = api.house.temporal
    rolled: int = await temporal.execute_workflow(
        RollupWorkflow.run, id=f"rollup-{secrets.token_hex(4)}", task_queue=api.house.settings.task_queue
    )
    return rolled


async def test_what_was_said_and_done_is_on_the_dashboard_before_and_after_it_was_rolled_up(api: Api) -> None:
    customer, before = await api.customer(), await dashboard(api)
    body = {"customerId": customer, "message": REFUND, "requestId": "d1"}
    for _ in range(3):
        done = await api.http.post("/chat", json=body)
    await api.house.until_settled(done.json()["interactionId"])
    asked = await api.http.post("/chat", json={"customerId": customer, "message": "let me talk to a human"})
    await api.http.post("/chat", json={**body, "requestId": "d2", "mode": "shadow"})
    handoff = asked.json()["handoff"]["id"]
    await api.http.post(f"/handoffs/{handoff}/claim")
    await api.http.post(f"/handoffs/{handoff}/resolve", json={"reply": "Here I am."})
    await api.house.until_settled(asked.json()["interactionId"])
    live = await dashboard(api)
    assert await roll(api) == 1
    rolled = await dashboard(api)
    assert (live["countedUntil"], rolled["countedUntil"] is None) == (before["countedUntil"], False)
    for now in (live, rolled):
        grown = {
            name: now["interactions"][name] - before["interactions"][name]
            for name in ("received", "answered", "shadow", "replays")
        }
        assert grown == {"received": 2, "answered": 2, "shadow": 1, "replays": 2}
        assert now["interactions"]["outcomes"]["ask_human"] == 1
        assert now["effects"]["issue_refund"]["confirmed"] == 1
        assert now["decided"]["takeover"] == {"resolved": 1}
        assert (now["times"]["claim"]["count"], now["times"]["decision"]["count"]) == (1, 1)
        assert now["deliveries"]["chat"]["delivered"] == 3
        assert now["backlog"] == []
    assert rolled["policies"] == live["policies"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "request_invalid"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}, "request_invalid"),
        ({"from": "yesterday"}, "validation_failed"),
        ({"until": "2026-01-01T00:00:00Z"}, "validation_failed"),
        ({"from": "2026-01-01T00:10:00Z", "to": "2026-01-01T00:20:00Z"}, ""),
    ],
)
async def test_a_window_has_an_order_and_a_length(api: Api, query: dict[str, str], code: str) -> None:
    answer = await api.http.get("/metrics/dashboard", params=query)
    if not code:
        assert (answer.json()["begin"], answer.json()["end"]) == ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
    else:
        assert problem_of(answer, 422, code)


async def test_another_organisations_numbers_are_not_shown(api: Api) -> None:
    customer = await api.customer()
    await api.http.post("/chat", json={"customerId": customer, "message": "hello"})
    theirs = {"Authorization": f"Bearer {await api.house.key('auditor', organisation='elsewhere')}"}
    shown = (await api.http.get("/metrics/dashboard", headers=theirs)).json()
    assert (shown["interactions"]["received"], shown["policies"], shown["backlog"]) == (0, [], [])


async def test_the_schedule_is_there_once_however_often_a_worker_starts(api: Api) -> None:
    temporal, queue = api.house.temporal, api.house.settings.task_queue
    await ensure_schedules(temporal, "another")
    for _ in range(2):
        await ensure_schedules(temporal, queue)
    found = [entry async for entry in await temporal.list_schedules()]
    assert {entry.id for entry in found} <= {each.id for each in SCHEDULES}
    (rollups,) = [each for each in SCHEDULES if each.workflow == ids.ROLLUP_WORKFLOW]
    handle = temporal.get_schedule_handle(rollups.id)
    action = (await handle.describe()).schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert action.task_queue == queue
    await api.http.post("/chat", json={"customerId": await api.customer(), "message": "hello"})
    before = (await dashboard(api))["countedUntil"]
    await handle.trigger()
    async with asyncio.timeout(30):
        while (await dashboard(api))["countedUntil"] == before:  # noqa: ASYNC110 - a schedule starts what changes it
            await asyncio.sleep(0.1)
    await handle.pause()
    await ensure_schedules(temporal, "another")
    assert (await handle.describe()).schedule.state.paused, "who paused it finds it paused"
    await handle.delete()


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def test_a_browser_gets_a_page_that_loads_nothing_and_runs_nothing(api: Api) -> None:
    customer = await api.customer()
    await api.http.post("/chat", json={"customerId": customer, "message": "let me talk to a human"})
    answer = await api.http.get("/metrics/dashboard", headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["vary"] == "Accept"
    assert (await api.http.get("/metrics/dashboard")).headers["vary"] == "Accept"
    html = answer.text
    assert "handoffs: takeover" in html
    style = html.split("<style>")[1].split("</style>")[0]
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{hashed}';")
    assert "unsafe" not in policy
    assert not re.search(r"<script|<link|<img|<iframe|\ssrc=|\son\w+=|\sstyle=|https?://|url\(|@import", html)


async def test_the_page_is_well_formed_and_full_of_what_is_in_the_json(api: Api) -> None:
    shown = Dashboard.model_validate(await dashboard(api))
    html = bytes(page(shown, OrganisationId("<b>&"), shown.end).body).decode()
    assert "&lt;b&gt;&amp;" in html
    seen = Elements()
    seen.feed(html)
    assert (seen.open, seen.wrong) == ([], [])
    for policy in shown.policies[:12]:
        assert policy.code.replace("_", " ") in html


class Elements(HTMLParser):
    """Every element that is opened is closed, in order."""

    EMPTY = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass


def test_negative_control_an_element_left_open_is_seen() -> None:
    seen = Elements()
    seen.feed("<ul><li></ul>")
    assert seen.wrong or seen.open


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("text/html, application/json", False),
    ],
)
async def test_who_gets_the_page(api: Api, accept: str, is_page: bool) -> None:
    answer = await api.http.get("/metrics/dashboard", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/html") is is_page
