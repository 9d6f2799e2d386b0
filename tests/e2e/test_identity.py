"""Who asks: what a message counts for, the code that proves it, and that nothing happens without."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from adapters.llm.embedded import EmbeddedIntentModel
from domain.step_up import MOST_A_DAY, MOST_TRIES, VALID_FOR
from schema.session import Database
from tests.house import DEMO, House, open_house, own_namespace
from tests.postgres import PostgresServer
from tests.sealed import CODEC, unseal
from tests.temporal import DevServer, temporal_server
from tests.test_replay import decoded
from workflows.runtime import ensure_search_attributes, temporal_plugin

MAIL = "c123@example.com"
REFUND = "please refund inv_1001"


class Widget:
    """A page anybody can open: its key vouches for nobody."""

    def __init__(self, house: House, key: str) -> None:
        self.house = house
        self.auth = {"Authorization": f"Bearer {key}"}

    async def chat(self, message: str, **fields: Any) -> httpx2.Response:
        body = {"customerId": "cust_123", "message": message, **fields}
        return await self.house.http.post("/chat", json=body, headers=self.auth)

    async def verify(self, interaction: str, code: str, **headers: str) -> httpx2.Response:
        path = f"/interactions/{interaction}/verify"
        return await self.house.http.post(path, json={"code": code}, headers={**self.auth, **headers})

    async def send_again(self, interaction: str) -> httpx2.Response:
        return await self.house.http.post(f"/interactions/{interaction}/code", headers=self.auth)


def codes(house: House) -> list[str]:
    """Those in the mails, as customers read them."""
    found = [re.search(r"^Your code is (\d{6})\s*$", mail.get_content(), re.MULTILINE) for mail in house.mails()]
    return [match[1] for match in found if match]


async def code_after(house: House, before: list[str]) -> str:
    """The one that came since."""
    async with asyncio.timeout(30):
        while len(now := codes(house)) <= len(before):  # noqa: ASYNC110 - a folder
            await asyncio.sleep(0.02)
    remaining = list(now)
    for code in before:
        remaining.remove(code)
    return remaining[0]


def wrong(code: str, number: int = 1) -> str:
    return f"{(int(code) + number) % 10**6:06}"


async def bound(house: House, customer: str = "cust_123", address: str = MAIL) -> str:
    """The customer's address, verified through the API; the channel's id."""
    before = codes(house)
    added = await house.http.post(f"/customers/{customer}/channels", json={"kind": "email", "address": address})
    assert added.status_code == 201, added.text
    channel = str(added.json()["id"])
    code = await code_after(house, before)
    verified = await house.http.post(f"/customers/{customer}/channels/{channel}/verify", json={"code": code})
    assert (verified.status_code, verified.json()["verifiedAt"] is not None) == (200, True), verified.text
    return channel


@pytest.fixture
async def widget(house: House) -> Widget:
    return await furnished(house)


async def asked(widget: Widget, message: str = REFUND, **fields: Any) -> tuple[str, str]:
    """An interaction that waits for its code, and the code."""
    before = codes(widget.house)
    answer = await widget.chat(message, **fields)
    assert (answer.status_code, answer.json()["status"]) == (200, "waiting_for_customer"), answer.text
    return str(answer.json()["interactionId"]), await code_after(widget.house, before)


async def test_whoever_vouches_is_served_as_ever(house: House) -> None:
    await house.customer(email=MAIL)
    await house.invoice("inv_1001", 4_900)
    answer = (await house.chat(REFUND)).json()
    assert answer["status"] == "completed"
    shown = await house.until_settled(answer["interactionId"])
    assert (shown["assurance"], len(await house.refunds())) == ("vouched", 1)
    assert shown["timeline"][0]["data"]["assurance"] == "vouched"


async def test_nobody_known_gets_a_person_where_no_address_is_verified(widget: Widget) -> None:
    answer = (await widget.chat(REFUND)).json()
    assert answer["status"] == "waiting_for_human"
    assert "sure that it is you" in answer["reply"]
    shown = (await widget.house.http.get(f"/interactions/{answer['interactionId']}")).json()
    (reason,) = shown["decision"]["reasons"]
    assert (reason["code"], shown["handoff"]["kind"], shown["assurance"]) == ("identity_not_proven", "takeover", "none")
    assert (await widget.house.refunds(), shown["actions"]) == ([], [])


@pytest.mark.parametrize("message", ["what is on my bill?", "refund inv_9999", "refund EUR 999 of inv_1001"])
async def test_nothing_of_the_account_is_told_to_nobody_known(widget: Widget, message: str) -> None:
    """Not even by the words of a refusal, nor to the key that asked."""
    answer = (await widget.chat(message)).json()
    assert answer["status"] == "waiting_for_human"
    told = str(answer) + (await widget.house.http.get(answer["links"]["self"], headers=widget.auth)).text
    for secret in ("49.00", "4900", "paid", "not_found", "invoice_", "decision", "verification"):
        assert secret not in told.replace(message, "")


async def test_general_questions_need_nothing(widget: Widget) -> None:
    assert (await widget.chat("hello")).json()["status"] == "completed"
    assert (await widget.chat("the app crashes whenever I log in")).json()["status"] == "completed"


async def test_a_code_that_comes_back_lets_exactly_this_request_go_on(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    assert await house.refunds() == []
    answer = await widget.verify(interaction, code)
    assert (answer.status_code, answer.json()["status"]) == (200, "completed"), answer.text
    assert "49.00" in answer.json()["reply"]
    shown = await house.until_settled(interaction)
    assert (shown["assurance"], len(await house.refunds())) == ("code", 1)
    stages = [m["data"]["stage"] for m in shown["timeline"] if m["kind"] == "decision"]
    assert stages == ["first", "first:proven"]
    acts = [m["what"] for m in shown["timeline"] if m["kind"] == "audit"]
    assert [a for a in acts if a.startswith("code.")] == ["code.sent", "code.proven"]
    again = await widget.verify(interaction, code)
    assert (again.status_code, again.json()["status"]) == (200, "completed")
    other = await widget.verify(interaction, wrong(code))
    assert (other.status_code, other.json()["code"], other.json()["reason"]) == (409, "code_over", "proven")
    assert len(await house.refunds()) == 1
    fresh = (await widget.chat(REFUND)).json()
    assert fresh["status"] == "waiting_for_customer", "the next request is another one"


async def test_wrong_answers_are_counted_once_each_and_the_fifth_ends_it(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    for number in range(1, MOST_TRIES):
        for _ in range(2):  # a repeat of the network is no second try
            answer = await widget.verify(interaction, wrong(code, number))
            assert (answer.status_code, answer.json()["code"]) == (422, "code_wrong"), answer.text
            assert answer.json()["triesLeft"] == MOST_TRIES - number
    last = await widget.verify(interaction, wrong(code, MOST_TRIES))
    assert (last.status_code, last.json()["reason"]) == (409, "used_up")
    late = await widget.verify(interaction, code)
    assert (late.status_code, late.json()["reason"]) == (409, "used_up"), "the right one comes too late"
    shown = await house.until(interaction, lambda i: i["status"] == "waiting_for_human")
    assert (shown["handoff"]["kind"], shown["assurance"], await house.refunds()) == ("takeover", "none", [])
    assert (await widget.send_again(interaction)).json()["reason"] == "used_up"


async def test_answers_that_race_are_heard_one_by_one(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    answers = await asyncio.gather(*(widget.verify(interaction, code) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    await house.until_settled(interaction)
    assert len(await house.refunds()) == 1
    other, right = await asked(widget, "please refund EUR 1 of inv_1001")
    guesses = [wrong(right, number) for number in range(1, 11)]
    answers = await asyncio.gather(*(widget.verify(other, guess) for guess in guesses))
    assert sum(answer.status_code == 422 for answer in answers) == MOST_TRIES - 1, "no more than five were heard"


async def test_a_verified_sender_is_told_about_the_account_and_proves_more_for_money(house: House) -> None:
    await house.customer(email=MAIL)
    await house.invoice("inv_1001", 4_900)
    sender = {"kind": "email", "address": MAIL.upper()}
    unknown = (await house.chat("what is on my bill?", sender=sender)).json()
    assert unknown["status"] == "waiting_for_human"
    await bound(house)
    known = (await house.chat("what is on my bill?", sender=sender)).json()
    assert (known["status"], "49.00" in known["reply"]) == ("completed", True)
    forged = (await house.chat("what is on my bill?", sender={**sender, "address": "eve@example.com"})).json()
    assert (forged["status"], "49.00" in forged["reply"]) == ("waiting_for_customer", False)
    money = (await house.chat(REFUND, sender=sender)).json()
    assert (money["status"], await house.refunds()) == ("waiting_for_customer", [])


async def test_the_code_stands_nowhere_but_in_the_mail(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    await widget.verify(interaction, wrong(code))
    await widget.verify(interaction, code)
    await house.until_settled(interaction)
    async with house.db.transaction(DEMO) as session:
        found = await _everywhere(session, code)
    assert found == []
    shown = (await house.http.get(f"/interactions/{interaction}")).text
    deliveries = (await house.http.get("/deliveries")).text
    assert not re.search(rf"(?<!\d){code}(?!\d)", shown + deliveries)
    assert code in codes(house), "the control"


async def _everywhere(session: Any, code: str) -> list[str]:
    names = await session.all(text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"))
    found = []
    for row in names:
        if row.tablename in {"worker_heartbeats"}:
            continue
        said = await session.all(text(f"SELECT to_jsonb(x)::text AS words FROM {row.tablename} x"))
        if any(re.search(rf"(?<!\d){code}(?!\d)", one.words) for one in said):
            found.append(row.tablename)
    return found


async def test_a_code_is_sent_again_only_so_often(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    soon = await widget.send_again(interaction)
    assert (soon.status_code, soon.json()["code"]) == (429, "rate_limited")
    for left in (1, 0):
        before = codes(house)
        await _a_minute_earlier(house.db)
        sent = await widget.send_again(interaction)
        assert (sent.status_code, sent.json()["sendsLeft"]) == (202, left), sent.text
        assert await code_after(house, before) == code
    await _a_minute_earlier(house.db)
    enough = await widget.send_again(interaction)
    assert (enough.status_code, enough.json()["reason"]) == (409, "sends")
    assert (await widget.verify(interaction, code)).status_code == 200


async def _a_minute_earlier(db: Database) -> None:
    async with db.transaction(DEMO) as session:
        await session.run(text("UPDATE customer_codes SET sent_at = sent_at - interval '1 minute'"))


async def test_a_customer_who_is_forgotten_while_the_code_is_out(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    gone = await house.http.post("/customers/cust_123/erase", json={"requestId": "r1"})
    assert gone.status_code == 202
    shown = await house.until_finished(interaction)
    assert (shown["status"], shown["message"]) == ("failed", "erased")
    late = await widget.verify(interaction, code)
    assert (late.status_code, late.json()["reason"]) == (409, "not_asked")
    assert (await house.count("customer_channels"), await house.count("customer_codes")) == (0, 0)


async def test_a_removed_address_leads_to_a_person(widget: Widget) -> None:
    house = widget.house
    channel = await bound(house)
    interaction, code = await asked(widget)
    assert (await house.http.delete(f"/customers/cust_123/channels/{channel}")).status_code == 204
    assert (await widget.verify(interaction, code)).json()["reason"] == "not_asked"
    assert (await widget.chat(REFUND)).json()["status"] == "waiting_for_human"


async def test_a_person_who_took_the_conversation_over_meanwhile_has_it(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    conversation = (await house.http.get(f"/interactions/{interaction}")).json()["conversationId"]
    assert (await house.http.post(f"/conversations/{conversation}/takeover", json={})).status_code == 200
    answer = await widget.verify(interaction, code)
    assert answer.status_code == 200
    await house.until(interaction, lambda i: i["status"] != "waiting_for_customer")
    assert await house.refunds() == []


async def test_what_needs_approval_still_does(house: House) -> None:
    await house.customer(email=MAIL)
    await house.invoice("inv_1001", 48_000)
    await bound(house)
    widget = Widget(house, await house.key("ingest", vouches=False))
    interaction, code = await asked(widget)
    answer = await widget.verify(interaction, code)
    assert (answer.json()["status"], await house.refunds()) == ("waiting_for_human", [])
    shown = (await house.http.get(f"/interactions/{interaction}")).json()
    assert (shown["handoff"]["kind"], shown["decision"]["reasons"][0]["code"]) == ("approval", "over_auto_limit")
    digest = (await house.http.get(f"/handoffs/{shown['handoff']['id']}")).json()["digest"]
    yes = await house.http.post(f"/handoffs/{shown['handoff']['id']}/approve", json={"digest": digest})
    assert yes.status_code == 200
    await house.until_settled(interaction)
    assert len(await house.refunds()) == 1


async def test_a_key_that_vouches_for_nobody_reaches_what_customers_do(widget: Widget) -> None:
    http, auth = widget.house.http, widget.auth
    for method, path in (
        ("POST", "/customers/cust_123/tokens"),
        ("PUT", "/customers/cust_123"),
        ("POST", "/customers/cust_123/channels"),
        ("GET", "/customers/cust_123"),
        ("GET", "/interactions"),
        ("GET", "/handoffs"),
    ):
        refused = await http.request(method, path, json={} if method != "GET" else None, headers=auth)
        assert refused.status_code in {403, 422}, (path, refused.text)
        if refused.status_code == 422:
            body = {"name": "x", "plan": "pro", "status": "active"}
            body = {"kind": "email", "address": MAIL} if path.endswith("channels") else body
            refused = await http.request(method, path, json=body, headers=auth)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing"), path


async def test_silence_for_ten_minutes_leads_to_a_person_and_the_code_is_worth_nothing(
    postgres: PostgresServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> None:
    url = postgres.create()
    async with (
        temporal_server(plugins=[temporal_plugin(CODEC)]) as skipping,
        open_house(url, "", tmp_path, client=await prepared(skipping), intents=intents) as house,
    ):
        widget = await furnished(house)
        await bound(house)
        interaction, code = await asked(widget)
        handle = house.temporal.get_workflow_handle(await workflow_of(house, interaction))
        await skipping.fast_forward(handle, VALID_FOR - timedelta(minutes=1))
        assert (await house.http.get(f"/interactions/{interaction}")).json()["status"] == "waiting_for_customer"
        await skipping.fast_forward(handle, timedelta(minutes=2))
        shown = await house.until(interaction, lambda i: i["status"] == "waiting_for_human")
        late = await widget.verify(interaction, code)
        assert (late.status_code, late.json()["reason"]) == (409, "expired")
        assert (shown["handoff"]["kind"], await house.refunds()) == ("takeover", [])
        assert "code.expired" in [m["what"] for m in shown["timeline"]]
        handoff = (await house.http.get(f"/handoffs/{shown['handoff']['id']}")).json()
        assert handoff["reason"] == "code_expired"
        said = {"reply": "Please call us."}
        answered = await house.http.post(f"/handoffs/{handoff['id']}/resolve", json=said)
        assert answered.status_code == 200
        ended = await house.until_finished(interaction)
        assert (ended["status"], ended["reply"]) == ("completed", "Please call us.")
    postgres.drop(url)


async def test_a_proof_nobody_told_of_is_found_when_the_time_is_over(
    postgres: PostgresServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> None:
    """As when Temporal is away in the moment the code comes back: Postgres has it."""
    url = postgres.create()
    async with (
        temporal_server(plugins=[temporal_plugin(CODEC)]) as skipping,
        open_house(url, "", tmp_path, client=await prepared(skipping), intents=intents) as house,
    ):
        widget = await furnished(house)
        await bound(house)
        interaction, _ = await asked(widget)
        async with house.db.transaction(DEMO) as session:
            await session.run(text("UPDATE customer_codes SET state = 'proven', nonce = NULL WHERE state = 'open'"))
            await session.run(text("UPDATE interactions SET assurance = 'code'"))
        handle = house.temporal.get_workflow_handle(await workflow_of(house, interaction))
        await skipping.fast_forward(handle, VALID_FOR + timedelta(minutes=1))
        shown = await house.until_settled(interaction)
        assert (shown["status"], len(await house.refunds())) == ("completed", 1)
    postgres.drop(url)


async def test_what_a_person_corrects_into_a_refund_needs_the_code_too(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    answer = (await widget.chat("xyzzy plugh")).json()
    shown = (await house.http.get(f"/interactions/{answer['interactionId']}")).json()
    before, correction = codes(house), {"continue": True, "correction": {"intent": "refund_request"}}
    said = await house.http.post(f"/handoffs/{shown['handoff']['id']}/resolve", json=correction)
    assert said.status_code == 200, said.text
    interaction = str(answer["interactionId"])
    await house.until(interaction, lambda i: i["status"] == "waiting_for_customer")
    assert await house.refunds() == []
    assert (await widget.verify(interaction, await code_after(house, before))).status_code == 200
    shown = await house.until_settled(interaction)
    assert (shown["status"], len(await house.refunds())) == ("completed", 1)
    stages = [m["data"]["stage"] for m in shown["timeline"] if m["kind"] == "decision"]
    assert stages == ["first", "corrected:1", "corrected:1:proven"]


async def test_a_customer_gets_so_many_codes_a_day_and_then_a_person(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    for _ in range(MOST_A_DAY):
        await asked(widget)
    answer = (await widget.chat(REFUND)).json()
    assert answer["status"] == "waiting_for_human"
    timeline = (await house.http.get(f"/interactions/{answer['interactionId']}")).json()["timeline"]
    assert "code.not_sent" in [moment["what"] for moment in timeline]


async def test_a_wait_outlives_the_worker(
    postgres: PostgresServer, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> None:
    url, client = postgres.create(), await own_namespace(temporal.address)
    settings = {"task_queue": "q-identity"}
    async with open_house(url, temporal.address, tmp_path, client=client, intents=intents, settings=settings) as house:
        widget = await furnished(house)
        await bound(house)
        interaction, code = await asked(widget)
        sent = len(codes(house))
    async with open_house(url, temporal.address, tmp_path, client=client, intents=intents, settings=settings) as house:
        widget = Widget(house, await house.key("ingest", vouches=False))
        answer = await widget.verify(interaction, code)
        assert answer.status_code == 200, answer.text
        await house.until_settled(interaction)
        assert (len(await house.refunds()), len(codes(house))) == (1, sent)
    postgres.drop(url)


async def test_the_code_comes_back_in_the_chat_and_is_no_message(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    wrong_one = await widget.chat(wrong(code))
    assert (wrong_one.status_code, wrong_one.json()["status"]) == (200, "waiting_for_customer")
    assert "not the code" in wrong_one.json()["reply"]
    right = (await widget.chat(f" {code[:3]} {code[3:]}. ")).json()
    assert (right["interactionId"], right["status"], "49.00" in right["reply"]) == (interaction, "completed", True)
    again = (await widget.chat(code)).json()
    assert (again["interactionId"], again["status"]) == (interaction, "completed")
    await house.until_settled(interaction)
    async with house.db.transaction(DEMO) as session:
        assert await _everywhere(session, code) == []
    assert (len(await house.refunds()), await house.count("interactions")) == (1, 1)
    somebody = (await house.chat("123456")).json()
    assert somebody["interactionId"] != interaction, "the control: digits are a message where nobody waits for a code"


async def test_another_organisation_cannot_answer(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    eve = Widget(house, await house.key("ingest", organisation="elsewhere"))
    foreign, missing = await eve.verify(interaction, code), await eve.verify(f"int_{'0' * 32}", code)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    foreign, missing = await eve.send_again(interaction), await eve.send_again(f"int_{'0' * 32}")
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    assert (await widget.verify(interaction, code)).status_code == 200


async def test_no_history_holds_the_code(widget: Widget) -> None:
    house = widget.house
    await bound(house)
    interaction, code = await asked(widget)
    await widget.verify(interaction, code)
    await house.until_settled(interaction)
    async for run in house.temporal.list_workflows():
        history = await house.temporal.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        unseal(history)
        assert not re.search(rf"(?<![\w]){code}(?![\w])", " ".join(decoded(history.to_json())))


async def prepared(skipping: WorkflowEnvironment) -> Client:
    await ensure_search_attributes(skipping.client)
    return skipping.client


async def furnished(house: House) -> Widget:
    await house.customer(email=MAIL)
    await house.invoice("inv_1001", 4_900)
    return Widget(house, await house.key("ingest", vouches=False))


async def workflow_of(house: House, interaction: str) -> str:
    async with house.db.transaction(DEMO) as session:
        row = await session.first(text("SELECT workflow_id FROM interactions WHERE id = :id"), id=interaction)
    assert row is not None
    return str(row.workflow_id)
