"""X-2: what cannot mean exactly one thing is refused at the door, on every route with a body, and leaves no trace."""

import contextlib
import json
import tracemalloc
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.strict_json import MAX_DEPTH, BadJson, loads
from tests.api.conftest import Api
from tests.api.wire import problem_of

CHAT = ("POST", "/chat", {"customerId": "cust_123", "message": "hello", "requestId": "x2"})
CUSTOMER = ("PUT", "/customers/cust_x2", {"name": "X", "plan": "pro", "status": "active"})
INVOICE = ("PUT", "/customers/cust_123/invoices/inv_x2", {"total": {"amount": 1, "currency": "EUR"}, "status": "paid"})
APPROVE = ("POST", "/handoffs/hnd_00000000/approve", {"digest": "0" * 64})
REJECT = ("POST", "/handoffs/hnd_00000000/reject", {"note": "no"})
RESOLVE = ("POST", "/handoffs/hnd_00000000/resolve", {"reply": "done"})
ROUTES = [CHAT, CUSTOMER, INVOICE, APPROVE, REJECT, RESOLVE]
NAMES = [f"{method} {path}" for method, path, _ in ROUTES]
JSON = {"Content-Type": "application/json"}


def with_value(body: dict[str, Any], value: bytes) -> bytes:
    """The body with one more field, whose value is these bytes."""
    return json.dumps(body).encode()[:-1] + b', "extra": ' + value + b"}"


BAD_VALUES: dict[str, bytes] = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "a float beyond floats": b"1e999",
    "a lone high surrogate": rb'"\ud800"',
    "a lone low surrogate": rb'"\udc00"',
    "surrogates in the wrong order": rb'"\udc00\ud800"',
    "an escaped NUL": rb'"\u0000"',
    "a raw NUL": b'"\x00"',
    "a NUL in a key": rb'{"a\u0000b": 1}',
    "a duplicate key": b'{"a": 1, "a": 1}',
    "a duplicate key, spelt differently": rb'{"a": 1, "\u0061": 2}',
    "deep arrays": b"[" * 25_000 + b"]" * 25_000,
    "deep arrays that never end": b"[" * 50_000,
    "deep objects": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "a level too deep": b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
    "an integer of 60,000 digits": b"1" * 60_000,
    "an integer beyond 64 bits": b"9223372036854775808",
    "Python's underscore": b"1_000",
    "a leading zero": b"01",
    "a comment": b"1 /* one */",
    "invalid UTF-8": b'"\xff\xfe"',
    "an overlong encoding": b'"\xc0\xaf"',
    "an encoded surrogate": b'"\xed\xa0\x80"',
}


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_X2_what_is_not_strict_json_is_refused_on_every_route_and_never_stored(
    api: Api, route: tuple[str, str, dict[str, Any]]
) -> None:
    method, path, body = route
    tables = ("interactions", "customers", "invoices", "audit_events")
    before = [await api.house.count(table) for table in tables]
    for name, value in BAD_VALUES.items():
        answer = await api.http.request(method, path, content=with_value(body, value), headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (400, "json_invalid"), name
        problem_of(answer, 400, "json_invalid")
    assert [await api.house.count(table) for table in tables] == before


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_X2_a_body_is_one_document_in_utf_8(api: Api, route: tuple[str, str, dict[str, Any]]) -> None:
    method, path, body = route
    good = json.dumps(body)

    async def send(content: bytes, **headers: str) -> httpx2.Response:
        return await api.http.request(method, path, content=content, headers={**JSON, **headers})

    problem_of(await send(good.encode() + b"{}"), 400, "json_invalid")
    problem_of(await send(good.encode() + b"\x00"), 400, "json_invalid")
    problem_of(await send(good.encode("utf-16")), 400, "json_invalid")
    problem_of(await send(good.encode("utf-32")), 400, "json_invalid")
    problem_of(await send(b"   "), 400, "json_invalid")
    problem_of(await send(b""), 422, "validation_failed")
    problem_of(await send(b"null"), 422, "validation_failed")
    problem_of(await send(b"[]"), 422, "validation_failed")
    problem_of(await send(b'"text"'), 422, "validation_failed")
    for kind in (
        "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "",
        "application/json; charset=utf-16", "application/json; charset=latin-1", "application/problem+json",
    ):  # fmt: skip
        problem_of(await send(good.encode(), **{"Content-Type": kind}), 415, "media_type_unsupported")


async def test_X2_a_larger_bomb_is_refused_for_its_size(api: Api) -> None:
    for bomb in (b"[" * 100_000, b"1" * 1_000_000):
        problem_of(await api.http.post("/chat", content=bomb, headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; Charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_X2_a_byte_order_mark_and_any_spelling_of_the_type_are_accepted(api: Api, kind: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(CUSTOMER[2]).encode()
    answer = await api.http.put("/customers/cust_bom", content=body, headers={"Content-Type": kind})
    assert answer.status_code in {200, 201}


def test_X2_a_deeply_nested_document_costs_no_more_memory_than_a_flat_one() -> None:
    """Depth is what breaks parsers; the cost must follow the size."""

    def peak(document: bytes) -> int:
        tracemalloc.start()
        try:
            with pytest.raises(BadJson):
                loads(document)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(b"[" * 30_000 + b"]" * 30_000) < 2 * peak(b"[" + b"1," * 30_000 + b"NaN]")


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0)


STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES, st.booleans())
def test_X2_what_json_can_say_is_read_as_it_was_meant(value: Any, ascii_only: bool) -> None:
    if depth(value) <= MAX_DEPTH:
        assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_X2_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(BadJson):  # and nothing else
        loads(body)
