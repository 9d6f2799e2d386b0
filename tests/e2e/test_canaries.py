"""D-1, D-2: what people write and who they are stands in its own columns and nowhere else; secrets nowhere at all."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from schema.personal import PERSONAL
from schema.resealing import SEALED_COLUMNS
from tests.adapters.test_telemetry import collector
from tests.canaries import Canaries, columns, files
from tests.house import ID_KEY, KEYSET, House
from tests.postgres import PostgresServer
from tests.processes import Processes, data_folder, processes
from tests.receiver import Receiver, receiver
from tests.sealed import PAYLOAD_KEY
from tests.temporal import dev_server, free_port
from workflows.runtime import connect

OVER_LIMIT = 48_000
PAGES = ("interactions", "conversations", "handoffs", "deliveries", "effects")


@dataclass
class Told:
    """What was written where, and everything that was left behind."""

    canaries: Canaries
    secrets: dict[str, str]
    stored: dict[str, bytes]
    """Every column of the database."""
    places: dict[str, bytes] = field(default_factory=dict)
    """Everything else: where nothing may be found."""
    later: dict[str, bytes] = field(default_factory=dict)
    """What the API says when it is asked again."""
    files: dict[str, set[str]] = field(default_factory=dict)
    """What is found in Postgres' own files while the customer lives: tables, write-ahead log, temporary files."""
    exported: bytes = b""
    """The customer's own export, before the erasure."""
    erased: dict[str, bytes] = field(default_factory=dict)
    """Every column of the database after the erasure, and the places again."""
    opened: dict[str, int] = field(default_factory=dict)
    """The status of every page about the customer after the erasure."""
    whole: bool = False
    """Whether the audit still verifies then."""


@dataclass
class Story:
    house: House
    owner: psycopg.Connection
    running: Processes
    world: Receiver
    c: Canaries
    secrets: dict[str, str] = field(default_factory=dict)

    async def post(self, path: str, body: Any, *expected: int, method: str = "POST") -> dict[str, Any]:
        answer = await self.house.http.request(
            method,
            path,
            json=body,
            headers={
                "User-Agent": self.c["user agent"],
                "tracestate": f"vendor={self.c['tracestate']}",
                "baggage": f"email={self.c['baggage']}",
                "X-Request-Id": self.c.email("x-request-id"),
                "Referer": f"https://example.com/{self.c['referer']}",
                "Cookie": f"session={self.c['cookie']}",
            },
        )
        assert answer.status_code in (expected or (200, 201)), (path, answer.status_code, answer.text)
        return dict(answer.json()) if answer.content and "json" in answer.headers["content-type"] else {}

    async def who_they_are(self) -> None:
        c = self.c
        customer = {
            "name": f"Nora {c['name']}",
            "email": c.email("e-mail"),
            "phone": c.phone("phone"),
            "plan": "enterprise",
            "status": "active",
        }
        await self.post(f"/customers/{c.email('customer id')}", customer, method="PUT")
        await self.invoice("invoice id", 4_900)
        consent = {"status": "granted", "note": f"said on the phone: {c['consent note']}"}
        await self.post(f"/customers/{c.email('customer id')}/consents/email", consent, method="PUT")

    async def invoice(self, slot: str, amount: int) -> None:
        c = self.c
        body = {
            "total": {"amount": amount, "currency": "EUR"},
            "status": "paid",
            "paidAt": "2026-11-18T10:00:00Z",
            "description": f"a gift for {c['invoice description']}",
        }
        await self.post(f"/customers/{c.email('customer id')}/invoices/{c[slot]}", body, method="PUT")

    async def who_listens(self) -> None:
        url = f"{self.world.url}/{self.c['webhook description']}"
        types = ["interaction.completed", "handoff.opened", "delivery.dead_letter", "ping"]
        made = await self.post("/webhooks", {"url": self.world.url, "eventTypes": types, "description": url})
        self.secrets["webhook secret"] = made["secret"]
        self.webhook = made["id"]

    async def say(self, slot: str, words: str, *expected: int, **fields: Any) -> dict[str, Any]:
        body = {
            "customerId": self.c.email("customer id"),
            "message": f"{words} {self.c[slot]}",
            "requestId": self.c.email(f"request id of {slot}"),
            **fields,
        }
        return await self.post(f"/chat?note={self.c['query']}", body, *(expected or (200, 202)))

    async def what_they_say(self) -> None:
        refunded = await self.say("message", f"please refund invoice {self.c['invoice id']}, I am")
        await self.house.until_settled(refunded["interactionId"])
        asked = await self.say("call for help", "I want a human, my door code is")
        path = f"/handoffs/{asked['handoff']['id']}"
        await self.post(f"{path}/claim", {})
        await self.post(f"{path}/notes", {"note": f"she is called {self.c['handoff note']}"}, 200, 201)
        resolved = {"reply": f"Dear {self.c['reply']}", "note": f"spoke to {self.c['resolve note']}"}
        await self.post(f"{path}/resolve", resolved)
        await self.house.until_finished(asked["interactionId"])

    async def what_is_approved(self) -> None:
        for verb in ("approve", "reject"):
            await self.invoice(f"invoice to {verb}", OVER_LIMIT)
            invoice = self.c[f"invoice to {verb}"]
            asked = await self.say(f"message to {verb}", f"please refund invoice {invoice}, I am")
            path = f"/handoffs/{asked['handoff']['id']}"
            body: dict[str, Any] = {"note": f"for {self.c[verb + ' note']}"}
            if verb == "approve":
                body["digest"] = (await self.house.http.get(path)).json()["digest"]
            else:
                body["reply"] = f"No, {self.c['rejecting reply']}"
            await self.post(f"{path}/{verb}", body)
            await self.house.until_settled(asked["interactionId"])

    async def who_takes_over(self) -> None:
        held = await self.say("message before a takeover", "hello from")
        path = f"/conversations/{held['conversationId']}"
        await self.post(f"{path}/takeover", {"for": "PT1H", "note": f"knows {self.c['takeover note']}"})
        sent = {"message": f"Hello {self.c['operator message']}", "requestId": self.c.email("operator request id")}
        await self.post(f"{path}/messages", sent, 200, 201)
        await self.say("message while held", "are you there?")
        await self.post(f"{path}/release", None)

    async def what_goes_wrong(self) -> None:
        c, http = self.c, self.house.http
        await self.post("/chat", {"customerId": c["unknown customer"], "message": c["lost message"]}, 404)
        await self.post("/chat", {c["field name"]: c["field value"]}, 422)
        customer = {
            "name": "x",
            "email": c["no e-mail"],
            "phone": c["no phone"],
            "plan": c["no plan"],
            "status": "active",
        }
        await self.post("/customers/cust_9", customer, 422, method="PUT")
        await http.post("/chat", content=b'{"message": "%s' % c["broken json"].encode())
        await http.post("/chat", content=c["raw body"].encode(), headers={"Content-Type": "text/plain"})
        await http.get(f"/{c['path']}", headers={"Authorization": f"Bearer {c['bearer']}"})
        await http.get(f"/customers/{c['customer in path']}?cursor={c['cursor']}")
        await http.get(f"/interactions?cursor={c['cursor']}&customerId={c['filter']}&status={c['status']}")
        await self.say("reused request", "hello")
        await self.post(
            "/chat",
            {
                "customerId": c.email("customer id"),
                "message": c["other body"],
                "requestId": c.email("request id of reused request"),
            },
            422,
        )
        report = f"From: {c.email('bounce sender')}\r\nTo: {c.email('bounce recipient')}\r\n\r\n{c['bounce text']}\r\n"
        await http.post("/delivery-reports", content=report.encode(), headers={"Content-Type": "message/rfc822"})

    async def what_breaks(self) -> None:
        """Half way through, Postgres loses a table: the step that meets it fails with words nobody chose."""
        self.owner.execute("ALTER TABLE decisions RENAME TO elsewhere")
        sent = asyncio.create_task(self.say("message that fails", "what is my plan?"))
        async with asyncio.timeout(30):
            while "an activity could not finish" not in self.running.log("worker"):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)
        self.owner.execute("ALTER TABLE elsewhere RENAME TO decisions")
        await self.house.until((await sent)["interactionId"], lambda i: bool(i["answeredAt"]))

    async def what_is_let_be(self) -> None:
        self.world.always = "410 Gone"
        sent = await self.post(f"/webhooks/{self.webhook}/test", {}, 200, 201, 202)
        path = f"/deliveries/{sent['deliveryId']}"
        async with asyncio.timeout(30):
            while (await self.house.http.get(path)).json()["status"] != "dead_letter":  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)
        await self.post(f"{path}/discard", {"note": f"call {self.c['discard note']}"})

    async def keys(self) -> None:
        self.secrets["api key"] = key = await self.house.key("operator", name="somebody")
        answer = await self.house.http.get("/interactions", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200

    async def forgotten(self) -> dict[str, int]:
        """Erased; then every page about the customer, by its path."""
        paths = [
            f"/{table}/{row}" for table in PAGES for (row,) in self.owner.execute(f"SELECT id FROM {table}".encode())
        ]
        receipt = await self.post(f"/customers/{self.c.email('customer id')}/erase", {"requestId": "e1"}, 202)
        async with asyncio.timeout(30):
            while not (await self.house.http.get(f"/erasures/{receipt['id']}")).json().get("erasedAt"):  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.05)
        for row in self.owner.execute("SELECT id FROM interactions WHERE mode = 'live'").fetchall():
            await self.house.until_finished(str(row[0]))
        return {path: (await self.house.http.get(path)).status_code for path in paths}


async def _later(house: House) -> dict[str, bytes]:
    """What anybody is shown afterwards of what was told once."""
    paths = ("/webhooks", "/audit", "/notifications", "/deliveries", "/openapi.json", "/metrics/dashboard")
    return {path: (await house.http.get(path)).content for path in paths}


@pytest.fixture(scope="module")
async def told(
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
    learnt: Path,
) -> AsyncIterator[Told]:
    models = data_folder(tmp_path_factory.mktemp("data"), learnt)
    url, metrics_port = postgres.create(), free_port()
    folder, state = tmp_path_factory.mktemp("processes"), tmp_path_factory.mktemp("state")
    patch, canaries = pytest.MonkeyPatch(), Canaries()
    async with contextlib.AsyncExitStack() as stack:
        collected = await stack.enter_async_context(collector())
        world = await stack.enter_async_context(receiver())
        stack.callback(patch.undo)
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collected.port}")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        patch.setenv("HOLDFAST_METRICS_PORT", str(metrics_port))
        patch.setenv("HOLDFAST_LOG_LEVEL", "debug")
        server = await stack.enter_async_context(dev_server(state))
        running, house = await stack.enter_async_context(processes(url, server, folder, models))
        owner = stack.enter_context(postgres.owner(url))
        story = Story(house, owner, running, world, canaries)
        for part in (
            story.who_listens,
            story.who_they_are,
            story.what_they_say,
            story.what_is_approved,
            story.who_takes_over,
            story.what_goes_wrong,
            story.what_breaks,
            story.keys,
            story.what_is_let_be,
        ):
            await part()
        async with httpx2.AsyncClient() as scraper:
            measured = (await scraper.get(f"http://127.0.0.1:{metrics_port}/metrics")).content
        scraped = (await house.http.get("/metrics")).content
        wanted = {"POST /chat", "RunWorkflow:interaction", "RunWorkflow:delivery", "RunWorkflow:handoff"}
        await collected.until(lambda: wanted <= set(collected.names()))
        result = Told(
            canaries, {**story.secrets, "id key": ID_KEY, "payload key": PAYLOAD_KEY, **_keyset()}, columns(owner)
        )
        result.files = {name: canaries.found_in(content) for name, content in _of_postgres(owner)}
        result.later = await _later(house)
        result.exported = (await house.http.get(f"/customers/{canaries.email('customer id')}/export")).content
        result.opened = await story.forgotten()
        result.whole = (await house.http.get("/audit/verify")).json()["ok"]
        result.erased = columns(owner)
        await server.stop()
        result.places = {
            **files(state),
            **{name: content for name, content in files(folder).items() if "/mail/" not in name},
            "metrics of the API": scraped,
            "metrics of the worker": measured,
            "traces": collected.raw,
            "webhooks": b"\n".join(repr(heard).encode() for heard in world.heard),
        }
        yield result
    postgres.drop(url)


def _of_postgres(owner: psycopg.Connection) -> Iterator[tuple[str, bytes]]:
    """The files of this database and the write-ahead log, after everything was written to them."""
    owner.execute("CHECKPOINT")
    row = owner.execute(
        "SELECT current_setting('data_directory'), oid::text FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    data = Path(row[0])
    for folder in (data / "base" / row[1], data / "base" / "pgsql_tmp", data / "pg_wal", data / "global"):
        for path in sorted(folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # a segment that is recycled now
                if path.is_file():
                    yield str(path.relative_to(data)), path.read_bytes()


def _keyset() -> dict[str, str]:
    return {"encryption keyset": json.loads(KEYSET)["key"][0]["keyData"]["value"]}


def test_D1_nothing_personal_is_in_histories_logs_metrics_traces_or_webhooks(told: Told) -> None:
    assert {name for name, content in told.places.items() if not content} <= {
        n for n in told.places if "failpoint" in n
    }
    assert {name: found for name, content in told.places.items() if (found := told.canaries.found_in(content))} == {}


def test_D1_in_the_database_it_is_in_the_declared_columns_and_no_other(told: Told) -> None:
    found = {column: slots for column, content in told.stored.items() if (slots := told.canaries.found_in(content))}
    assert {column: slots for column, slots in found.items() if column not in PERSONAL} == {}


STORED_NOWHERE = {
    "user agent", "tracestate", "baggage", "x-request-id", "referer", "cookie", "query", "unknown customer",
    "lost message", "field name", "field value", "no e-mail", "no phone", "no plan", "broken json", "raw body", "path",
    "bearer", "customer in path", "cursor", "filter", "status", "other body", "bounce sender", "bounce recipient",
    "bounce text",
}  # fmt: skip


def test_control_what_is_said_is_stored_where_it_belongs(told: Told) -> None:
    """Without this, a story that says nothing would pass."""
    found = told.canaries.found_in(told.exported)
    found |= set[str]().union(*(told.canaries.found_in(content) for content in told.stored.values()))
    assert set(told.canaries.words) - found == STORED_NOWHERE & set(told.canaries.words) == STORED_NOWHERE


SEALED = {"name", "e-mail", "phone", "message", "message to approve", "operator message"}
"""What stands under the customer's own keys and nowhere else."""


def test_D1_what_stands_under_a_customers_keys_is_in_no_column_and_in_no_file_of_postgres(told: Told) -> None:
    found = {column: slots for column, content in told.stored.items() if (slots := told.canaries.found_in(content))}
    assert {column: slots for column, slots in found.items() if column in SEALED_COLUMNS} == {}
    in_clear, in_files = set[str]().union(*found.values()), set[str]().union(*told.files.values())
    assert told.canaries.found_in(told.exported) - in_clear >= SEALED
    assert in_files & SEALED == set()
    assert in_files & in_clear == in_clear, "the control: what stands in clear is found in the files"


ABOUT_A_WEBHOOK = {"webhook description", "discard note"}
"""What operators wrote that is not about the customer."""


def test_D4_after_an_erasure_nothing_of_them_is_in_the_database(told: Told) -> None:
    found = {column: slots for column, content in told.erased.items() if (slots := told.canaries.found_in(content))}
    assert set[str]().union(*found.values()) == ABOUT_A_WEBHOOK


def test_D4_every_run_still_opens_and_the_audit_still_verifies(told: Told) -> None:
    assert {path: status for path, status in told.opened.items() if status != 200} == {}
    assert len(told.opened) > 30
    assert told.whole


def test_D5_the_export_is_all_of_it_and_names_no_means_of_ours(told: Told) -> None:
    bundle = json.loads(told.exported)
    assert bundle["counts"] == {name: len(bundle[name]) for name in bundle["counts"]}
    about_them = set(told.canaries.words) - STORED_NOWHERE - ABOUT_A_WEBHOOK
    assert told.canaries.found_in(told.exported) == about_them


def test_D2_secrets_are_nowhere_and_are_never_shown_again(told: Told) -> None:
    secrets = Canaries(told.secrets)
    for places in (told.places, told.stored, told.later):
        assert {name: found for name, content in places.items() if (found := secrets.found_in(content))} == {}
    assert set(told.secrets) >= {"api key", "webhook secret", "payload key"}


@pytest.mark.parametrize("sealing", [True, False])
async def test_control_what_goes_through_temporal_unsealed_is_found_in_its_database(
    tmp_path: Path, sealing: bool
) -> None:
    from tests.sealed import CODEC

    canaries = Canaries()
    async with dev_server(tmp_path) as server:
        client = await connect({"target_host": server.address}, codec=CODEC if sealing else None)
        handle = await client.start_workflow(
            "nobody", canaries["argument"], id="nobody:demo:1", task_queue="nobody", static_summary=canaries["summary"],
            memo={"x": canaries["memo"]},
        )  # fmt: skip
        await handle.signal("nothing", {"deep": [canaries.email("signal")]})
        await server.stop()
    kept = b"".join(files(tmp_path).values())
    assert handle.id.encode() in kept
    assert canaries.found_in(kept) == (set() if sealing else set(canaries.words))
