"""Records the golden histories that guard replay: `make histories`, or some: `make histories ARGS='approved rejected'`.
One per workflow and outcome, from the real house.

Commit what changes only when the change is meant: a history is a promise to runs that are under way.
"""

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.llm.embedded import EmbeddedIntentModel
from domain.audit import SealInput
from domain.erasure import ErasureRef, Tombstone
from domain.errors import ToolOutcomeUnknown
from domain.facts import Facts
from domain.ports import IntentScores, Ports
from domain.tools import TOOLS
from domain.tools.create_ticket import create_ticket
from domain.tools.tool import AnyTool, Tool, ToolCall
from domain.understanding.intents import EXAMPLES
from domain.values import CustomerId, Json, Value
from schema.erasures import ErasureRepository
from tests.house import DEMO, House, open_house
from tests.postgres import embedded_postgres
from tests.receiver import Receiver, receiver
from tests.sealed import unseal
from tests.temporal import dev_server
from workflows import ids

HISTORIES = Path(__file__).parent / "histories"
OVER_LIMIT = 48_000


async def _unknown(arguments: Value, call: ToolCall, ports: Ports) -> Json:
    raise ToolOutcomeUnknown("the line went dead")


def _nothing(arguments: Value, facts: Facts) -> Json:
    return {}


UNCERTAIN: dict[str, AnyTool] = {
    **TOOLS,
    "create_ticket": Tool(
        name="create_ticket",
        summary="A ticket system that never says whether it heard.",
        arguments=create_ticket.arguments,
        run=_unknown,
        preview=_nothing,
    ),
}
"""The shipped tools, but tickets are opened in an outside system that is not idempotent."""


@dataclass
class Recorder:
    house: House
    recorded: list[str] = field(default_factory=list)

    async def interaction(self, name: str, answer: Json) -> None:
        shown = (await self.house.http.get(f"/interactions/{answer['interactionId']}")).json()
        await self._save(f"interaction_{name}", shown["links"]["temporal"].rsplit("/", 1)[1])

    async def handoff(self, name: str, answer: Json, until: str = "") -> None:
        await self._save(f"handoff_{name}", ids.handoff("demo", answer["handoff"]["id"]), until)  # type: ignore[arg-type]

    async def delivery(self, name: str, delivery_id: str, status: str) -> None:
        await self.until_delivery(delivery_id, status)
        workflow_id = ids.delivery("demo", delivery_id)  # type: ignore[arg-type]
        await self._save(f"delivery_{name}", workflow_id, "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED")

    async def until_delivery(self, delivery_id: str, status: str) -> None:
        shown: Json = {}
        while shown.get("status") != status:
            shown = (await self.house.http.get(f"/deliveries/{delivery_id}")).json()
            await asyncio.sleep(0.02)

    async def pinged(self, world: Receiver) -> str:
        """A delivery on its way to a webhook of the world's."""
        created = await self.house.http.post("/webhooks", json={"url": world.url, "eventTypes": ["ping"]})
        assert created.status_code == 201, created.text
        sent = await self.house.http.post(f"/webhooks/{created.json()['id']}/test")
        return str(sent.json()["deliveryId"])

    async def _save(self, name: str, workflow_id: str, until: str = "") -> None:
        """As it stands, or as soon as it holds an event of the type `until`."""
        handle = self.house.temporal.get_workflow_handle(workflow_id)
        history = await handle.fetch_history()
        while until not in history.to_json():
            await asyncio.sleep(0.02)
            history = await handle.fetch_history()
        # In clear, so that a change can be read and nobody needs a key; the workflows are the same either way.
        unseal(history)
        # Where the code lies on the machine that recorded it is nobody's business, and nothing replays it.
        text = re.sub(r'("stackTrace": )"(?:[^"\\]|\\.)*"', r'\1""', history.to_json())
        (HISTORIES / f"{name}.json").write_text(text + "\n")
        self.recorded.append(name)

    async def asked(self, **fields: Any) -> Json:
        await self.house.customer("cust_456", plan="enterprise", email="c456@example.com")
        await self.house.invoice("inv_2001", OVER_LIMIT, customer_id="cust_456")
        return dict((await self.house.chat("refund please", customer_id="cust_456", **fields)).json())

    async def decide(self, answer: Json, verb: str, **body: Any) -> None:
        path = f"/handoffs/{answer['handoff']['id']}"
        if verb == "approve":
            body["digest"] = (await self.house.http.get(path)).json()["digest"]
        assert (await self.house.http.post(f"{path}/{verb}", json=body)).status_code == 200
        await self.house.until_settled(answer["interactionId"])


async def proceeded(r: Recorder) -> None:
    await r.house.customer(email="c123@example.com")
    await r.house.invoice("inv_1001", 4_900)
    answer = (await r.house.chat("refund please")).json()
    await r.house.until_settled(answer["interactionId"])
    await r.interaction("proceeded", answer)


async def answered_without_action(r: Recorder) -> None:
    await r.house.customer()
    await r.interaction("answered_without_action", (await r.house.chat("hello")).json())


async def refused(r: Recorder) -> None:
    await r.house.customer()
    await r.house.invoice("inv_1001", 4_900, paid_days_ago=60)
    await r.interaction("refused", (await r.house.chat("refund please")).json())


async def shadow(r: Recorder) -> None:
    await r.house.customer()
    await r.house.invoice("inv_1001", 4_900)
    await r.interaction("shadow", (await r.house.chat("refund please", mode="shadow")).json())


async def approved(r: Recorder) -> None:
    answer = await r.asked()
    await r.decide(answer, "approve")
    await r.interaction("approved", answer)
    await r.handoff("approved", answer)


async def rejected(r: Recorder) -> None:
    answer = await r.asked()
    await r.decide(answer, "reject")
    await r.interaction("rejected", answer)
    await r.handoff("rejected", answer)


async def resolved(r: Recorder) -> None:
    await r.house.customer()
    answer = (await r.house.chat("I want a human")).json()
    await r.decide(answer, "resolve", reply="Hello, this is Ana.")
    await r.interaction("resolved", answer)
    await r.handoff("resolved", answer)


async def waiting(r: Recorder) -> None:
    answer = await r.asked()
    await r.interaction("waiting", answer)
    await r.handoff("waiting", answer, until="EVENT_TYPE_TIMER_STARTED")


async def effect_unknown(r: Recorder) -> None:
    await r.house.customer()
    answer = (await r.house.chat("the app crashes whenever I log in")).json()
    await r.decide(answer, "resolve", reply="I have opened the ticket myself.")
    await r.interaction("effect_unknown", answer)


async def passed_on(r: Recorder) -> None:
    await r.house.customer()
    asked = (await r.house.chat("I want a human")).json()
    taken = await r.house.http.post(f"/conversations/{asked['conversationId']}/takeover", json={})
    assert taken.status_code == 200
    await r.interaction("passed_on", (await r.house.chat("refund please")).json())


async def corrected(r: Recorder) -> None:
    """Corrected into a refund that needs approval, and approved."""
    await r.house.customer(email="c123@example.com")
    await r.house.invoice("inv_1001", OVER_LIMIT)
    answer = (await r.house.chat("xyzzy plugh")).json()
    correction = {"continue": True, "correction": {"intent": "refund_request"}}
    path = f"/handoffs/{answer['handoff']['id']}/resolve"
    assert (await r.house.http.post(path, json=correction)).status_code == 200
    shown = await r.house.until(answer["interactionId"], lambda i: i["handoff"]["kind"] == "approval")
    await r.decide(shown, "approve")
    await r.interaction("corrected", answer)


async def delivered(r: Recorder) -> None:
    async with receiver() as world:
        await r.delivery("delivered", await r.pinged(world), "delivered")


async def retried(r: Recorder) -> None:
    async with receiver() as world:
        world.faults.append("429 Slow\r\nRetry-After: 1")
        await r.delivery("retried", await r.pinged(world), "delivered")


async def redriven(r: Recorder) -> None:
    async with receiver() as world:
        world.faults.append("410 Gone")
        delivery = await r.pinged(world)
        await r.until_delivery(delivery, "dead_letter")
        webhook = (await r.house.http.get("/webhooks")).json()["items"][0]["id"]
        assert (await r.house.http.patch(f"/webhooks/{webhook}", json={"enabled": True})).status_code == 200
        assert (await r.house.http.post(f"/deliveries/{delivery}/redrive", json={})).status_code == 200
        await r.delivery("redriven", delivery, "delivered")


async def discarded(r: Recorder) -> None:
    async with receiver() as world:
        world.faults.append("410 Gone")
        delivery = await r.pinged(world)
        await r.until_delivery(delivery, "dead_letter")
        note = {"note": "the receiver was a test"}
        assert (await r.house.http.post(f"/deliveries/{delivery}/discard", json=note)).status_code == 200
        await r.delivery("discarded", delivery, "discarded")


async def sealed(r: Recorder) -> None:
    await r.house.customer()
    await r.house.chat("hello")
    queue = r.house.settings.task_queue
    await r.house.temporal.execute_workflow(ids.AUDIT_SEAL_WORKFLOW, SealInput(), id="audit-seal", task_queue=queue)
    await r._save("audit_sealed", "audit-seal", "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED")


async def counted(r: Recorder) -> None:
    await r.house.customer()
    await r.house.chat("hello")
    await r.house.temporal.execute_workflow(ids.ROLLUP_WORKFLOW, id="rollups", task_queue=r.house.settings.task_queue)
    await r._save("rollup_counted", "rollups", "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED")


async def forgotten(r: Recorder) -> None:
    """Its second look is two minutes away: recorded while it waits."""
    await r.house.customer()
    await r.house.chat("hello")
    asked = (await r.house.http.post("/customers/cust_123/erase", json={"requestId": "r1"})).json()
    await r._save("erasure_waiting", ids.erasure(DEMO, asked["id"]), "EVENT_TYPE_TIMER_STARTED")


async def expired(r: Recorder) -> None:
    await r.house.customer()
    queue = r.house.settings.task_queue
    await r.house.temporal.execute_workflow(ids.RETENTION_WORKFLOW, id="retention", task_queue=queue)
    await r._save("retention_ended", "retention", "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED")


async def held(r: Recorder) -> None:
    """Asked for, and before it was done somebody placed a hold: recorded while it waits."""
    await r.house.customer()
    stone = Tombstone(id="ers_held0", organisation=DEMO, subject="s", by="ana", at=datetime.now(UTC))
    async with r.house.db.transaction(DEMO) as session:
        await ErasureRepository(session).request(stone, CustomerId("cust_123"), "r1")
    placed = await r.house.http.post("/holds", json={"customerId": "cust_123", "reason": "a dispute"})
    assert placed.status_code == 201
    workflow_id, start = ids.erasure(DEMO, stone.id), ErasureRef(organisation=DEMO, erasure_id=stone.id)
    queue = r.house.settings.task_queue
    await r.house.temporal.start_workflow(ids.ERASURE_WORKFLOW, start, id=workflow_id, task_queue=queue)
    await r._save("erasure_held", workflow_id, "EVENT_TYPE_TIMER_STARTED")


class Broken:
    """An intent model with a bug."""

    def classify(self, text: str) -> IntentScores:
        raise ZeroDivisionError


async def finished_by_a_person(r: Recorder) -> None:
    await r.house.customer()
    answer = (await r.house.chat("the app crashes whenever I log in")).json()
    await r.decide(answer, "resolve", reply="I have looked into it myself.")
    await r.interaction("finished_by_a_person", answer)


async def failed(r: Recorder) -> None:
    await r.house.customer()
    await r.interaction("failed", (await r.house.chat("the app crashes whenever I log in", mode="shadow")).json())


async def code_wanted(r: Recorder) -> tuple[Json, str, dict[str, str]]:
    """A request that waits for its code; the code, and who may give it back."""
    await r.house.customer(email="c123@example.com")
    await r.house.invoice("inv_1001", 4_900)
    before = mailed(r)
    added = await r.house.http.post(
        "/customers/cust_123/channels", json={"kind": "email", "address": "c123@example.com"}
    )
    path = f"/customers/cust_123/channels/{added.json()['id']}/verify"
    first = await mailed_code(r, before)
    assert (await r.house.http.post(path, json={"code": first})).status_code == 200
    auth = {"Authorization": f"Bearer {await r.house.key('ingest', vouches=False)}"}
    body = {"customerId": "cust_123", "message": "refund please"}
    answer = (await r.house.http.post("/chat", json=body, headers=auth)).json()
    return answer, await mailed_code(r, [*before, first]), auth


def mailed(r: Recorder) -> list[str]:
    """The codes in the mails so far, those of earlier stories too."""
    return [found[1] for m in r.house.mails() if (found := re.search(r"Your code is (\d{6})", m.get_content()))]


async def mailed_code(r: Recorder, before: list[str]) -> str:
    """The one that came since."""
    while not (new := [code for code in mailed(r) if code not in before]):  # noqa: ASYNC110 - a folder
        await asyncio.sleep(0.02)
    return new[0]


async def proven(r: Recorder) -> None:
    answer, code, auth = await code_wanted(r)
    path = f"/interactions/{answer['interactionId']}/verify"
    assert (await r.house.http.post(path, json={"code": code}, headers=auth)).status_code == 200
    await r.house.until_settled(answer["interactionId"])
    await r.interaction("proven", answer)


async def code_used_up(r: Recorder) -> None:
    answer, code, auth = await code_wanted(r)
    path = f"/interactions/{answer['interactionId']}/verify"
    for number in range(1, 6):
        wrong = f"{(int(code) + number) % 10**6:06}"
        assert (await r.house.http.post(path, json={"code": wrong}, headers=auth)).status_code in {409, 422}
    shown = await r.house.until(answer["interactionId"], lambda i: i["status"] == "waiting_for_human")
    await r.decide(shown, "resolve", reply="Please call us.")
    await r.interaction("code_used_up", answer)


async def waiting_for_code(r: Recorder) -> None:
    answer, _, _ = await code_wanted(r)
    await r.interaction("waiting_for_code", answer)


STORIES: tuple[tuple[Callable[[Recorder], Awaitable[None]], dict[str, Any]], ...] = (
    (proceeded, {}),
    (answered_without_action, {}),
    (refused, {}),
    (shadow, {}),
    (approved, {}),
    (rejected, {}),
    (resolved, {}),
    (waiting, {}),
    (effect_unknown, {"tools": UNCERTAIN}),
    (passed_on, {}),
    (corrected, {}),
    (finished_by_a_person, {"intents": Broken()}),
    (failed, {"intents": Broken()}),
    (delivered, {}),
    (retried, {}),
    (redriven, {}),
    (sealed, {}),
    (counted, {}),
    (forgotten, {}),
    (expired, {}),
    (held, {}),
    (discarded, {}),
    (proven, {}),
    (code_used_up, {}),
    (waiting_for_code, {}),
)


async def main(only: list[str]) -> None:
    """Every story, or those named."""
    HISTORIES.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="holdfast-histories-"))
    intents = EmbeddedIntentModel(EXAMPLES, folder)
    intents.warm()
    with embedded_postgres() as postgres:
        async with dev_server(folder) as temporal:
            for story, parts in STORIES:
                if only and story.__name__ not in only:
                    continue
                async with open_house(
                    postgres.create(), temporal.address, folder, **{"intents": intents, **parts}
                ) as house:
                    recorder = Recorder(house)
                    await story(recorder)
                    print(f"{story.__name__}: {', '.join(recorder.recorded)}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
