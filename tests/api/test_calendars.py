"""Calendars over HTTP: versions, what is wrong with one, and what would be due."""

from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.wire import problem_of

OFFICE = {"timeZone": "Europe/Paris", "openingHours": "Mo-Fr 09:00-18:00", "holidays": {"country": "FR"}}


async def put(api: Api, name: str, **changes: Any) -> dict[str, Any]:
    answer = await api.http.put(f"/calendars/{name}", json={**OFFICE, **changes})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_change_is_a_new_version_and_the_old_one_stays_readable(api: Api) -> None:
    first = await put(api, "office")
    assert await put(api, "office") == first
    second = await put(api, "office", openingHours="Mo-Sa 09:00-18:00", expectedVersion=1)
    assert (first["version"], second["version"]) == (1, 2)
    assert (await api.http.get("/calendars/office?version=1")).json() == first
    assert (await api.http.get("/calendars/office")).json() == second
    assert second in (await api.http.get("/calendars")).json()["items"]
    stale = await api.http.put("/calendars/office", json={**OFFICE, "expectedVersion": 1})
    assert problem_of(stale, 409, "conflict")["version"] == 2


async def test_what_is_wrong_is_named_and_nothing_is_stored(api: Api) -> None:
    refused = await api.http.put("/calendars/wrong", json={**OFFICE, "openingHours": "Mo-Xx 09:00"})
    (error,) = problem_of(refused, 422, "calendar_invalid")["errors"]
    assert (error["field"], "1:4" in error["message"]) == ("openingHours", True)
    problem_of(await api.http.get("/calendars/wrong"), 404, "calendar_not_found")


async def test_what_would_be_due_and_what_a_week_looks_like(api: Api) -> None:
    await put(api, "shop")
    body = {"from": "2026-04-30T15:00:00Z", "duration": "PT8H"}
    assert (await api.http.post("/calendars/shop/due", json=body)).json() == {"dueAt": "2026-05-04T14:00:00Z"}
    week = (await api.http.get("/calendars/shop/week?from=2026-04-27")).json()["days"]
    assert [len(day["open"]) for day in week] == [1, 1, 1, 1, 0, 0, 0]
    assert week[0]["open"] == [{"opensAt": "2026-04-27T07:00:00Z", "closesAt": "2026-04-27T16:00:00Z"}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/calendars/shop/due", {"from": "2026-04-30T15:00:00Z", "duration": "P9999D"}),
        ("/calendars/shop/due", {"from": "tomorrow", "duration": "PT1H"}),
        ("/calendars/shop/due", {"from": "2026-04-30T15:00:00Z", "duration": "-PT1H"}),
        ("/calendars/shop/due", {"from": "2200-12-31T00:00:00Z", "duration": "P366D"}),
        ("/calendars/shop/due", {"from": "2026-04-30T15:00:00Z", "duration": True}),
        ("/calendars/shop/due", {"from": "2026-04-30T15:00:00Z", "duration": 3600}),
    ],
)
async def test_what_cannot_be_asked(api: Api, path: str, body: dict[str, Any]) -> None:
    await put(api, "shop")
    problem_of(await api.http.post(path, json=body), 422, "validation_failed")
