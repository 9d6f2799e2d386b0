"""O-5: every alert is silent while all is well, fires when what it watches breaks, and leads to its runbook entry.

The rules are those that Prometheus loads; the numbers are those that our processes show; only the arithmetic between is
ours (`tests/promql.py`).
"""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from adapters.llm.embedded import EmbeddedIntentModel
from adapters.telemetry import PrometheusMeters
from domain.tools import TOOLS
from domain.values import CustomerId
from schema.audit import AuditEvent, AuditRepository
from schema.deliveries import DeliveryRepository, NewDelivery
from schema.interactions import InteractionRepository
from tests.api.conftest import served
from tests.fakes import FakeIntentModel
from tests.house import DEMO, House, open_house
from tests.postgres import PostgresServer
from tests.promql import NotSupported, Scrape, evaluate, metrics_in, scraped
from tests.schema.given import request
from tests.temporal import DevServer, free_port
from tests.world import World, world
from worker import Parts, build_worker
from workflows.rollup import RollupWorkflow
from workflows.runtime import connect, metrics_runtime

ROOT = Path(__file__).parents[2]
RULES: dict[str, Any] = {
    rule["alert"]: rule
    for path in (ROOT / "docker/observability/prometheus/rules").glob("*.yaml")
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
FIRES_WITHIN_S = 60


@dataclass
class Site:
    """A house and everything a scraper would scrape of it."""

    house: House
    stack: contextlib.AsyncExitStack
    postgres: PostgresServer
    outside: World
    http: httpx2.AsyncClient
    url: str = ""
    scrapers: list[Callable[[], Awaitable[str]]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    async def scrape(self) -> Scrape:
        return scraped(time.monotonic() - self._began, *[await scraper() for scraper in self.scrapers])

    def scraper(self, url: str) -> Callable[[], Awaitable[str]]:
        async def get() -> str:
            return (await self.http.get(url)).text

        return get

    async def beside(self, **changed: Any) -> str:
        """Another API process of the same installation, with something about it changed; its URL."""
        return await self.stack.enter_async_context(served(self.house.settings, self.house.temporal, **changed))

    def as_owner(self, statement: str) -> None:
        """Behind the application's back: time passes, or somebody meddles."""
        with self.postgres.owner(self.house.settings.database_url) as owner:
            owner.execute(statement.encode())


@pytest.fixture
async def site(
    postgres: PostgresServer,
    database_url_of_test: str,
    temporal: DevServer,
    tmp_path: Path,
    intents: EmbeddedIntentModel,
) -> AsyncIterator[Site]:
    """Tickets are opened in a system that may fail; there is no mail server."""
    async with contextlib.AsyncExitStack() as stack:
        outside = await stack.enter_async_context(world())
        outside.honours_keys = False
        house = await stack.enter_async_context(
            open_house(
                database_url_of_test,
                temporal.address,
                tmp_path,
                intents=intents,
                settings={"smtp_host": ""},
                tools={**TOOLS, "create_ticket": outside.tool(idempotent=False)},
            )
        )
        http = await stack.enter_async_context(httpx2.AsyncClient())
        found = Site(house, stack, postgres, outside, http)
        found.url = await found.beside()
        found.scrapers.append(found.scraper(f"{found.url}/metrics"))
        await house.customer()
        assert (await house.chat("which plan am I on?")).status_code == 200
        yield found


def ago(**time_: float) -> datetime:
    return datetime.now(UTC) - timedelta(**time_)


async def an_outside_system_says_nothing_certain(site: Site) -> None:
    site.outside.fault_of = lambda key, nth: "garbage"
    await site.house.chat("the app crashes whenever I log in")


async def mail_cannot_be_sent(site: Site) -> None:
    await site.house.customer(email="anna@example.com")
    await site.house.invoice("inv_1", 4_900)
    assert (await site.house.chat("please refund invoice inv_1")).json()["status"] == "completed"


async def nobody_decides(site: Site) -> None:
    await site.house.chat("let me talk to a human")
    site.as_owner("UPDATE handoffs SET sla_due_at = now() - interval '1 minute'")


async def a_workflow_is_not_told(site: Site) -> None:
    asked = (await site.house.chat("let me talk to a human")).json()
    await site.house.http.post(f"/handoffs/{asked['handoff']['id']}/resolve", json={"reply": "Here I am."})
    await site.house.until_finished(asked["interactionId"])
    site.as_owner(
        "UPDATE handoffs SET told_at = NULL, tell_at = now() + interval '1 day', decided_at = now() - interval '2 min'"
    )


async def nobody_works_on_a_message(site: Site) -> None:
    """Its caller died before it could start the workflow, and never repeated."""
    new = request(organisation=DEMO, customer_id=CustomerId("cust_123"), created_at=ago(minutes=11))
    async with site.house.db.transaction(DEMO) as session:
        await InteractionRepository(session).claim(new)


async def a_message_is_on_its_way_for_hours(site: Site) -> None:
    message = NewDelivery(None, CustomerId("cust_123"), "ping", "email", "Hello.", ago(hours=2))
    async with site.house.db.transaction(DEMO) as session:
        await DeliveryRepository(session).add(message)


async def temporal_is_away(site: Site) -> None:
    lonely = await connect({"target_host": f"127.0.0.1:{free_port()}"}, lazy=True)
    url = await site.stack.enter_async_context(served(site.house.settings, lonely))
    site.scrapers.append(site.scraper(f"{url}/metrics"))


async def nobody_polls(site: Site) -> None:
    url = await site.beside(task_queue=f"q-{secrets.token_hex(4)}")
    site.scrapers = [site.scraper(f"{url}/metrics")]


async def no_process_is_there(site: Site) -> None:
    site.scrapers = []


async def postgres_is_away(site: Site) -> None:
    url = await site.beside(database_url=f"postgresql://127.0.0.1:{free_port()}/nothing")
    site.scrapers.append(site.scraper(f"{url}/metrics"))
    for _ in range(20):
        refused = await site.http.get(f"{url}/interactions", headers={"Authorization": "Bearer x"})
        assert refused.status_code == 503


async def a_caller_repeats_itself(site: Site) -> None:
    for _ in range(150):
        body = {"customerId": "cust_123", "message": "which plan am I on?", "requestId": "again"}
        assert (await site.http.post(f"{site.url}/chat", json=body)).status_code == 200


async def a_step_fails(site: Site) -> None:
    """With a worker that shows what Temporal's SDK measures, as `HOLDFAST_METRICS_PORT` asks it to."""
    site.as_owner("ALTER TABLE metric_watermarks ADD CHECK (organisation <> 'demo')")
    address, queue = f"127.0.0.1:{free_port()}", f"q-{secrets.token_hex(4)}"
    config = {"target_host": site.house.temporal.service_client.config.target_host}
    client = await connect({**config, "namespace": site.house.temporal.namespace}, runtime=metrics_runtime(address))
    settings = site.house.settings.model_copy(update={"task_queue": queue})
    parts = Parts.of(settings, intents=FakeIntentModel())
    await site.stack.enter_async_context(build_worker(settings, client, site.house.db, parts))
    await client.start_workflow(RollupWorkflow.run, id=queue, task_queue=queue)
    site.scrapers.append(site.scraper(f"http://{address}/metrics"))


async def an_audit_chain_is_broken(site: Site) -> None:
    """Whoever verifies one says so to the meters of its process."""
    meters = PrometheusMeters()
    meters.verified(whole=True)

    async def exposition() -> str:
        return meters.exposition("")[0].decode()

    site.scrapers.append(exposition)
    assert evaluate(RULES["AuditBroken"]["expr"], [await site.scrape(), await site.scrape()]) == {}
    meters.verified(whole=False)


async def nobody_seals(site: Site) -> None:
    async with site.house.db.transaction(DEMO) as session:
        await AuditRepository(session).append(AuditEvent(ago(minutes=11), "system", "something.done", "x"))
    site.as_owner("UPDATE audit_events SET at = now() - interval '11 minutes'")


async def nobody_counts(site: Site) -> None:
    site.as_owner("INSERT INTO metric_watermarks VALUES ('demo', now() - interval '11 minutes', now())")


FAULTS: dict[str, Callable[[Site], Awaitable[None]]] = {
    "EffectOutcomeUnknown": an_outside_system_says_nothing_certain,
    "DeadLettersGrowing": mail_cannot_be_sent,
    "HandoffsOverdue": nobody_decides,
    "DecisionsUntold": a_workflow_is_not_told,
    "InteractionsStuck": nobody_works_on_a_message,
    "DeliveriesStuck": a_message_is_on_its_way_for_hours,
    "NotReady": temporal_is_away,
    "NoWorkers": nobody_polls,
    "ApiSilent": no_process_is_there,
    "ErrorRate": postgres_is_away,
    "RetryStorm": a_caller_repeats_itself,
    "StepsFail": a_step_fails,
    "AuditBroken": an_audit_chain_is_broken,
    "AuditSealLate": nobody_seals,
    "RollupsLate": nobody_counts,
}


def test_O5_every_alert_has_a_fault_that_shows_it() -> None:
    assert FAULTS.keys() == RULES.keys()


@pytest.mark.parametrize("alert", FAULTS)
async def test_O5_an_alert_is_silent_until_what_it_watches_breaks(site: Site, alert: str) -> None:
    expression, before = RULES[alert]["expr"], await site.scrape()
    assert evaluate(expression, [before, await site.scrape()]) == {}
    await FAULTS[alert](site)
    async with asyncio.timeout(FIRES_WITHIN_S - waits(RULES[alert])):
        while not evaluate(expression, [before, await site.scrape()]):  # noqa: ASYNC110 - another process is scraped
            await asyncio.sleep(0.2)


def waits(rule: dict[str, Any]) -> int:
    """How long it must hold before somebody is told."""
    return int(rule.get("for", "0s").removesuffix("s"))


@pytest.mark.parametrize("alert", RULES)
def test_O5_an_alert_leads_to_its_entry_in_the_runbook(alert: str) -> None:
    rule = RULES[alert]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_metrics_of_every_alert_are_documented() -> None:
    page = (ROOT / "docs/how-to/observe.md").read_text(encoding="utf-8")
    for rule in RULES.values():
        for name in metrics_in(rule["expr"]):
            assert re.sub(r"_(count|bucket|sum|oldest_seconds)$", "", name) in page, name


BEFORE = 'errors{code="5"} 1\nerrors{code="2"} 10\nopen 0\n'
AFTER = 'errors{code="5"} 4\nerrors{code="2"} 16\nopen 2\n'


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("open > 1", [2]),
        ("open > 2", []),
        ("max(open) == 2", [2]),
        ('errors{code!="2"}', [4]),
        ("sum(increase(errors[5m]))", [9]),
        ('sum(rate(errors{code=~"5|7"}[5m])) / sum(rate(errors[5m])) > 0.3', [pytest.approx(1 / 3)]),
        ("sum by (code) (delta(errors[1m])) > 5", [6]),
        ("open > 1 and open < 1", []),
        ("sum(open) > 1 and sum(errors) > sum(open)", [2]),
        ("absent(nothing)", [1]),
        ("absent(open)", []),
        ("nothing > 0", []),
    ],
)
def test_the_arithmetic(expression: str, values: list[float]) -> None:
    found = evaluate(expression, [scraped(0, BEFORE), scraped(10, AFTER)])
    assert isinstance(found, dict)
    assert list(found.values()) == values


@pytest.mark.parametrize(
    "expression", ["histogram_quantile(0.9, x)", "open[5m]", "rate(open)", "open > ", "open offset 5m", "avg(open)"]
)
def test_what_the_arithmetic_does_not_know_it_refuses(expression: str) -> None:
    with pytest.raises(NotSupported):
        evaluate(expression, [scraped(0, BEFORE)])
