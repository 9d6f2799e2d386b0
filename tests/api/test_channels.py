"""Addresses of customers: added, proven by a code that was read there, removed; one address, one customer."""

import asyncio
import re
from typing import Any

from sqlalchemy import text

from domain.values import OrganisationId
from tests.api.conftest import Api
from tests.api.test_auth import bearer
from tests.api.wire import problem_of

DEMO = OrganisationId("demo")


async def with_mail(api: Api, address: str) -> str:
    customer = await api.customer()
    await api.house.customer(customer, email=address)
    return customer


async def added(api: Api, customer: str, address: str) -> tuple[str, str]:
    """The channel, and the code that came."""
    before = len(sent(api, address))
    answer = await api.http.post(f"/customers/{customer}/channels", json={"kind": "email", "address": address})
    assert (answer.status_code, answer.json()["verifiedAt"]) == (201, None), answer.text
    assert address not in answer.text
    async with asyncio.timeout(30):
        while len(codes := sent(api, address)) <= before:  # noqa: ASYNC110 - a folder
            await asyncio.sleep(0.02)
    return str(answer.json()["id"]), codes[-1]


def sent(api: Api, address: str) -> list[str]:
    mails = sorted((m for m in api.house.mails() if m["To"] == address), key=lambda m: str(m["Message-ID"]))
    found = [re.search(r"^Your code is (\d{6})\s*$", mail.get_content(), re.MULTILINE) for mail in mails]
    return [match[1] for match in found if match]


async def verify(api: Api, customer: str, channel: str, code: str) -> Any:
    return await api.http.post(f"/customers/{customer}/channels/{channel}/verify", json={"code": code})


async def audit_of(api: Api, subject: str) -> list[str]:
    async with api.house.db.transaction(DEMO) as session:
        rows = await session.all(
            text("SELECT action, details::text AS words FROM audit_events WHERE subject = :subject ORDER BY at, id"),
            subject=subject,
        )
    return [row.action for row in rows]


async def test_a_channel_is_verified_by_what_was_read_there(api: Api) -> None:
    customer = await with_mail(api, "one@example.com")
    channel, code = await added(api, customer, "one@example.com")
    wrong = problem_of(await verify(api, customer, channel, f"{(int(code) + 1) % 10**6:06}"), 422, "code_wrong")
    assert wrong["triesLeft"] == 4
    right, again = await verify(api, customer, channel, code), await verify(api, customer, channel, code)
    assert (right.status_code, again.status_code) == (200, 200)
    assert right.json()["verifiedAt"] == again.json()["verifiedAt"] is not None
    (listed,) = (await api.http.get(f"/customers/{customer}/channels")).json()["items"]
    assert listed == right.json()
    assert await audit_of(api, channel) == ["channel.added", "code.wrong", "code.proven", "channel.verified"]
    more = await api.http.post(f"/customers/{customer}/channels", json={"kind": "email", "address": "ONE@example.com"})
    assert more.json() == right.json(), "verified is verified, and no code goes out"
    gone = await api.http.delete(f"/customers/{customer}/channels/{channel}")
    assert gone.status_code == 204
    assert (await api.http.get(f"/customers/{customer}/channels")).json() == {"items": []}
    problem_of(await api.http.delete(f"/customers/{customer}/channels/{channel}"), 404, "channel_not_found")
    assert (await audit_of(api, channel))[-1] == "channel.removed"


async def test_an_address_is_verified_for_one_customer_only(api: Api) -> None:
    ours, theirs = await with_mail(api, "same@example.com"), await with_mail(api, "same@example.com")
    (mine, my_code), (other, other_code) = (
        await added(api, ours, "same@example.com"), await added(api, theirs, "same@example.com"),
    )  # fmt: skip
    answers = await asyncio.gather(verify(api, ours, mine, my_code), verify(api, theirs, other, other_code))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    first, second = (ours, theirs) if answers[0].status_code == 200 else (theirs, ours)
    id_of_first = mine if first == ours else other
    assert (await api.http.delete(f"/customers/{first}/channels/{id_of_first}")).status_code == 204
    code, channel = (my_code, mine) if second == ours else (other_code, other)
    assert (await verify(api, second, channel, code)).status_code == 200, "free again, and the code was not used up"


async def test_only_the_address_of_the_account_can_be_added(api: Api) -> None:
    customer = await with_mail(api, "mine@example.com")
    other = {"kind": "email", "address": "eve@example.com"}
    problem_of(await api.http.post(f"/customers/{customer}/channels", json=other), 409, "conflict")
    sms = {"kind": "sms", "address": "+49301234567"}
    problem_of(await api.http.post(f"/customers/{customer}/channels", json=sms), 422, "validation_failed")
    assert sent(api, "eve@example.com") == []


async def test_codes_are_not_sent_without_end(api: Api) -> None:
    customer = await with_mail(api, "many@example.com")
    channel, first = await added(api, customer, "many@example.com")
    path, body = f"/customers/{customer}/channels", {"kind": "email", "address": "many@example.com"}
    soon = problem_of(await api.http.post(path, json=body), 429, "rate_limited")
    assert soon["limit"] == "code"
    for _ in range(4):
        async with api.house.db.transaction(DEMO) as session:
            await session.run(text("UPDATE customer_codes SET sent_at = sent_at - interval '1 minute'"))
        channel, _ = await added(api, customer, "many@example.com")
    problem_of(await api.http.post(path, json=body), 429, "rate_limited")
    problem_of(await verify(api, customer, channel, first), 422, "code_wrong")


async def test_another_organisations_channel_is_not_there(api: Api) -> None:
    customer = await with_mail(api, "ours@example.com")
    channel, code = await added(api, customer, "ours@example.com")
    theirs = bearer(await api.house.key("ingest", organisation="elsewhere"))
    path = f"/customers/{customer}/channels"
    foreign = await api.http.post(f"{path}/{channel}/verify", json={"code": code}, headers=theirs)
    missing = await api.http.post(f"{path}/chn_{'0' * 32}/verify", json={"code": code}, headers=theirs)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    assert (await verify(api, customer, channel, code)).status_code == 200
