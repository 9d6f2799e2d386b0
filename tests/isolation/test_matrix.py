"""T-1: every operation, everybody who may call, and things of one's own, of somebody else, and of nobody."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from domain.values import CustomerId
from schema.channels import ChannelRepository
from tests.api.test_auth import ALLOWED, CUSTOMER
from tests.api.wire import problem_of
from tests.isolation.conftest import Street
from tests.isolation.seed import OURS, THEIRS, Door, Seed, absent, as_told, parameters

Operation = tuple[str, str]
MAKES = {("put", "/customers/{customerId}"), ("put", "/calendars/{calendarId}")}
"""What is not there is made, for the caller, under the name the caller chose."""
THE_MACHINES = {("get", "/debug/mail/{name}")}
"""What only the organisation of the machine's owner has: a local stack's mail names no organisation."""


OF_A_SESSION = {
    *(("delete", "/session"), ("post", "/session/step-up"), ("post", "/session/password")),
    ("post", "/session/oidc/step-up"),
}
"""A key has no session."""

KINDS = {name for _, template in ALLOWED for name in parameters(template)}


def named(operation: Operation) -> list[str]:
    """What of the request names an object: path parameters, and members of the body of the same names."""
    body = ALLOWED[operation][1] or {}
    return [*parameters(operation[1]), *(name for name in body if name.endswith("Id") and name in KINDS)]


def may(door: Door, operation: Operation) -> bool:
    """Whether the scopes of this caller are enough for this operation."""
    return door.scope is not None and (door.scope == "admin" or door.scope in ALLOWED[operation][2])


def expected(door: Door, operation: Operation, whose: str) -> set[int]:
    """The one table, read: who is not known is 401, who may not is 403, what is not theirs is not there."""
    if not door.is_known:
        return {401}
    if not may(door, operation):
        return {403}
    if whose != "own" and named(operation) and operation not in MAKES:
        return {404}
    if operation in OF_A_SESSION:
        return {404}
    if operation in THE_MACHINES and door.organisation != OURS:
        return {404}
    return {200, 201, 202, 204, 409}


def chosen(door: Door, operation: Operation, ours: Seed, theirs: Seed) -> Iterator[tuple[str, dict[str, str]]]:
    """The same operation on a thing of the caller's own, of the other organisation's, and of nobody's."""
    mine, other = (theirs, ours) if door.organisation == THEIRS else (ours, theirs)
    names = named(operation)
    yield "own", {name: mine.objects[name] for name in names}
    if names:
        has = other.spare if operation in MAKES else other.objects
        foreign = {name: has[name] for name in names}
        yield "foreign", foreign
        yield "missing", {name: absent(foreign[name]) for name in names}


@pytest.mark.parametrize("operation", ALLOWED, ids=lambda o: f"{o[0]} {o[1]}")
async def test_T1_everybody_gets_what_the_table_says_and_foreign_is_as_missing(
    street: Street, operation: Operation
) -> None:
    method, template = operation
    path, body, _ = ALLOWED[operation]
    query = path.partition("?")[2]
    for door in street.doors:
        told = {}
        for whose, named_ids in chosen(door, operation, street.ours, street.theirs):
            ids = named_ids
            if operation in ENDS and whose == "own" and may(door, operation):
                ids = {**named_ids, **dict([await another(street, door, operation)])}
            url = street.ours.path(template, ids) + (f"?{query}" if query else "")
            sent = body and {**body, **{name: ids[name] for name in body if name in ids}}
            answer = await street.api.http.request(method, url, json=sent, headers=door.headers)
            assert answer.status_code in expected(door, operation, whose), (door.name, whose, answer.text)
            if answer.status_code == 403:
                assert set(problem_of(answer, 403, "scope_missing")["needs"]) == ALLOWED[operation][2]
            told[whose] = as_told(answer, *ids.values())
        assert told.get("foreign") == told.get("missing"), door.name


ENDS = {
    ("delete", "/webhooks/{webhookId}"): "webhookId",
    ("delete", "/keys/{keyId}"): "keyId",
    ("post", "/keys/{keyId}/rotate"): "keyId",
    ("delete", "/operators/{operatorId}/identity"): "operatorId",
    ("post", "/customers/{customerId}/erase"): "customerId",
    ("delete", "/customers/{customerId}/channels/{channelId}"): "channelId",
}
"""What is not there afterwards, or not as it was: each caller has one of its own to try it on."""


async def another(street: Street, door: Door, operation: Operation) -> tuple[str, str]:
    """One more of what this operation ends, of the caller's organisation."""
    name, http = ENDS[operation], street.api.http
    if name == "webhookId":
        hook = {"url": "https://example.com/", "eventTypes": ["ping"]}
        return name, str((await http.post("/webhooks", json=hook, headers=door.headers)).json()["id"])
    word = f"cust_{secrets.token_hex(8)}"
    if name == "channelId":
        assert door.organisation is not None
        mine = street.theirs if door.organisation == THEIRS else street.ours
        async with street.api.house.db.transaction(door.organisation) as session:
            whose = CustomerId(mine.objects["customerId"])
            return name, (await ChannelRepository(session).add(whose, "email", word, "ana", datetime.now(UTC))).id
    if name == "operatorId":
        new = await http.post("/operators", json={"login": word, "scopes": ["operator"]}, headers=door.headers)
        there = str(new.json()["id"])
        await http.put(f"/operators/{there}/identity", json={"subject": word}, headers=door.headers)
        return name, there
    if name == "keyId":
        key = {"name": word, "scopes": ["ingest"]}
        return name, str((await http.post("/keys", json=key, headers=door.headers)).json()["id"])
    await http.put(f"/customers/{word}", json=CUSTOMER, headers=door.headers)
    return name, word


def test_T1_every_parameter_of_a_path_has_an_object_on_both_sides(street: Street) -> None:
    """A route with a new kind of id fails here until both organisations own one."""
    names = {name for operation in ALLOWED for name in named(operation)}
    assert names <= street.ours.objects.keys()
    assert names <= street.theirs.objects.keys()
    shared = {name for name in names if street.ours.objects[name] == street.theirs.objects[name]}
    assert shared == set()


async def test_T1_negative_control_what_is_theirs_is_there_for_them(street: Street) -> None:
    """Each thing that is not there for us is there for its owner, so the answers above hid something."""
    admin = next(door for door in street.doors if door.organisation == THEIRS)
    reads = [o for o in ALLOWED if o[0] == "get" and parameters(o[1]) and not o[1].startswith("/debug")]
    assert len(reads) > 10
    for operation in reads:
        path, _, _ = ALLOWED[operation]
        query = path.partition("?")[2]
        url = street.theirs.path(operation[1]) + (f"?{query}" if query else "")
        answer = await street.api.http.get(url, headers=admin.headers)
        assert answer.status_code == 200, (operation, answer.text)
