"""Every error is a problem document with a stable code, and none of them repeats what was sent."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from api.error_codes import CODE_OF_STATUS, CODES
from api.main import create_app
from domain.errors import HoldfastError
from tests.api.conftest import Api
from tests.api.wire import problem_of

CANARY = "jane.canary@example.com"


async def test_an_unknown_route_is_not_found(api: Api) -> None:
    problem_of(await api.http.get("/nope"), 404, "not_found")


async def test_a_trailing_slash_is_another_path_and_not_a_redirect(api: Api) -> None:
    problem_of(await api.http.get("/interactions/"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/chat", "POST"),
        ("DELETE", "/customers/cust_123", "GET, PUT"),
        ("PATCH", "/customers/cust_123/invoices/inv_1", "PUT"),
        ("POST", "/interactions", "GET"),
        ("PUT", "/healthz", "GET"),
    ],
)
async def test_a_wrong_method_is_told_every_right_one(api: Api, method: str, path: str, allow: str) -> None:
    answer = await api.http.request(method, path)
    problem_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allow


async def test_a_body_that_is_too_large_is_refused_with_or_without_its_length(api: Api) -> None:
    large = b'{"customerId": "c", "message": "' + b"x" * api.house.settings.max_body_bytes + b'"}'

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 8192):
            yield large[start : start + 8192]

    for content in (large, in_pieces()):
        answer = await api.http.post("/chat", content=content, headers={"Content-Type": "application/json"})
        problem_of(answer, 413, "body_too_large")


async def test_a_validation_problem_names_fields_and_repeats_nothing_of_what_was_in_them(api: Api) -> None:
    body = {"name": "x" * 300 + CANARY, "plan": CANARY, "status": {"a": CANARY}, "email": f"two {CANARY}"}
    answer = await api.http.put("/customers/cust_123", json=body)
    document = problem_of(answer, 422, "validation_failed")
    assert {error["field"] for error in document["errors"]} == {"name", "plan", "status", "email"}
    assert all(error.keys() == {"field", "in", "code", "message"} for error in document["errors"])
    assert CANARY not in answer.text


async def test_ten_thousand_unknown_fields_get_a_short_answer(api: Api) -> None:
    answer = await api.http.put("/customers/cust_123", json={f"f{n}": 1 for n in range(5_000)})
    problem_of(answer, 422, "validation_failed")
    assert len(answer.content) < 10_000


async def test_the_type_of_a_problem_leads_to_its_meaning(api: Api) -> None:
    document = (await api.http.get("/nope")).json()
    meaning = await api.http.get(document["type"])
    assert (meaning.status_code, meaning.json()["code"], meaning.json()["status"]) == (200, "not_found", 404)
    listed = (await api.http.get("/errors")).json()["items"]
    assert [item["code"] for item in listed] == list(CODES)
    problem_of(await api.http.get("/errors/no_such_code"), 404, "not_found")


async def test_a_second_decision_is_told_what_was_decided_by_whom_and_when(api: Api) -> None:
    customer = await api.customer()
    asked = await api.http.post("/chat", json={"customerId": customer, "message": "I want to talk to a human"})
    path = f"/handoffs/{asked.json()['handoff']['id']}"
    first = await api.http.post(f"{path}/resolve", json={"reply": "Hello, this is a person."})
    assert first.status_code == 200, first.text
    again = await api.http.post(f"{path}/reject", json={})
    document = problem_of(again, 409, "handoff_already_decided")
    assert (document["decision"], document["by"], document["at"]) == ("resolved", "local", first.json()["decidedAt"])
    problem_of(await api.http.post(f"{path}/approve", json={"digest": "0" * 64}), 409, "conflict")


def subclasses(kind: type[HoldfastError]) -> set[type[HoldfastError]]:
    return {kind, *(k for direct in kind.__subclasses__() for k in subclasses(direct))}


INSIDE_ONLY = {"tool_failure", "tool_refused", "tool_unavailable", "tool_outcome_unknown", "model_unavailable",
               "reservation_refused", "policy_invalid", "condition_failed"}  # fmt: skip


def test_every_error_that_can_reach_a_caller_has_a_status_and_a_meaning() -> None:
    codes = {kind.code for kind in subclasses(HoldfastError) if kind.__module__.startswith("domain.")} - INSIDE_ONLY
    assert codes <= CODES.keys(), codes - CODES.keys()
    assert set(CODE_OF_STATUS.values()) <= CODES.keys()
    assert all(CODES[code].status == status for status, code in CODE_OF_STATUS.items())


@pytest.fixture
async def broken(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """The real application with routes that fail as nothing of ours should."""
    app = create_app(api.house.settings, api.house.temporal)

    @app.get("/broken/{how}")
    async def fail(how: str) -> dict[str, str]:
        if how == "ours":
            raise HoldfastError(f"the database said {CANARY}", message_of=CANARY)
        if how == "group":
            raise ExceptionGroup(CANARY, [ValueError(CANARY)])
        raise ValueError(f"could not read {CANARY}")

    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        yield http


@pytest.mark.parametrize("how", ["theirs", "ours", "group"])
async def test_the_unexpected_is_a_problem_without_a_word_of_what_happened(
    broken: httpx2.AsyncClient, how: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    answer = await broken.get(f"/broken/{how}")
    problem_of(answer, 500, "internal")
    logged = capsys.readouterr()
    assert CANARY not in answer.text + logged.out + logged.err + caplog.text
    assert "request failed" in logged.out + logged.err + caplog.text
