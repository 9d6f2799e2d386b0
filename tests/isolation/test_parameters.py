"""T-2, T-4, T-5: what is foreign in any place of a request, who one claims to be, and what only the server says."""

import asyncio
import re
from typing import Any

import httpx2
import pytest

from tests.api.test_auth import ALLOWED, CUSTOMER, IDENTITY, bearer
from tests.api.wire import problem_of
from tests.isolation.conftest import Street
from tests.isolation.places import Asked, Place, body_schema, members, places, takes, with_value
from tests.isolation.seed import CANARY, OURS, THEIRS, absent, as_told, encode_cursor
from tests.isolation.test_matrix import MAKES, Operation, named

FORGETS = "/customers/{customerId}/erase"
"""Tried on a spare customer, made anew each time: nothing is left of one that was forgotten."""
ISSUED = re.compile(r"^[a-z]{3}_[0-9a-f]{16,}$")


def declared(street: Street, operation: Operation) -> dict[str, Any]:
    return dict(street.document["paths"][operation[1]][operation[0]])


def usual(street: Street, operation: Operation) -> Asked:
    """The operation on things of our own."""
    path, body, _ = ALLOWED[operation]
    ids = street.ours.spare if operation in MAKES or operation[1] == FORGETS else street.ours.objects
    query = dict(part.split("=", 1) for part in path.partition("?")[2].split("&") if part)
    return Asked(
        operation[0], operation[1], {**street.ours.objects, **ids}, query, {},
        body and {**body, **{name: ids[name] for name in named(operation) if name in body}},
    )  # fmt: skip


async def ask(street: Street, asked: Asked) -> httpx2.Response:
    if asked.template == FORGETS:
        return await ask_to_forget(street, asked)
    return await street.api.http.request(
        asked.method, street.ours.path(asked.template, asked.ids), params=asked.query, json=asked.body,
        headers={**bearer(street.ours.admin), **asked.headers},
    )  # fmt: skip


async def somebody_to_forget(street: Street, asked: Asked) -> str:
    """The path of that customer: the spare one is made anew where it was forgotten."""
    http, headers = street.api.http, bearer(street.ours.admin)
    path = f"/customers/{asked.ids['customerId']}"
    if asked.ids["customerId"] == street.ours.spare["customerId"] and (
        (await http.get(path, headers=headers)).status_code == 404
    ):
        assert (await http.put(path, json=CUSTOMER, headers=headers)).status_code < 300
    return path


async def ask_to_forget(street: Street, asked: Asked) -> httpx2.Response:
    """A customer who is there, and forgotten when this returns if the answer says so."""
    http, headers = street.api.http, bearer(street.ours.admin)
    path = await somebody_to_forget(street, asked)
    answer = await http.post(f"{path}/erase", json=asked.body, headers={**headers, **asked.headers})
    if answer.status_code == 202:
        receipt = f"/erasures/{answer.json()['id']}"
        async with asyncio.timeout(30):
            while not (await http.get(receipt, headers=headers)).json()["erasedAt"]:  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.05)
    return answer


def foreign_words(street: Street, operation: Operation) -> list[tuple[str, str]]:
    """Every id of the other organisation, a place in its lists and its own name, each with one that nobody has."""
    has = street.theirs.objects | (street.theirs.spare if operation in MAKES else {})
    return [(word, absent(word)) for word in has.values()] + [
        (street.theirs.cursor, encode_cursor(absent(street.theirs.objects["interactionId"]))),
        (str(THEIRS), str(THEIRS)[::-1]),
    ]


READS_FIRST = sorted(ALLOWED, key=lambda operation: operation[0] != "get")
"""Once something was written, an answer may show our own words of before, and they name what is foreign."""


async def test_T2_no_list_of_ours_names_anything_of_theirs(street: Street) -> None:
    lists = [o for o in READS_FIRST if o[0] == "get" and not named(o) and o[1] != "/debug/mail"]
    assert len(lists) > 10
    for operation in lists:
        words = (await ask(street, usual(street, operation))).text
        assert CANARY[THEIRS] not in words, operation
        assert not [value for value in street.theirs.objects.values() if f'"{value}"' in words], operation


async def test_T2_the_mail_of_a_machine_is_shown_to_its_owner_only(street: Street) -> None:
    """The sink takes the mail of every organisation and cannot tell whose it is."""
    for admin, shows in ((street.ours.admin, True), (street.theirs.admin, False)):
        answer = await street.api.http.get("/debug/mail", headers=bearer(admin))
        assert bool(answer.json()["items"]) is shows


@pytest.mark.parametrize("operation", READS_FIRST, ids=lambda o: f"{o[0]} {o[1]}")
async def test_T2_what_is_foreign_is_as_missing_in_every_place(street: Street, operation: Operation) -> None:
    base = usual(street, operation)
    await street.quiet(THEIRS)
    theirs = street.rows(THEIRS)
    for place in places(declared(street, operation), street.document):
        pairs = foreign_words(street, operation)
        # Where anything may be written a few words are enough; where ids go, every one is tried.
        for foreign, missing in pairs if is_for_ids(place) else pairs[::5]:
            if not takes(place.schema, foreign):
                continue
            before, told = [await told_of(street, base, place, word) for word in (missing, foreign)]
            if was_done(operation, before[0]) and before[0] != told[0]:  # it can be done once: both come too late now
                before = await told_of(street, base, place, f"{missing[:-1]}9")
            if was_done(operation, told[0]):
                assert before[0] == told[0], (str(place), foreign)
            else:
                assert before == told, (str(place), foreign)
            assert told[0] < 500
            assert CANARY[THEIRS] not in told[2], (str(place), told)
    assert street.rows(THEIRS) == theirs


def is_for_ids(place: Place) -> bool:
    """By its name: where an id or a place in a list goes."""
    name = str(place.at[-1])
    return place.kind == "path" or name.endswith("Id") or name in {"cursor", "subject"}


def was_done(operation: Operation, status: int) -> bool:
    """Whether something was done: then the next answer tells of this one too, and only that it was done compares."""
    return operation[0] != "get" and status < 300


async def told_of(street: Street, base: Asked, place: Place, word: str) -> tuple[int, list[tuple[str, str]], str]:
    return as_told(await ask(street, base.having(place, word)), word)


def test_T2_there_are_places_enough_and_none_is_left_out(street: Street) -> None:
    """What is tried is read from the contract: a new parameter is tried without a word here."""
    found = [(o, p) for o in ALLOWED for p in places(declared(street, o), street.document)]
    kinds = {place.kind for _, place in found}
    taking = [p for o, p in found if any(takes(p.schema, word) for word, _ in foreign_words(street, o))]
    assert kinds == {"path", "query", "header", "body"}
    assert len(taking) > 100


def test_T2_nothing_of_ours_leads_to_anything_of_theirs(street: Street) -> None:
    """After all of the above: no column of ours that holds an id holds one that was issued to them."""
    issued = {value for value in street.theirs.objects.values() if ISSUED.fullmatch(value)}
    assert len(issued) == 13
    assert street.links(OURS, issued) == []
    assert street.links(THEIRS, issued) != []  # negative control: one that leads there is found


@pytest.mark.parametrize("operation", ALLOWED, ids=lambda o: f"{o[0]} {o[1]}")
async def test_T4_no_header_opens_any_operation(street: Street, operation: Operation) -> None:
    asked = usual(street, operation)
    path = street.ours.path(asked.template, asked.ids)
    stranger = {"Via": "1.1 proxy"}
    both = [("Authorization", f"Bearer {street.ours.admin}"), ("Authorization", f"Bearer {street.theirs.admin}")]
    plain = await street.api.http.request(asked.method, path, json=asked.body, headers=stranger)
    problem_of(plain, 401, "not_authenticated")
    for name, value in IDENTITY.items():
        answer = await street.api.http.request(asked.method, path, json=asked.body, headers={**stranger, name: value})
        assert as_told(answer) == as_told(plain), name
    twice = await street.api.http.request(asked.method, path, json=asked.body, headers=both)
    problem_of(twice, 401, "not_authenticated")


SERVER_OWNED = (
    "organisation", "organisationId", "tenant", "id", "role", "scopes", "createdBy", "createdAt", "updatedAt",
    "decidedBy", "approvedBy", "decidedAt", "refunded", "refundable", "inFlight", "amountCaptured", "digestApproved",
    "assignee", "actor", "by", "at", "outcome", "effect", "confidence", "policyVersion", "keyHash", "__proto__",
)  # fmt: skip
COUNTED = frozenset({"rate_limits"})
"""That somebody asked is counted, whatever they asked."""
WRITES = [operation for operation, (_, body, _) in ALLOWED.items() if body is not None]


def owned(street: Street, operation: Operation, here: dict[str, Any]) -> set[str]:
    """What the server says of such a thing, and what it keeps of everything, without what a caller may say."""
    shown: set[str] = set()
    for status, answer in declared(street, operation)["responses"].items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        if status < "4" and schema:
            shown |= {str(at[0]) for at, _ in members(schema, street.document) if len(at) == 1}
    return (shown | set(SERVER_OWNED)) - set(here.get("properties", {}))


@pytest.mark.parametrize("operation", WRITES, ids=lambda o: f"{o[0]} {o[1]}")
async def test_T5_nobody_writes_what_the_server_says(street: Street, operation: Operation) -> None:
    schema = body_schema(declared(street, operation), street.document)
    assert schema is not None
    base = usual(street, operation)
    if operation[1] == FORGETS:
        await somebody_to_forget(street, base)
    await street.quiet(OURS)
    before = street.rows(OURS, but=COUNTED)
    for at, here in members(schema, street.document):
        if here.get("type") != "object" or "properties" not in here:
            continue
        inside = with_value(base.body, at, base_of(base.body, at))
        for name in sorted(owned(street, operation, here)):
            sent = Asked(**{**base.__dict__, "body": with_value(inside, (*at, name), "x")})
            fields = problem_of(await ask(street, sent), 422, "validation_failed")["errors"]
            assert ".".join(map(str, (*at, name))) in {error["field"] for error in fields}
    assert street.rows(OURS, but=COUNTED) == before


def base_of(body: Any, at: tuple[str | int, ...]) -> Any:
    """What the usual body has there, or an empty object."""
    for step in at:
        body = body.get(step) if isinstance(body, dict) else (body[0] if isinstance(body, list) and body else None)
    return body if body is not None else {}
