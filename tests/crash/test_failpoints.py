"""kill -9 at every failpoint of the path: afterwards there is exactly one of each effect, and the one answer.

The processes are real, the client does what a good client does: it repeats the same request until it is answered.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.house import House
from tests.postgres import PostgresServer
from tests.processes import Processes, data_folder, processes, until_answered
from tests.receiver import Receiver, receiver
from tests.temporal import DevServer

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
async def running(
    postgres: PostgresServer,
    temporal: DevServer,
    tmp_path_factory: pytest.TempPathFactory,
    models: Path,
) -> Any:
    url = postgres.create()
    async with processes(url, temporal, tmp_path_factory.mktemp("crash"), models) as both:
        yield both
    postgres.drop(url)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, learnt: Path) -> Path:
    """A data folder with the intent model in it, so that a restarted worker need not train."""
    return data_folder(tmp_path_factory.mktemp("data"), learnt)


REFUND = [("api", f) for f in ("F1", "F2", "F3")] + [("worker", f) for f in ("F4", "F5", "F6", "F7", "F8")]
MAIL = [("worker", "F12"), ("worker", "F13")]


@pytest.mark.parametrize(("process", "failpoint"), REFUND + MAIL)
async def test_a_crash_at_any_point_leaves_one_refund_one_mail_one_answer(
    running: tuple[Processes, House], process: str, failpoint: str
) -> None:
    both, house = running
    customer = f"cust_{process}_{failpoint}"
    await house.customer(customer, email=f"{customer}@example.com")
    await house.invoice("inv_1", 4_900, customer_id=customer)
    body = {"customerId": customer, "message": "refund please", "requestId": "req_1"}
    both.arm(process, failpoint)
    first = asyncio.create_task(_try(house.http, body))
    await both.died(process)
    await both.restart(process)
    await first
    answer = (await until_answered(house.http, "/chat", body)).json()
    ended = await house.until_settled(answer["interactionId"])

    refunds = [r for r in await house.refunds() if r.customer_id == customer]
    mails = [m for m in house.mails() if m["To"] == f"{customer}@example.com"]
    assert answer["status"] == ended["status"] == "completed"
    assert [(a["tool"], a["effect"]) for a in ended["actions"]] == [
        ("issue_refund", "confirmed"),
        ("send_email", "confirmed"),
    ]
    assert [r.amount for r in refunds] == [4_900]
    assert len(mails) == 1
    assert (await until_answered(house.http, "/chat", body)).json() == {**answer, "replayed": True}


@pytest.mark.parametrize("failpoint", ["F9", "F10"])
async def test_a_decision_survives_the_crash_before_or_after_the_workflow_hears_it(
    running: tuple[Processes, House], failpoint: str
) -> None:
    both, house = running
    customer = f"cust_approve_{failpoint}"
    await house.customer(customer, plan="enterprise")
    await house.invoice("inv_1", 48_000, customer_id=customer)
    body = {"customerId": customer, "message": "refund please", "requestId": "req_1"}
    asked = (await until_answered(house.http, "/chat", body)).json()
    path = f"/handoffs/{asked['handoff']['id']}"
    digest = (await house.http.get(path)).json()["digest"]

    both.arm("api", failpoint)
    with contextlib.suppress(httpx2.TransportError):
        await house.http.post(f"{path}/approve", json={"digest": digest})
    await both.died("api")
    await both.restart("api")
    await both.ready(house.http)

    # Nobody asks again: the process that comes next tells the workflow what was decided.
    ended = await house.until_settled(asked["interactionId"])
    assert ended["status"] == "completed"
    assert [r.amount for r in await house.refunds() if r.customer_id == customer] == [48_000]
    assert (await house.http.post(f"{path}/approve", json={"digest": digest})).status_code == 200


@contextlib.asynccontextmanager
async def subscribed(house: House, hook: Receiver, kind: str) -> AsyncIterator[str]:
    answer = await house.http.post("/webhooks", json={"url": hook.url, "eventTypes": [kind]})
    assert answer.status_code == 201, answer.text
    yield str(answer.json()["id"])
    await house.http.delete(f"/webhooks/{answer.json()['id']}")


@pytest.mark.parametrize(("failpoint", "calls"), [("F12", 1), ("F13", 2)])
async def test_W3_a_crash_around_an_attempt_repeats_it_under_its_id(
    running: tuple[Processes, House], failpoint: str, calls: int
) -> None:
    both, house = running
    async with receiver() as hook, subscribed(house, hook, "ping") as webhook_id:
        both.arm("worker", failpoint)
        delivery_id = (await house.http.post(f"/webhooks/{webhook_id}/test")).json()["deliveryId"]
        await both.died("worker")
        await both.restart("worker")
        heard = await hook.until(calls)
        delivery = await _until_delivered(house, delivery_id)
    assert [one.id for one in heard] == [delivery["webhookId"]] * calls
    assert len(hook.heard) == calls
    assert [e["status"] for e in delivery["history"]] == ["attempting", "lost", "attempting", "delivered"]


async def test_W5_an_event_survives_the_process_that_recorded_it(running: tuple[Processes, House]) -> None:
    both, house = running
    customer = "cust_decided"
    await house.customer(customer, plan="enterprise")
    await house.invoice("inv_1", 48_000, customer_id=customer)
    body = {"customerId": customer, "message": "refund please", "requestId": "req_1"}
    asked = (await until_answered(house.http, "/chat", body)).json()
    async with receiver() as hook, subscribed(house, hook, "handoff.decided"):
        both.arm("api", "F9")
        with contextlib.suppress(httpx2.TransportError):
            await house.http.post(f"/handoffs/{asked['handoff']['id']}/reject", json={"reply": "No."})
        await both.died("api")
        assert hook.heard == []
        await both.restart("api")
        await both.ready(house.http)
        (heard,) = await hook.until(1)
        assert json.loads(heard.body)["data"]["decision"] == "rejected"
        await house.until_settled(asked["interactionId"])
    assert len(hook.heard) == 1


async def _until_delivered(house: House, delivery_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    async with asyncio.timeout(30):
        while shown.get("status") != "delivered":
            shown = dict((await house.http.get(f"/deliveries/{delivery_id}")).json())
            await asyncio.sleep(0.05)
    return shown


async def test_negative_control_without_the_ledger_a_crash_would_refund_twice(
    running: tuple[Processes, House],
) -> None:
    """The billing system itself refuses a second refund only under the same key: the ledger is what keeps the key."""
    _, house = running
    await house.customer("cust_control")
    await house.invoice("inv_1", 4_900, customer_id="cust_control")
    from domain.values import CustomerId, Money
    from schema.invoices import InvoiceRepository
    from tests.house import DEMO

    async with house.db.transaction(DEMO) as session:
        billing = InvoiceRepository(session)
        for key in ("attempt-1", "attempt-2"):  # what an at-least-once engine does without a ledger
            await billing.refund(key, CustomerId("cust_control"), "inv_1", Money(amount=1_000, currency="EUR"))
    assert len([r for r in await house.refunds() if r.customer_id == "cust_control"]) == 2


async def _try(http: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    with contextlib.suppress(httpx2.TransportError):
        await http.post("/chat", json=body)
