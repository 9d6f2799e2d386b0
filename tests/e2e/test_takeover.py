"""A person takes a conversation over: the agent keeps still there, and nothing a customer writes is lost."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from domain.values import Channel, CustomerId
from schema.conversations import Conversation, ConversationRepository
from tests.house import DEMO, House

WISH = "I want to talk to a person"


@dataclass
class Desk:
    """An operator at work in one conversation."""

    house: House
    conversation: str
    name: str
    key: str

    async def post(self, verb: str, **body: Any) -> httpx2.Response:
        return await self.house.http.post(
            f"/conversations/{self.conversation}/{verb}", json=body or None, headers=self.headers
        )

    async def take(self, **body: Any) -> httpx2.Response:
        return await self.house.http.post(
            f"/conversations/{self.conversation}/takeover", json=body, headers=self.headers
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def sees(self) -> dict[str, Any]:
        return dict((await self.house.http.get(f"/conversations/{self.conversation}", headers=self.headers)).json())

    async def texts(self) -> list[tuple[str, str]]:
        return [(m["by"], m["text"]) for m in (await self.sees())["messages"]]

    async def handoff(self, answer: dict[str, Any]) -> dict[str, Any]:
        path = f"/handoffs/{answer['handoff']['id']}"
        return dict((await self.house.http.get(path, headers=self.headers)).json())


@pytest.fixture
async def ana(house: House) -> Desk:
    """Ana, an operator, looking at the conversation of a customer whose refund the rules would grant."""
    await house.customer()
    await house.invoice("inv_1001", 4_900)
    answer = (await house.chat("hello")).json()
    return Desk(house, answer["conversationId"], "ana", await house.key("operator", name="ana"))


async def other(ana: Desk, name: str, *scopes: str) -> Desk:
    return Desk(ana.house, ana.conversation, name, await ana.house.key(*(scopes or ("operator",)), name=name))


async def end_hold(ana: Desk) -> None:
    """The hold's time passes: its end is put into the past, behind the product's back."""
    from sqlalchemy import text

    async with ana.house.db.transaction(DEMO) as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await session.run(
            text("UPDATE conversations SET human_until = :past WHERE organisation = :organisation AND id = :id"),
            past=past,
            id=ana.conversation,
        )


async def test_while_a_person_holds_it_the_agent_does_nothing(house: House, ana: Desk) -> None:
    assert (await ana.take()).json()["state"] == "human"
    first = (await house.chat("refund please")).json()
    assert (first["status"], first["decision"]["outcome"]) == ("waiting_for_human", "ask_human")
    assert [r["code"] for r in first["decision"]["reasons"]] == ["conversation_taken_over"]
    assert (first["actions"], await house.refunds(), await house.count("effects")) == ([], [], 0)
    assert first["handoff"]["kind"] == "takeover"
    assert "colleague" in first["reply"]


async def test_the_desk_shows_who_speaks_with_the_customer_while_they_do(house: House, ana: Desk) -> None:
    asked = (await house.chat(WISH)).json()

    async def shown() -> list[tuple[Any, Any]]:
        listed = (await house.http.get("/handoffs", headers=ana.headers)).json()["items"]
        return [(one["heldBy"], one["heldUntil"]) for one in (*listed, await ana.handoff(asked))]

    assert await shown() == [(None, None)] * 2
    held = (await ana.take()).json()
    assert await shown() == [("ana", held["heldUntil"])] * 2
    await end_hold(ana)
    assert await shown() == [(None, None)] * 2


async def test_negative_control_without_the_takeover_the_same_message_is_refunded(house: House, ana: Desk) -> None:
    assert (await house.chat("refund please")).json()["status"] == "completed"
    assert len(await house.refunds()) == 1


async def test_further_messages_join_the_takeover_and_end_at_once_without_a_word(house: House, ana: Desk) -> None:
    await ana.take()
    first = (await house.chat("refund please")).json()
    second = (await house.chat("it is invoice inv_1001, are you there?")).json()
    assert (second["status"], second["reply"], second["handoff"]) == ("completed", "", None)
    assert second["decision"]["outcome"] == "ask_human"
    assert await house.count("handoffs") == 1
    assert ("customer", "it is invoice inv_1001, are you there?") in await ana.texts()
    events = [e for e in (await ana.handoff(first))["history"] if e["kind"] == "customer_answered"]
    assert [e["details"] for e in events] == [{"interaction": second["interactionId"]}]
    assert await house.refunds() == []


async def test_a_joined_message_leaves_no_workflow_behind_and_is_one_workflow_task(house: House, ana: Desk) -> None:
    await ana.take()
    await house.chat(WISH)
    joined = (await house.chat("refund please")).json()
    shown = (await house.http.get(f"/interactions/{joined['interactionId']}")).json()
    workflow = house.temporal.get_workflow_handle(shown["links"]["temporal"].rsplit("/", 1)[1])
    await workflow.result()
    history = await workflow.fetch_history()
    kinds = [e.WhichOneof("attributes") for e in history.events]
    assert kinds.count("workflow_task_completed_event_attributes") == 1
    assert "start_child_workflow_execution_initiated_event_attributes" not in kinds


async def test_the_customer_is_acknowledged_once_when_a_takeover_was_claimed_before(house: House, ana: Desk) -> None:
    """The takeover was opened by the customer's own wish; then Ana takes the conversation."""
    asked = (await house.chat(WISH)).json()
    await ana.take()
    replies = [(await house.chat(f"refund inv_100{n} please")).json()["reply"] for n in range(3)]
    assert [bool(reply) for reply in replies] == [True, False, False]
    assert await house.count("handoffs") == 1
    assert sum(e["kind"] == "customer_answered" for e in (await ana.handoff(asked))["history"]) == 3


async def test_wanting_a_person_is_acknowledged_every_time(house: House, ana: Desk) -> None:
    await ana.take()
    replies = [(await house.chat(WISH)).json()["reply"] for _ in range(3)]
    assert all("colleague" in reply for reply in replies)
    assert await house.count("handoffs") == 1


async def test_in_shadow_a_takeover_is_seen_and_nothing_changes(house: House, ana: Desk) -> None:
    await ana.take()
    asked = (await house.chat(WISH)).json()
    before = await ana.sees()
    for message in ("refund please", WISH):
        shadow = (await house.chat(message, mode="shadow")).json()
        assert (shadow["decision"]["reasons"][0]["code"], shadow["status"]) == ("conversation_taken_over", "completed")
        assert "colleague" in shadow["reply"]
    assert await ana.sees() == before
    assert not [e for e in (await ana.handoff(asked))["history"] if e["kind"] == "customer_answered"]
    assert (await house.chat("refund please")).json()["reply"] == ""


async def test_of_ten_messages_at_once_one_asks_and_nine_join(house: House, ana: Desk, round_: int) -> None:
    await ana.take()
    answers = await asyncio.gather(*(house.chat(f"refund my invoice number {n} please") for n in range(10)))
    statuses = sorted(a.json()["status"] for a in answers)
    assert statuses == ["completed"] * 9 + ["waiting_for_human"]
    assert await house.count("handoffs") == 1


async def test_a_repeated_message_gets_its_first_answer_and_is_heard_once(house: House, ana: Desk) -> None:
    asked = (await house.chat(WISH)).json()
    await ana.take()
    first, again = [(await house.chat("refund please", requestId="r1")).json() for _ in range(2)]
    assert {**again, "replayed": False} == first
    assert sum(e["kind"] == "customer_answered" for e in (await ana.handoff(asked))["history"]) == 1


async def test_released_or_run_out_the_agent_answers_again(house: House, ana: Desk) -> None:
    await ana.take()
    assert (await ana.post("release")).json()["state"] == "open"
    assert (await house.chat("hello again")).json()["decision"]["outcome"] == "proceed"
    await ana.take(**{"for": "PT1M"})
    await end_hold(ana)
    assert (await ana.sees())["state"] == "open"
    assert (await house.chat("refund please")).json()["status"] == "completed"
    assert len(await house.refunds()) == 1


async def test_a_persons_answer_to_the_takeover_ends_the_interaction_that_asked(house: House, ana: Desk) -> None:
    await ana.take()
    asked = (await house.chat("refund please")).json()
    await house.http.post(
        f"/handoffs/{asked['handoff']['id']}/resolve", json={"reply": "I have looked."}, headers=ana.headers
    )
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], ended["reply"]) == ("completed", "I have looked.")
    assert (await ana.texts())[-1] == ("operator", "I have looked.")
    assert (await ana.sees())["state"] == "human"
    assert (await house.chat("and my second refund?")).json()["status"] == "waiting_for_human"


async def test_an_operators_message_reaches_the_customer_and_decides_nothing(house: House, ana: Desk) -> None:
    asked = (await house.chat(WISH)).json()
    await ana.take()
    sent = await ana.post("messages", message="Which invoice is it?", waitForCustomer=True)
    assert sent.status_code == 200, sent.text
    shown = await ana.sees()
    assert shown["messages"][-1] | {"at": ""} == {
        "id": sent.json()["id"], "at": "", "by": "operator", "author": "ana", "text": "Which invoice is it?",
        "interactionId": asked["interactionId"],
    }  # fmt: skip
    assert shown["waitingForCustomerSince"] is not None
    handoff = await ana.handoff(asked)
    assert handoff["decision"] is None
    assert [e["kind"] for e in handoff["history"]][-2:] in (
        ["operator_message", "waiting_for_customer"],
        ["waiting_for_customer", "operator_message"],
    )
    timeline = (await house.http.get(f"/interactions/{asked['interactionId']}")).json()["timeline"]
    assert {"author": "ana", "text": "Which invoice is it?"} in [m["data"] for m in timeline if m["what"] == "sent"]
    assert [m["data"]["status"] for m in timeline if m["data"].get("purpose", "").startswith("operator_message")] == [
        "delivered"
    ]
    # Ana has spoken, so nobody else says that somebody will.
    assert (await house.chat("inv_1001")).json()["reply"] == ""
    assert (await ana.sees())["waitingForCustomerSince"] is None
    assert (await ana.handoff(asked))["history"][-1]["kind"] == "customer_answered"


async def test_clocks_go_on_when_the_customer_answers_even_if_the_agent_answers_again(house: House, ana: Desk) -> None:
    asked = (await house.chat(WISH)).json()
    await ana.take()
    await ana.post("messages", message="Which invoice is it?", waitForCustomer=True)
    await ana.post("release")
    await house.chat("Automatic reply: I am not in the office")
    assert (await ana.sees())["waitingForCustomerSince"] is not None, "a machine answers nobody's question"
    await house.chat("hello")
    assert (await ana.sees())["waitingForCustomerSince"] is None
    kinds = [e["kind"] for e in (await ana.handoff(asked))["history"]]
    assert kinds.count("customer_answered") == 1


async def test_closed_is_opened_again_by_a_question_and_not_by_thanks_or_a_machine(house: House, ana: Desk) -> None:
    assert (await ana.post("close")).json()["state"] == "closed"
    for courtesy in ("Thank you so much!", "ok \N{THUMBS UP SIGN}", "Automatic reply: out of office", "..."):
        answer = (await house.chat(courtesy)).json()
        assert (answer["status"], answer["reply"], answer["handoff"]) == ("completed", "", None), courtesy
    assert (await ana.sees())["state"] == "closed"
    assert (await house.chat("refund please")).json()["status"] == "completed"
    assert (await ana.sees())["state"] == "open"
    assert [e["kind"] for e in (await ana.sees())["history"]] == ["closed", "reopened"]


async def test_no_reopen_loop_after_a_person_answered(house: House, ana: Desk) -> None:
    """Thanks and machines brought every resolved takeover back, as a new one."""
    asked = (await house.chat(WISH)).json()
    await house.http.post(f"/handoffs/{asked['handoff']['id']}/resolve", json={"reply": "Done."})
    await house.until_finished(asked["interactionId"])
    for courtesy in ("ok \N{THUMBS UP SIGN}", "Automatic reply: out of office", "..."):
        assert (await house.chat(courtesy)).json()["status"] == "completed", courtesy
    assert await house.count("handoffs") == 1
    assert (await house.chat("xyzzy plugh")).json()["status"] == "waiting_for_human", "the control: doubt asks a person"


async def test_nothing_is_closed_over_what_waits_for_a_person(house: House, ana: Desk) -> None:
    asked = (await house.chat(WISH)).json()
    refused = await ana.post("close")
    assert (refused.status_code, refused.json()["handoffs"]) == (409, [asked["handoff"]["id"]])


async def test_another_operator_is_told_who_has_it_and_an_admin_may_take_it(house: House, ana: Desk) -> None:
    until = (await ana.take(**{"for": "PT2H"})).json()["heldUntil"]
    ben, root = await other(ana, "ben"), await other(ana, "root", "admin")
    for refused in (await ben.take(), await ben.post("release"), await ben.post("close"), await _says(ben, "me too")):
        assert (refused.status_code, refused.json()["by"]) == (409, "ana")
        assert datetime.fromisoformat(refused.json()["until"]) == datetime.fromisoformat(until)
    assert (await root.take()).json()["heldBy"] == "root"
    assert (await _says(ana, "hello?")).json()["by"] == "root"
    assert (await root.sees())["history"][-1]["details"]["from"] == "ana"


async def test_of_twenty_who_take_it_at_once_one_has_it(house: House, ana: Desk, round_: int) -> None:
    desks = [await other(ana, f"operator {n}") for n in range(20)]
    answers = await asyncio.gather(*(desk.take() for desk in desks))
    (winner,) = [a.json()["heldBy"] for a in answers if a.status_code == 200]
    assert {a.json()["by"] for a in answers if a.status_code == 409} == {winner}


async def test_only_who_holds_it_speaks_and_a_repeat_is_sent_once(house: House, ana: Desk) -> None:
    assert (await _says(ana, "hi")).status_code == 409
    await ana.take()
    first, again = [await _says(ana, "hi", requestId="m1") for _ in range(2)]
    assert (first.json()["replayed"], again.json()["replayed"]) == (False, True)
    assert first.json()["id"] == again.json()["id"]
    changed = await _says(ana, "bye", requestId="m1")
    assert (changed.status_code, changed.json()["code"]) == (422, "request_id_reused")
    assert [text for by, text in await ana.texts() if by == "operator"] == ["hi"]


async def test_where_the_channel_is_not_read_live_the_message_goes_by_mail_too(house: House, ana: Desk) -> None:
    await house.customer(email="c123@example.com")
    opened = await _opened(house, Channel.API)
    desk = Desk(house, opened.id, "ana", ana.key)
    await desk.take()
    assert (await _says(desk, "We found your parcel.")).status_code == 200
    from sqlalchemy import text

    async with house.db.transaction(DEMO) as session:
        rows = await session.all(
            text("SELECT channel, status, told_at FROM deliveries WHERE purpose LIKE 'operator%' ORDER BY channel")
        )
    assert [(r.channel, r.status) for r in rows] == [("api", "delivered"), ("email", "pending")]
    assert rows[1].told_at is None, "whoever sends mails finds it"


async def _opened(house: House, channel: Channel) -> Conversation:
    async with house.db.transaction(DEMO) as session:
        return await ConversationRepository(session).open(CustomerId("cust_123"), channel, datetime.now(UTC))


async def _says(desk: Desk, message: str, **body: Any) -> httpx2.Response:
    return await desk.post("messages", message=message, **body)


async def test_both_sides_are_shown_in_order(house: House, ana: Desk) -> None:
    asked = (await house.chat(WISH)).json()
    await ana.take()
    await _says(ana, "Hello, this is Ana.")
    joined = (await house.chat("refund please")).json()
    assert await ana.texts() == [
        ("customer", "hello"), ("agent", (await ana.sees())["messages"][1]["text"]), ("customer", WISH),
        ("agent", asked["reply"]), ("operator", "Hello, this is Ana."), ("customer", "refund please"),
    ]  # fmt: skip
    assert joined["reply"] == ""
    page = (await house.http.get(f"/conversations/{ana.conversation}?limit=2")).json()
    assert [m["text"] for m in page["messages"]] == ["Hello, this is Ana.", "refund please"]
    earlier = (await house.http.get(f"/conversations/{ana.conversation}?limit=4&cursor={page['earlierCursor']}")).json()
    assert (len(earlier["messages"]), earlier["earlierCursor"]) == (4, None)


async def test_writing_deciding_claiming_and_answering_at_once_wait_for_nobody_for_ever(
    house: House, ana: Desk, round_: int
) -> None:
    """Each takes locks of its own; taken in different orders they would end each other."""
    asked = (await house.chat(WISH)).json()
    path = f"/handoffs/{asked['handoff']['id']}"
    await house.http.post(f"{path}/claim", headers=ana.headers)

    async def resolve() -> httpx2.Response:
        return await house.http.post(f"{path}/resolve", json={"reply": "Done."}, headers=ana.headers)

    answers = await asyncio.gather(
        *(_says(ana, f"m{n}", waitForCustomer=True) for n in range(8)),
        *(house.http.post(f"{path}/claim", headers=ana.headers) for _ in range(4)),
        resolve(),
        *(house.chat(f"and invoice number {n}?") for n in range(6)),
        *(ana.post("release") for _ in range(2)),
    )
    assert {a.status_code for a in answers} <= {200, 409}, [a.text for a in answers if a.status_code not in {200, 409}]
    assert (await house.until_finished(asked["interactionId"]))["reply"] == "Done."
