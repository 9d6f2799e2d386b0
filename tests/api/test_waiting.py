"""How long a caller waits, and what happens to a request nobody waits for."""

from datetime import timedelta

import pytest

from api.waiting import wait_of
from tests.api.conftest import Api

DEFAULT = timedelta(seconds=10)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 10), ("", 10), ("wait=0", 0), ("wait=5", 5), ("wait=60", 60), ("wait=999", 60), ("wait=1000", 10),
        ("respond-async, wait=3", 3), ("wait=3; foo=bar", 3), ("wait=-1", 10), ("wait=1.5", 10), ("wait", 10),
        ("wait=", 10), ("wait=nan", 10), ("await=3", 10), ("wait=\u0663", 10), ("x" * 5_000, 10),
    ],
)  # fmt: skip
def test_a_preference_is_read_and_anything_unreadable_is_ignored(prefer: str | None, seconds: int) -> None:
    assert wait_of(prefer, DEFAULT) == timedelta(seconds=seconds)


@pytest.mark.parametrize("prefer", ["wait=nonsense", "x" * 5_000, "wait=\xff"])
async def test_an_unreadable_preference_refuses_nothing(api: Api, prefer: str) -> None:
    customer = await api.customer()
    body = {"customerId": customer, "message": "hello"}
    answer = await api.http.post("/chat", json=body, headers=[(b"Prefer", prefer.encode("latin-1"))])
    assert answer.status_code == 200


async def test_who_does_not_wait_gets_a_place_to_look_and_the_work_is_done_without_another_request(api: Api) -> None:
    customer = await api.customer()
    body = {"customerId": customer, "message": "please refund invoice inv_1", "requestId": "later"}
    accepted = await api.http.post("/chat", json=body, headers={"Prefer": "wait=0"})
    assert accepted.status_code == 202, accepted.text
    assert (accepted.json()["status"], accepted.json()["requestId"]) == ("running", "later")
    assert accepted.headers["location"] == accepted.json()["links"]["self"]
    assert int(accepted.headers["retry-after"]) >= 1

    ended = await api.house.until_settled(accepted.headers["location"].rpartition("/")[2])
    assert (ended["status"], next(a["effect"] for a in ended["actions"])) == ("completed", "confirmed")

    repeated = await api.http.post("/chat", json=body)
    assert (repeated.status_code, repeated.json()["replayed"]) == (200, True)
    assert repeated.json()["interactionId"] == accepted.json()["interactionId"]
