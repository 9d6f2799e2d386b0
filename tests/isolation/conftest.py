"""One house with two organisations in it, for everything here."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

import httpx2
import psycopg
import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from tests.api.conftest import Api, served
from tests.house import open_house
from tests.isolation.seed import OURS, THEIRS, Door, Seed, doors, seeded
from tests.postgres import PostgresServer
from tests.temporal import DevServer

NAMED_BY_CALLERS = {"customers", "invoices", "calendars"}
CHOSEN = {"request_id", "customer_id", "invoice_id"}
"""Names callers choose: two organisations may have the same."""


@dataclass
class Street:
    """Two organisations behind one door, and who may stand before it."""

    api: Api
    ours: Seed
    theirs: Seed
    doors: list[Door]
    document: dict[str, Any]
    owner: psycopg.Connection
    """A superuser's: sees every row."""

    def rows(self, organisation: str, *, but: Collection[str] = ()) -> dict[str, str]:
        """A digest of everything this organisation has, by table."""
        row = "(to_jsonb(t) - 'last_used_at')::text"  # that a key was used is noted beside the request
        digest = f"md5(coalesce(string_agg(md5({row}), '' ORDER BY {row}), ''))"
        return {
            table: str(self._one(f"SELECT {digest} FROM {table} t WHERE organisation = %s", organisation))
            for table in self._columns()
            if table not in but
        }

    def links(self, organisation: str, ids: set[str]) -> list[tuple[str, str]]:
        """Where a row of this organisation leads to one of these ids: by its own id, or by a column that holds one."""
        return [
            (table, column)
            for table, columns in self._columns().items()
            for column in columns
            if self._one(f"SELECT count(*) FROM {table} WHERE organisation = %s AND {column}::text = ANY(%s)",
                         organisation, list(ids))
        ]  # fmt: skip

    async def quiet(self, organisation: str) -> None:
        """Returns when nothing of what was asked before is still at work on this organisation's rows."""
        async with asyncio.timeout(120):
            alike, last = 0, self.rows(organisation)
            while alike < 3:
                await asyncio.sleep(0.1)
                now = self.rows(organisation)
                alike, last = (alike + 1 if now == last and not self._at_work(organisation) else 0), now

    def _at_work(self, organisation: str) -> bool:
        """Or will be in a moment: an erasure looks again after two minutes, a delivery is tried again."""
        begun = (
            "SELECT EXISTS (SELECT FROM erasures WHERE organisation = %(o)s AND finished_at IS NULL"
            " AND (erased_at IS NULL OR erased_at < now() - interval '100 s'))"
            " OR EXISTS (SELECT FROM interactions WHERE organisation = %(o)s AND status = 'running')"
            " OR EXISTS (SELECT FROM handoff_wakes WHERE organisation = %(o)s)"
            " OR EXISTS (SELECT FROM deliveries WHERE organisation = %(o)s AND status = 'pending'"
            " AND coalesce(next_attempt_at, now()) < now() + interval '10 s')"
        )
        return bool((self.owner.execute(begun, {"o": organisation}).fetchone() or (False,))[0])

    def _one(self, question: str, *values: Any) -> Any:
        row = self.owner.execute(question.encode(), values).fetchone()
        return row and row[0]

    def _columns(self) -> dict[str, list[str]]:
        """The columns that hold ids, of every table of organisations."""
        found: dict[str, list[str]] = {}
        for table, column in self.owner.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND table_name IN (SELECT table_name FROM information_schema.columns WHERE column_name = 'organisation')"
            " ORDER BY 1, 2"
        ):
            found.setdefault(table, [])
            if (column == "id" and table not in NAMED_BY_CALLERS) or (column.endswith("_id") and column not in CHOSEN):
                found[table].append(column)
        return found


@pytest.fixture(scope="session")
async def street(
    postgres: PostgresServer,
    temporal: DevServer,
    tmp_path_factory: pytest.TempPathFactory,
    intents: EmbeddedIntentModel,
) -> AsyncIterator[Street]:
    url = postgres.create()
    folder = tmp_path_factory.mktemp("street")
    async with (
        open_house(url, temporal.address, folder, intents=intents) as house,
        served(house.settings, house.temporal) as base,
        httpx2.AsyncClient(base_url=base, timeout=60) as http,
    ):
        api = Api(http, house)
        ours, theirs = await seeded(api, OURS), await seeded(api, THEIRS)
        for seed in (ours, theirs):
            seed.objects["name"] = ("a" if seed is ours else "b") * 32
        (house.settings.data_dir / "mail" / f"{'a' * 32}.eml").write_text("Subject: x\nTo: a@example.com\n\nhello\n")
        document = (await http.get("/openapi.json")).json()
        with postgres.owner(url) as owner:
            yield Street(api, ours, theirs, await doors(api, theirs), document, owner)
    postgres.drop(url)
