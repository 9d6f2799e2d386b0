"""Approvals that mean something: exact, judged again when edited, by enough different people, in time, once."""

import asyncio
import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import psycopg
import pytest
from sqlalchemy import text

from tests.api.wire import problem_of
from tests.e2e.test_handoffs import OVER_LIMIT, asked, decide
from tests.house import DEMO, House

__all__ = ["asked"]

LARGE = 150_000


class Desk:
    """One handoff and people with keys of their own."""

    def __init__(self, house: House, answer: dict[str, Any], keys: dict[str, str] | None = None) -> None:
        self.house = house
        self.answer = answer
        self.path = f"/handoffs/{answer['handoff']['id']}"
        self._keys = {} if keys is None else keys

    def other(self, answer: dict[str, Any]) -> "Desk":
        """Another handoff, the same people."""
        return Desk(self.house, answer, self._keys)

    async def say(self, who: str, verb: str, scope: str = "operator", **body: Any) -> httpx2.Response:
        if who not in self._keys:
            self._keys[who] = await self.house.key(scope, name=who)
        headers = {"Authorization": f"Bearer {self._keys[who]}"}
        return await self.house.http.post(f"{self.path}/{verb}", json=body, headers=headers)

    async def shown(self) -> dict[str, Any]:
        return dict((await self.house.http.get(self.path)).json())

    async def digest(self) -> str:
        return str((await self.shown())["digest"])

    async def edit(self, who: str, amount: int, **more: Any) -> httpx2.Response:
        shown = await self.shown()
        return await self.say(who, "approve", digest=shown["digest"], arguments=edited(shown, amount), **more)

    async def kinds(self) -> list[str]:
        return [moment["kind"] for moment in (await self.shown())["history"]]

    async def audited(self) -> list[tuple[str, str]]:
        async with self.house.db.transaction(DEMO) as session:
            statement = text("SELECT actor, action FROM audit_events WHERE subject = :subject ORDER BY at, id")
            rows = await session.all(statement, subject=self.answer["handoff"]["id"])
        return [(row.actor, row.action) for row in rows]

    def behind_our_back(self, assignments: str) -> None:
        """What no part of the product may write."""
        with psycopg.connect(self.house.settings.database_url, autocommit=True) as owner:
            owner.execute(f"UPDATE handoffs SET {assignments} WHERE id = %s".encode(), [self.answer["handoff"]["id"]])


def edited(shown: dict[str, Any], amount: int) -> list[dict[str, Any]]:
    calls = [{"tool": a["tool"], "arguments": dict(a["arguments"])} for a in shown["proposed"]]
    calls[0]["arguments"]["amount"] = amount
    return calls


@pytest.fixture
async def desk(house: House, asked: dict[str, Any]) -> Desk:
    return Desk(house, asked)


@pytest.fixture
async def large(house: House) -> Desk:
    """A refund that takes two people."""
    await house.customer("cust_large", plan="enterprise")
    await house.invoice("inv_large", LARGE, customer_id="cust_large")
    return Desk(house, (await house.chat("refund please", customer_id="cust_large")).json())


async def test_the_detail_has_what_is_needed_to_decide(house: House, desk: Desk) -> None:
    shown = await desk.shown()
    assert shown["customer"] == {
        "id": "cust_456", "name": "Test Person", "plan": "enterprise", "status": "active",
    }  # fmt: skip
    assert (shown["message"], shown["conversationId"]) == ("refund please", desk.answer["conversationId"])
    refund = shown["proposed"][0]
    assert refund["preview"] == {"invoiceId": "inv_2001", "amount": {"amount": OVER_LIMIT, "currency": "EUR"}}
    assert "EUR 480.00" in refund["summary"]
    assert (shown["approvals"], shown["revisions"], shown["notes"]) == (
        {"needed": 1, "given": [], "rules": ["one_operator"]}, [], [],
    )  # fmt: skip
    assert (shown["tickets"], shown["presence"]) == ([], [])
    assert [(c["kind"], c["state"]) for c in shown["clocks"]] == [
        ("claim", "running"), ("first_response", "running"), ("resolution", "running"),
    ]  # fmt: skip
    expires = datetime.fromisoformat(shown["expiresAt"]) - datetime.fromisoformat(shown["openedAt"])
    assert expires == timedelta(days=7)
    assert (shown["briefing"]["suggestion"], shown["briefing"]["by"]) == (True, "rules")
    assert shown["briefing"]["resolution"]["step"] == "approve"
    assert set(shown["actionsByState"]) == {"executed", "pending", "unknown", "failed"}


async def test_the_audit_names_what_was_approved_and_what_came_of_it(house: House, desk: Desk) -> None:
    digest, interaction = await desk.digest(), desk.answer["interactionId"]
    await decide(house, desk.answer, "approve", digest=digest)
    await house.until_settled(interaction)
    events = (await house.http.get("/audit", params={"interactionId": interaction})).json()["items"]
    details = {event["action"]: event["details"] for event in events}
    assert details["handoff.approved"]["digest"] == digest
    sealed = details["interaction.completed"]["effects"]
    rows = [(await house.http.get(f"/effects/{effect['id']}")).json()["effect"] for effect in sealed]
    assert [e["tool"] for e in sealed] == ["issue_refund", "send_email"]
    assert [e["digest"] for e in sealed] == [row["digest"] for row in rows], "a row changed since shows"


async def test_a_decision_is_of_the_moment_it_was_taken_and_not_of_when_it_began_to_wait(
    house: House, desk: Desk
) -> None:
    digest, waiting = await desk.digest(), "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(house.settings.database_url) as owner:
        owner.execute("SELECT FROM handoffs WHERE id = %s FOR UPDATE", [desk.answer["handoff"]["id"]])
        word = asyncio.create_task(desk.say("olga", "approve", digest=digest))
        async with asyncio.timeout(10):
            while True:
                row = owner.execute(waiting).fetchone()
                if row is not None and row[0]:
                    break
                await asyncio.sleep(0.01)
        until = datetime.now(UTC)
    assert datetime.fromisoformat((await word).json()["decidedAt"]) >= until


async def test_after_it_happened_the_detail_says_so(house: House, desk: Desk) -> None:
    await decide(house, desk.answer, "approve", digest=await desk.digest())
    await house.until_settled(desk.answer["interactionId"])
    by_state = (await desk.shown())["actionsByState"]
    assert [a["tool"] for a in by_state["executed"]] == ["issue_refund", "send_email"]
    assert by_state["pending"] == by_state["unknown"] == by_state["failed"] == []


async def test_claiming_on_the_desk(house: House, desk: Desk) -> None:
    mine = (await desk.say("olga", "claim")).json()
    assert (mine["status"], mine["assignee"]) == ("claimed", "olga")
    taken = problem_of(await desk.say("otto", "claim"), 409, "conflict")
    assert (taken["assignee"], taken["claimedUntil"]) == ("olga", mine["claimedUntil"])
    problem_of(await desk.say("otto", "reject"), 409, "conflict")
    problem_of(await desk.say("otto", "approve", digest=mine["digest"]), 409, "conflict")
    problem_of(await desk.say("otto", "release"), 409, "conflict")
    problem_of(await desk.say("olga", "reassign", to="nobody"), 422, "request_invalid")
    await house.key("ingest", name="machine")
    problem_of(await desk.say("olga", "reassign", to="machine"), 422, "request_invalid")
    handed = (await desk.say("olga", "reassign", to="otto")).json()
    assert handed["assignee"] == "otto"
    noted = (await desk.say("olga", "notes", note="called them")).json()
    assert [(n["by"], n["note"]) for n in noted["notes"]] == [("olga", "called them")]
    assert (await desk.say("otto", "presence")).status_code == 204
    assert [p["operator"] for p in (await desk.shown())["presence"]] == ["otto"]
    for _ in range(2):  # the second changes nothing, and nothing is on record of it
        assert (await desk.say("otto", "release")).json()["status"] == "open"
    assert await desk.audited() == [
        ("agent", "handoff.opened"), ("olga", "handoff.claimed"), ("olga", "handoff.reassigned"),
        ("olga", "handoff.noted"), ("otto", "handoff.released"),
    ]  # fmt: skip


async def test_the_queue_knows_what_is_mine_and_when_a_claim_ran_out(house: House, desk: Desk) -> None:
    key = await house.key("operator", name="ines")
    headers = {"Authorization": f"Bearer {key}"}

    async def listed(**params: Any) -> list[str]:
        answer = await house.http.get("/handoffs", params=params, headers=headers)
        return [item["id"] for item in answer.json()["items"]]

    this = [desk.answer["handoff"]["id"]]
    assert (await listed(mine="true"), await listed(status="open")) == ([], this)
    await house.http.post(f"{desk.path}/claim", headers=headers)
    assert (await listed(mine="true"), await listed(assignee="ines"), await listed(status="open")) == (this, this, [])
    desk.behind_our_back("claimed_until = now() - interval '1 second'")
    assert (await listed(mine="true"), await listed(status="claimed"), await listed(status="open")) == ([], [], this)
    assert (await desk.shown())["assignee"] is None
    assert (await desk.say("otto", "claim")).status_code == 200
    assert "lease_expired" in await desk.kinds()
    assert ("system", "handoff.lease_expired") in await desk.audited()


async def test_a_claim_holds_nobody_up_for_ever(house: House, desk: Desk) -> None:
    await desk.say("olga", "claim")
    assert (await desk.say("boss", "reject", scope="admin")).status_code == 200
    other = desk.other((await house.chat("refund please", customer_id="cust_456")).json())
    await other.say("olga", "claim")
    other.behind_our_back("claimed_until = now() - interval '1 second'")
    assert (await other.say("otto", "reject")).status_code == 200


async def test_a_lower_amount_is_approved_and_runs(house: House, desk: Desk) -> None:
    before = await desk.shown()
    answer = (await desk.edit("olga", 30_000, note="as agreed")).json()
    assert (answer["decision"], answer["decidedBy"]) == ("approved", "olga")
    (revision,) = answer["revisions"]
    assert revision["diff"] == [
        {"action": 0, "tool": "issue_refund", "field": "amount", "before": OVER_LIMIT, "after": 30_000}
    ]
    assert (revision["by"], revision["digest"]) == ("olga", answer["digest"])
    assert answer["digest"] != before["digest"]
    ended = await house.until_settled(desk.answer["interactionId"])
    assert [r.amount for r in await house.refunds()] == [30_000]
    assert ended["status"] == "completed"
    assert "EUR 300.00" in ended["reply"]
    assert ("olga", "handoff.revised") in await desk.audited()


async def test_repeating_an_edit_returns_the_first_answer(house: House, desk: Desk) -> None:
    shown = await desk.shown()
    body = {"digest": shown["digest"], "arguments": edited(shown, 30_000)}
    first, second = await desk.say("olga", "approve", **body), await desk.say("olga", "approve", **body)
    await house.until_settled(desk.answer["interactionId"])
    third = await desk.say("olga", "approve", **body)
    assert [a.status_code for a in (first, second, third)] == [200] * 3
    assert {a.json()["decidedAt"] for a in (first, second, third)} == {first.json()["decidedAt"]}
    problem_of(await desk.say("otto", "approve", **body), 409, "handoff_already_decided")
    assert len(await house.refunds()) == 1


async def test_H2_an_edit_the_rules_refuse_changes_nothing(house: House, desk: Desk) -> None:
    before = await desk.shown()
    refused = problem_of(await desk.edit("olga", OVER_LIMIT + 1), 422, "edit_refused")
    assert refused["reasons"] or refused["issues"]
    problem_of(await desk.edit("olga", 0), 422, "edit_refused")
    calls = edited(before, 1)[:1]
    problem_of(await desk.say("olga", "approve", digest=before["digest"], arguments=calls), 422, "request_invalid")
    stale = await desk.say("olga", "approve", digest="0" * 64, arguments=edited(before, 1))
    problem_of(stale, 409, "approval_stale")
    after = await desk.shown()
    assert (after["digest"], after["proposed"], after["revisions"], after["history"]) == (
        before["digest"], before["proposed"], [], before["history"],
    )  # fmt: skip


async def test_H3_who_asks_for_more_does_not_approve_it(house: House) -> None:
    await house.customer("cust_more")
    await house.invoice("inv_more", 50_000, customer_id="cust_more")
    answer = (await house.chat("please refund 300 EUR of invoice inv_more", customer_id="cust_more")).json()
    desk = Desk(house, answer)
    assert (await desk.shown())["proposed"][0]["arguments"]["amount"] == 30_000
    raised = (await desk.edit("olga", 45_000)).json()
    assert (raised["decision"], raised["approvals"]["given"]) == (None, [])
    for body in ({"digest": raised["digest"]}, {"digest": raised["digest"], "arguments": edited(raised, 44_999)}):
        answer = await desk.say("olga", "approve", **body)
        assert answer.status_code == 403 or answer.json()["decision"] is None
    assert ("olga", "handoff.approval_denied") in await desk.audited()
    assert await house.refunds() == []
    approved = (await desk.say("otto", "approve", digest=await desk.digest())).json()
    assert (approved["decision"], approved["decidedBy"]) == ("approved", "otto")
    await house.until_finished(desk.answer["interactionId"])
    assert [r.amount for r in await house.refunds()] == [44_999]


async def test_H3_a_large_refund_takes_two_different_people(house: House, large: Desk) -> None:
    digest = await large.digest()
    first = await large.say("ana", "approve", digest=digest, note="checked")
    again = await large.say("ana", "approve", digest=digest, note="checked")
    assert (first.json()["decision"], again.json()["decision"]) == (None, None)
    assert first.json()["approvals"] == again.json()["approvals"]
    given = again.json()["approvals"]
    assert (given["needed"], [(g["by"], g["note"]) for g in given["given"]]) == (2, [("ana", "checked")])
    assert await house.refunds() == []
    second = (await large.say("ben", "approve", digest=digest)).json()
    assert (second["decision"], second["decidedBy"], len(second["approvals"]["given"])) == ("approved", "ben", 2)
    late = await large.say("ana", "approve", digest=digest, note="checked")
    assert (late.status_code, late.json()["decidedAt"]) == (200, second["decidedAt"])
    problem_of(await large.say("cem", "approve", digest=digest), 409, "handoff_already_decided")
    await house.until_finished(large.answer["interactionId"])
    assert [r.amount for r in await house.refunds()] == [LARGE]


async def test_a_yes_of_several_lets_go_of_the_claim(house: House, large: Desk) -> None:
    digest = await large.digest()
    await large.say("ana", "claim")
    assert (await large.say("ana", "approve", digest=digest)).json()["status"] == "open"
    assert (await large.say("ben", "approve", digest=digest)).json()["decision"] == "approved"


async def test_H2_an_edit_makes_former_yeses_count_no_longer(house: House, large: Desk) -> None:
    digest = await large.digest()
    await large.say("ana", "approve", digest=digest)
    edited_ = (await large.edit("ben", 140_000)).json()
    assert [g["by"] for g in edited_["approvals"]["given"]] == ["ben"]
    problem_of(await large.say("cem", "approve", digest=digest), 409, "approval_stale")
    assert (await large.say("ana", "approve", digest=edited_["digest"])).json()["decision"] == "approved"
    await house.until_finished(large.answer["interactionId"])
    assert [r.amount for r in await house.refunds()] == [140_000]


async def test_below_the_limit_one_person_is_enough_again(house: House, large: Desk) -> None:
    assert (await large.edit("ana", 90_000)).json()["decision"] == "approved"


async def test_one_no_ends_it_whoever_said_yes_before(house: House, large: Desk) -> None:
    digest = await large.digest()
    await large.say("ana", "approve", digest=digest)
    assert (await large.say("ben", "reject")).json()["decision"] == "rejected"
    problem_of(await large.say("cem", "approve", digest=digest), 409, "handoff_already_decided")
    await house.until_finished(large.answer["interactionId"])
    assert await house.refunds() == []


async def test_H6_a_revoked_key_decides_nothing_any_more(house: House, desk: Desk) -> None:
    digest = await desk.digest()
    assert (await desk.say("olga", "claim")).status_code == 200
    async with house.db.transaction(DEMO) as session:
        await session.run(text("UPDATE api_keys SET revoked_at = now() WHERE name = 'olga'"))
    problem_of(await desk.say("olga", "approve", digest=digest), 401, "key_revoked")
    assert (await desk.shown())["decision"] is None


async def test_H1_H2_yes_no_and_edits_at_once_end_in_one_decision_that_is_what_happens(
    house: House, desk: Desk, round_: int
) -> None:
    shown = await desk.shown()
    people = [f"operator {n}" for n in range(24)]
    for who in people:
        await desk.say(who, "presence")

    async def word(n: int) -> httpx2.Response:
        if n % 3 == 0:
            calls = edited(shown, 20_000 + n)
            return await desk.say(people[n], "approve", digest=shown["digest"], arguments=calls)
        if n % 3 == 1:
            return await desk.say(people[n], "approve", digest=shown["digest"])
        return await desk.say(people[n], "reject")

    answers = await asyncio.gather(*(word(n) for n in range(24)))
    assert sorted(a.status_code for a in answers) == [200] + [409] * 23
    await house.until_finished(desk.answer["interactionId"])
    after = await desk.shown()
    amounts = [r.amount for r in await house.refunds()]
    expected = [after["proposed"][0]["arguments"]["amount"]] if after["decision"] == "approved" else []
    assert amounts == expected
    assert [k for k in await desk.kinds() if k in {"approved", "rejected"}] == [after["decision"]]


class TestExpiry:
    async def test_H5_what_is_over_cannot_be_approved_and_a_person_answers_instead(
        self, house: House, desk: Desk
    ) -> None:
        digest = await desk.digest()
        desk.behind_our_back("expires_at = now()")
        late = problem_of(await desk.say("olga", "approve", digest=digest), 409, "handoff_already_decided")
        assert (late["decision"], late["by"]) == ("expired", "system")
        shown = await house.until(desk.answer["interactionId"], lambda i: i["handoff"]["kind"] == "takeover")
        after = desk.other(shown)
        assert (await after.shown())["reason"] == "handoff_expired"
        assert (await desk.shown())["status"] == "expired"
        assert ("system", "handoff.expired") in await desk.audited()
        await after.say("olga", "resolve", reply="I am looking into it.")
        ended = await house.until_finished(desk.answer["interactionId"])
        assert (ended["status"], await house.refunds()) == ("completed", [])

    async def test_H4_where_silence_is_declared_a_no_the_customer_is_told(self, house: House, desk: Desk) -> None:
        desk.behind_our_back("expires_at = now(), on_expiry = 'refuse'")
        problem_of(await desk.say("olga", "reject"), 409, "handoff_already_decided")
        ended = await house.until_finished(desk.answer["interactionId"])
        assert (ended["status"], await house.refunds()) == ("refused", [])
        assert "not approved in time" in ended["reply"]

    async def test_H2_the_time_is_part_of_what_is_bound(self, house: House, desk: Desk) -> None:
        """Somebody who could write the table gives an approval more time: the yes covers something else then."""
        digest = await desk.digest()
        desk.behind_our_back("expires_at = expires_at + interval '1 day'")
        await desk.say("olga", "approve", digest=digest)
        shown = await house.until(desk.answer["interactionId"], lambda i: i["handoff"]["kind"] == "takeover")
        assert (shown["handoff"]["kind"], await house.refunds()) == ("takeover", [])


class TestLinks:
    @staticmethod
    async def link(desk: Desk, approver: str) -> str:
        await desk.say(approver, "presence")
        made = await desk.house.http.post(f"{desk.path}/links", json={"approver": approver})
        assert made.status_code == 201, made.text
        return str(made.json()["url"])

    async def test_opening_it_shows_exactly_what_a_yes_allows_and_changes_nothing(self, desk: Desk) -> None:
        url = await self.link(desk, "ana")
        before = await desk.shown()
        for _ in range(3):
            page = await desk.house.http.get(url, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        for part in ("issue_refund", "EUR 480.00", "48000", "inv_2001", "cust_456", "ana", before["digest"]):
            assert part in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script|https?:|\son\w+=|style=", page.text)
        assert page.headers["cache-control"] == "no-store"
        assert {**await desk.shown(), "clocks": []} == {**before, "clocks": []}

    async def test_sending_its_form_decides_once_in_that_persons_name(self, house: House, desk: Desk) -> None:
        url = await self.link(desk, "ana")
        page = await house.http.post(url, data={"decision": "approve"}, headers={"Accept": "text/html"})
        assert (page.status_code, "approved" in page.text) == (200, True)
        shown = await desk.shown()
        assert (shown["decision"], shown["decidedBy"]) == ("approved", "ana")
        assert [(g["by"], g["via"]) for g in shown["approvals"]["given"]] == [("ana", "link")]
        problem_of(await house.http.post(url, json={"decision": "approve"}), 410, "approval_link_over")
        problem_of(await house.http.get(url), 410, "approval_link_over")
        over = await house.http.get(url, headers={"Accept": "text/html"})
        assert (over.status_code, over.text.startswith("<!doctype html>")) == (410, True)
        await house.until_finished(desk.answer["interactionId"])
        assert len(await house.refunds()) == 1
        assert {("local", "handoff.link_created"), ("ana", "handoff.link_used")} <= set(await desk.audited())

    async def test_used_by_many_at_once_it_speaks_once(self, house: House, large: Desk) -> None:
        url = await self.link(large, "ana")
        answers = await asyncio.gather(*(house.http.post(url, json={"decision": "approve"}) for _ in range(20)))
        assert sorted(a.status_code for a in answers) == [200] + [410] * 19
        shown = await large.shown()
        assert (shown["decision"], [g["by"] for g in shown["approvals"]["given"]]) == (None, ["ana"])

    async def test_H3_a_link_and_a_key_of_one_person_are_one_person(self, large: Desk) -> None:
        url = await self.link(large, "ana")
        await large.say("ana", "approve", digest=await large.digest())
        said = await large.house.http.post(url, json={"decision": "approve"})
        assert (said.status_code, said.json()["decision"]) == (200, None)
        assert len((await large.shown())["approvals"]["given"]) == 1

    async def test_a_no_by_link(self, house: House, desk: Desk) -> None:
        url = await self.link(desk, "ana")
        said = await house.http.post(url, json={"decision": "reject", "reply": "Sorry, no."})
        assert said.json() == {"handoffId": desk.answer["handoff"]["id"], "decision": "rejected"}
        assert (await house.until_finished(desk.answer["interactionId"]))["reply"] == "Sorry, no."

    async def test_an_edit_makes_a_link_worthless(self, large: Desk) -> None:
        url = await self.link(large, "ana")
        await large.edit("ben", 140_000)
        problem_of(await large.house.http.get(url), 410, "approval_link_over")
        problem_of(await large.house.http.post(url, json={"decision": "approve"}), 410, "approval_link_over")

    async def test_H6_what_is_taken_from_a_person_takes_the_link_with_it(self, house: House, desk: Desk) -> None:
        url = await self.link(desk, "ana")
        async with house.db.transaction(DEMO) as session:
            await session.run(text("UPDATE api_keys SET revoked_at = now() WHERE name = 'ana'"))
        problem_of(await house.http.post(url, json={"decision": "approve"}), 410, "approval_link_over")
        assert (await desk.shown())["decision"] is None

    async def test_past_its_time_it_is_over(self, house: House, desk: Desk) -> None:
        url = await self.link(desk, "ana")
        with psycopg.connect(house.settings.database_url, autocommit=True) as owner:
            owner.execute("UPDATE handoff_links SET expires_at = now()")
        problem_of(await house.http.post(url, json={"decision": "approve"}), 410, "approval_link_over")

    async def test_a_forged_one_says_nothing_about_what_exists(self, house: House, desk: Desk) -> None:
        url = await self.link(desk, "ana")
        flipped = url[:-1] + ("A" if url[-1] != "A" else "B")
        answers = [await house.http.get(path) for path in (flipped, "/approvals/abcdefgh.ijklmnop")]
        assert {(a.status_code, a.text) for a in answers} == {(404, answers[0].text)}
        problem_of(answers[0], 404, "approval_link_invalid")

    async def test_who_may_have_one(self, house: House, desk: Desk) -> None:
        await desk.say("ben", "presence")
        assert (await desk.say("ana", "links", approver="ana")).status_code == 201
        problem_of(await desk.say("ana", "links", approver="ben"), 403, "scope_missing")
        for without_key in ({"approver": "nobody"}, {"approver": "local"}, {}):
            refused = await house.http.post(f"{desk.path}/links", json=without_key)
            assert problem_of(refused, 422, "request_invalid")["fields"] == ["approver"]

    @pytest.mark.parametrize("body", [{}, {"decision": "yes"}, {"decision": "approve", "amount": 1}])
    async def test_what_is_no_word_uses_nothing_up(self, house: House, desk: Desk, body: dict[str, Any]) -> None:
        url = await self.link(desk, "ana")
        problem_of(await house.http.post(url, json=body), 422, "request_invalid")
        assert (await house.http.post(url, data={**body, "x": "y"})).status_code == 422
        assert (
            await house.http.post(url, content=b"approve", headers={"Content-Type": "text/plain"})
        ).status_code == 415
        assert (await house.http.post(url, json={"decision": "reject"})).status_code == 200


async def test_H4_no_decision_no_money(house: House, large: Desk) -> None:
    """Half a quorum, a claim, a note, a link, an edit that asks for more: none of them is a yes."""
    await large.say("ana", "claim")
    await large.say("ana", "notes", note="fine by me")
    await large.say("ana", "approve", digest=await large.digest())
    await TestLinks.link(large, "ben")
    assert await house.refunds() == []
    shown = (await house.http.get(f"/interactions/{large.answer['interactionId']}")).json()
    assert (shown["status"], shown["actions"]) == ("waiting_for_human", [])


async def test_H8_words_in_any_order_and_twice_end_the_same(house: House) -> None:
    keys: dict[str, str] = {}
    ends = set()
    for n, order in enumerate(itertools.permutations(("notes", "claim", "approve", "reject"))):
        name = f"cust_{n}"
        await house.customer(name)
        await house.invoice(f"inv_{n}", 15_000, customer_id=name)
        desk = Desk(house, (await house.chat("refund please", customer_id=name)).json(), keys)
        bodies: dict[str, dict[str, Any]] = {"notes": {"note": "n"}, "approve": {"digest": await desk.digest()}}
        statuses = [(await desk.say("olga", verb, **bodies.get(verb, {}))).status_code for verb in (*order, *order)]
        assert set(statuses) <= {200, 409}
        first = min(("approve", "reject"), key=order.index)
        shown, kinds = await desk.shown(), await desk.kinds()
        ends.add((shown["decision"], first, kinds.count("approved") + kinds.count("rejected"), kinds.count("noted")))
    assert ends == {("approved", "approve", 1, 2), ("rejected", "reject", 1, 2)}
