"""The whole product in one test process: real Postgres, real Temporal, the real worker and API, over ASGI.

`async with house(postgres_url, temporal) as h:` gives an HTTP client, the database and the Temporal client. Nothing of
ours is replaced; what a test may choose are the tools, the mail server and the clock, which are given anyway.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from temporalio.client import Client

from api.main import create_app
from domain.values import OrganisationId
from schema.session import Database
from settings import Settings
from worker import Parts, build_worker
from workflows.runtime import connect, ensure_search_attributes

ID_KEY = "k" * 40
DEMO = OrganisationId("demo")


@dataclass
class House:
    http: httpx2.AsyncClient
    db: Database
    temporal: Client
    settings: Settings

    async def customer(self, customer_id: str = "cust_123", **fields: Any) -> None:
        """Puts a customer through the API."""
        body = {"name": "Test Person", "plan": "pro", "status": "active", **fields}
        answer = await self.http.put(f"/customers/{customer_id}", json=body)
        assert answer.status_code in {200, 201}, answer.text

    async def invoice(
        self, invoice_id: str, amount: int, *, customer_id: str = "cust_123", paid_days_ago: float | None = 5, **f: Any
    ) -> None:
        paid_at = None
        if paid_days_ago is not None:
            paid_at = (datetime.now(UTC) - timedelta(days=paid_days_ago)).isoformat()
        body = {"total": {"amount": amount, "currency": "EUR"}, "status": "paid", "paidAt": paid_at, **f}
        answer = await self.http.put(f"/customers/{customer_id}/invoices/{invoice_id}", json=body)
        assert answer.status_code == 200, answer.text

    async def chat(self, message: str, *, customer_id: str = "cust_123", **fields: Any) -> httpx2.Response:
        return await self.http.post("/chat", json={"customerId": customer_id, "message": message, **fields})

    async def refunds(self) -> list[Any]:
        """The billing system's own book, behind the product's back."""
        async with self.db.transaction(DEMO) as session:
            from sqlalchemy import text

            return list(await session.all(text("SELECT * FROM refunds WHERE organisation = :organisation")))

    async def count(self, table: str) -> int:
        from sqlalchemy import text

        async with self.db.transaction(DEMO) as session:
            row = await session.first(text(f"SELECT count(*) AS n FROM {table}"))
        assert row is not None
        return int(row.n)

    async def until_finished(self, interaction_id: str) -> dict[str, Any]:
        """The interaction once it has ended."""
        async with asyncio.timeout(30):
            while True:
                shown = (await self.http.get(f"/interactions/{interaction_id}")).json()
                if shown.get("finishedAt"):
                    return dict(shown)
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def house(
    database_url: str, temporal_address: str, data_dir: Path, *, settings: dict[str, Any] | None = None, **parts: Any
) -> AsyncIterator[House]:
    """Everything running; torn down at the end. `parts` replace what the worker's activities are given."""
    loaded = Settings.load(
        override={
            "environment": "development",
            "database_url": database_url,
            "temporal_address": temporal_address,
            "task_queue": f"q-{secrets.token_hex(4)}",
            "id_key": ID_KEY,
            "local": True,
            "data_dir": data_dir,
            "graceful_stop": timedelta(seconds=1),
            **(settings or {}),
        }
    )
    db = Database(database_url)
    client = await connect({"target_host": temporal_address})
    await ensure_search_attributes(client)
    app = create_app(loaded)
    async with (
        app.router.lifespan_context(app),
        build_worker(loaded, client, db, Parts.of(loaded, **parts)),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app, client=("127.0.0.1", 1)), base_url="http://test", timeout=60
        ) as http,
    ):
        try:
            yield House(http=http, db=db, temporal=client, settings=loaded)
        finally:
            await db.close()
