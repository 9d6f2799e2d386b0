"""Money, times and words: what is accepted comes back as it was sent, what is not is refused with its name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.fields import Instant, MoneyBody, NewNote, Note, Reply
from domain.values import MAX_MINOR_UNITS
from tests.api.conftest import Api
from tests.api.wire import problem_of

GOOD: dict[str, Any] = {
    "total": {"amount": 4_900, "currency": "EUR"},
    "status": "paid",
    "paidAt": "2026-01-31T09:30:00Z",
    "description": "x",
}
PATH = "/customers/cust_fields/invoices/inv_fields"


@pytest.fixture(scope="module", autouse=True)
async def customer(api: Api) -> None:
    await api.house.customer("cust_fields")


async def put(api: Api, body: dict[str, Any]) -> Any:
    return await api.http.put(PATH, content=json.dumps(body), headers={"Content-Type": "application/json"})


BAD_AMOUNTS: list[Any] = [
    1.0,
    49.99,
    1e3,
    True,
    False,
    -1,
    MAX_MINOR_UNITS + 1,
    2**63 - 1,
    -(2**63),
    "100",
    "1e3",
    "",
    None,
    [],
    [1],
    {},
    {"amount": 1},
]


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=repr)
async def test_an_amount_is_a_whole_number_of_minor_units_within_bounds(api: Api, amount: Any) -> None:
    answer = await put(api, {**GOOD, "total": {"amount": amount, "currency": "EUR"}})
    document = problem_of(answer, 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == ["total.amount"]


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), float("-inf"), 2**63, 10**100], ids=repr)
async def test_an_amount_that_is_no_json_number_is_refused_earlier(api: Api, amount: Any) -> None:
    problem_of(await put(api, {**GOOD, "total": {"amount": amount, "currency": "EUR"}}), 400, "json_invalid")


@pytest.mark.parametrize("amount", [0, 1, MAX_MINOR_UNITS])
async def test_an_amount_within_bounds_comes_back_to_the_cent(api: Api, amount: int) -> None:
    answer = await put(api, {**GOOD, "total": {"amount": amount, "currency": "EUR"}})
    assert answer.status_code == 200, answer.text
    listed = (await api.http.get("/customers/cust_fields/invoices")).json()["items"]
    stored = next(item for item in listed if item["id"] == "inv_fields")
    assert stored["total"] == stored["refundable"] == {"amount": amount, "currency": "EUR"}
    assert answer.json() == stored


NO_CURRENCIES: list[Any] = ["eur", "EURO", "EU", "", "E R", "ЕUR", "EUR\n", "XXX", "BTC", "XTS", None, 978, ["EUR"]]


@pytest.mark.parametrize("currency", NO_CURRENCIES, ids=repr)
async def test_a_currency_is_one_that_people_pay_with(api: Api, currency: Any) -> None:
    answer = await put(api, {**GOOD, "total": {"amount": 1, "currency": currency}})
    assert [e["field"] for e in problem_of(answer, 422, "validation_failed")["errors"]] == ["total.currency"]


BAD_TIMES: list[Any] = [
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2201-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z",
    "2026-01-01T25:00:00Z",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "yesterday",
    "",
    0,
    1_700_000_000,
    1.5,
    True,
    "1700000000",
    "2026-01-01T00:00:00+99:00",
    "2026-01-01T00:00:00 Europe/Berlin",
    "\u0662026-01-01T00:00:00Z",
    [],
    {},
]


@pytest.mark.parametrize("at", BAD_TIMES, ids=repr)
async def test_a_time_is_rfc_3339_with_an_offset_in_our_centuries(api: Api, at: Any) -> None:
    document = problem_of(await put(api, {**GOOD, "paidAt": at}), 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == ["paidAt"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z"),
        ("2026-01-31t09:30:00.5z", "2026-01-31T09:30:00.500000Z"),
        ("2026-01-31T09:30:00+05:30", "2026-01-31T04:00:00Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("2024-02-29T23:59:59-12:00", "2024-03-01T11:59:59Z"),
    ],
)
async def test_a_time_comes_back_in_utc(api: Api, sent: str, shown: str) -> None:
    assert (await put(api, {**GOOD, "paidAt": sent})).json()["paidAt"] == shown


HOSTILE = {
    "right to left": "\u202eneves\u202c \u05e9\u05dc\u05d5\u05dd",
    "emoji": "🧾👩‍👩‍👧‍👦🏳️‍🌈",
    "combining": "e" + "\u0301" * 300,
    "beyond the basic plane": "𝒜𝓃 invoice 𠜎",
    "not a character": "\ufffe\uffff\U0010ffff",
    "zero width": "a\u200b\u200d\ufeffb",
    "SQL": "'; DROP TABLE invoices; --",
    "a template": "{{7*7}} ${7*7} %(x)s {0.__class__}",
    "markup": "<script>alert(1)</script>",
    "line breaks": "a\r\nBcc: x@example.com\r\n\u2028\u2029",
    "path": "../../etc/passwd",
}


@pytest.mark.parametrize("words", HOSTILE)
async def test_hostile_words_are_only_words(api: Api, words: str) -> None:
    text = HOSTILE[words]
    stored = await put(api, {**GOOD, "description": text})
    if words == "right to left":  # what others read must be what was written
        problem_of(stored, 422, "validation_failed")
    else:
        assert stored.json()["description"] == text
    answer = await api.http.post("/chat", json={"customerId": "cust_fields", "message": text})
    assert answer.status_code == 200, answer.text
    shown = (await api.http.get(answer.json()["links"]["self"])).json()
    assert shown["message"] == text


@pytest.mark.parametrize("letter", ["x", "é", "🧾"])
async def test_a_message_has_at_most_8000_characters(api: Api, letter: str) -> None:
    body = {"customerId": "cust_fields", "message": letter * 8_000}
    assert (await api.http.post("/chat", json=body)).status_code == 200
    body["message"] += letter
    document = problem_of(await api.http.post("/chat", json=body), 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == ["message"]


@pytest.mark.parametrize("message", ["", " ", "\n\t", "\u2003\u00a0", None, 1, ["hello"], {"text": "hello"}], ids=repr)
async def test_a_message_says_something(api: Api, message: Any) -> None:
    answer = await api.http.post("/chat", json={"customerId": "cust_fields", "message": message})
    assert [e["field"] for e in problem_of(answer, 422, "validation_failed")["errors"]] == ["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""),
        ("name", "a\x07"),
        ("name", "x" * 201),
        ("email", "no at"),
        ("email", "a@b\r\nBcc:c@d"),
        ("email", "a@b,c@d"),
        ("email", "<a@b>"),
        ("phone", "call me"),
        ("phone", "+1" * 20),
        ("plan", "gold"),
        ("status", "ACTIVE"),
        ("status", None),
        ("timeZone", "Europe/Berlin; DROP"),
        ("language", "x" * 65),
        ("region", ""),
        ("nickname", "x"),
    ],
)
async def test_a_customers_field_that_cannot_be_is_refused_and_named(api: Api, name: str, value: Any) -> None:
    body = {"name": "N", "plan": "pro", "status": "active", name: value}
    document = problem_of(await api.http.put("/customers/cust_fields", json=body), 422, "validation_failed")
    assert [e["field"] for e in document["errors"]] == [name]


ANY_JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(ANY_JSON)
def test_only_a_whole_number_within_bounds_is_ever_money(amount: Any) -> None:
    whole = type(amount) is int and 0 <= amount <= MAX_MINOR_UNITS
    if whole:
        assert MoneyBody.model_validate({"amount": amount, "currency": "EUR"}).amount == amount
    else:
        with pytest.raises(ValidationError):
            MoneyBody.model_validate({"amount": amount, "currency": "EUR"})


@given(ANY_JSON)
def test_nothing_but_text_or_a_datetime_is_ever_a_time(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(value)


TRICKS = ["\x01", "\x1b", "\x85", "\u202e", "\u2066"]


@pytest.mark.parametrize("trick", TRICKS, ids=ascii)
@pytest.mark.parametrize("field", [Reply, Note, NewNote])
def test_what_operators_write_carries_no_control_characters(field: Any, trick: str) -> None:
    words = TypeAdapter(field)
    with pytest.raises(ValidationError):
        words.validate_python(f"all{trick}right")
    plain = "Größe:\n\t1 \u05d0 \u200d"
    assert words.validate_python(plain) == plain, "negative control"


@pytest.mark.parametrize("field", [Reply, NewNote])
def test_what_operators_write_is_more_than_white_space(field: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(field).validate_python(" \n\t\u00a0")
