"""The whole product in one test process: real Postgres, real Temporal, the real worker and API, over ASGI.

`async with open_house(postgres_url, temporal_address, folder) as h:` gives an HTTP client, the database and the
Temporal client. Nothing of ours is replaced; what a test may choose are the tools, the mail server and the clock,
which are given anyway.
"""

import asyncio
import base64
import contextlib
import email
import email.policy
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from adapters.crypto import new_keyset
from adapters.embedded.mail import mail_sink
from api.auth import key_hash
from api.main import create_app
from domain.delivery import DeliveryRef
from domain.values import DeliveryId, OrganisationId
from schema.api_keys import ApiKeyRepository
from schema.organisations import OrganisationRepository
from schema.session import Database
from settings import Settings, customer_seals
from tests.sealed import CODEC, PAYLOAD_KEY
from tests.temporal import free_port
from worker import Parts, build_worker, signs_of_life
from workflows import ids
from workflows.runtime import connect, ensure_search_attributes

ID_KEY = "k" * 40
AUDIT_KEY = base64.b64encode(b"k" * 32).decode()
KEYSET = new_keyset()
UNTIL_S = 60
REPEATS = 4
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
        """What is answered. A machine too busy for an answer in time says 202: then the same request again, as a good
        client does."""
        body = {"customerId": customer_id, "message": message, **fields}
        answer = await self.http.post("/chat", json=body)
        for _ in range(REPEATS):
            if answer.status_code != 202:
                break
            answer = await self.http.post("/chat", json={**body, "requestId": answer.json()["requestId"]})
        return answer

    async def key(self, *scopes: str, organisation: str = "demo", name: str = "", **issued: Any) -> str:
        """A new API key of an organisation, made as the operator's command makes one."""
        key = f"hf_test_{secrets.token_urlsafe(32)}"
        async with self.db.transaction(OrganisationId(organisation)) as session:
            await OrganisationRepository(session).put(organisation, datetime.now(UTC))
            await ApiKeyRepository(session).issue(
                name or f"test key {secrets.token_hex(4)}", scopes, key_hash(key), datetime.now(UTC), **issued
            )
        return key

    async def send(self, delivery_id: DeliveryId) -> None:
        """Sets a delivery going that a test wrote into its row. The API would find it there too, some seconds later."""
        await self.temporal.start_workflow(
            ids.DELIVERY_WORKFLOW,
            DeliveryRef(organisation=DEMO, delivery_id=delivery_id),
            id=ids.delivery(DEMO, delivery_id),
            task_queue=self.settings.task_queue,
        )

    def mails(self) -> list[EmailMessage]:
        """What the mail server accepted, as it stands on its disk."""
        folder = self.settings.data_dir / "mail"
        return [email.message_from_bytes(f.read_bytes(), policy=email.policy.default) for f in folder.glob("*.eml")]

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

    async def until(self, interaction_id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The interaction once it satisfies the condition."""
        shown: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNTIL_S):
                while True:
                    shown = dict((await self.http.get(f"/interactions/{interaction_id}")).json())
                    if condition(shown):
                        return shown
                    await asyncio.sleep(0.02)
        raise AssertionError(f"it never came to that; it stands at: {shown}")

    async def until_started(self, workflow_id: str) -> None:
        """Once Temporal knows the workflow: a child is started after its parent has answered."""
        async with asyncio.timeout(UNTIL_S):
            while True:
                with contextlib.suppress(RPCError):
                    await self.temporal.get_workflow_handle(workflow_id).describe()
                    return
                await asyncio.sleep(0.02)

    async def until_settled(self, interaction_id: str) -> dict[str, Any]:
        """The interaction once it has ended and none of its effects is under way."""
        return await self.until(
            interaction_id,
            lambda i: bool(i["finishedAt"]) and all(a["effect"] != "reserved" for a in i["actions"]),
        )

    async def until_finished(self, interaction_id: str) -> dict[str, Any]:
        """The interaction once it has ended."""
        return await self.until(interaction_id, lambda i: bool(i["finishedAt"]))


@contextlib.asynccontextmanager
async def open_house(
    database_url: str,
    temporal_address: str,
    data_dir: Path,
    *,
    settings: dict[str, Any] | None = None,
    client: Client | None = None,
    **parts: Any,
) -> AsyncIterator[House]:
    """Everything running; torn down at the end. `parts` replace what the worker's activities are given; with `client`
    it goes on in the namespace of another house."""
    smtp_port = free_port()
    loaded = Settings.load(
        override={
            "environment": "development",
            "database_url": database_url,
            "temporal_address": temporal_address,
            "task_queue": f"q-{secrets.token_hex(4)}",
            "id_key": ID_KEY,
            "encryption_keyset": KEYSET,
            "audit_signing_key": AUDIT_KEY,
            "payload_keys": PAYLOAD_KEY,
            "outbound_allow": "127.0.0.1",
            "local": True,
            "data_dir": data_dir,
            "rate_limit": 1_000_000,
            "graceful_stop": timedelta(seconds=1),
            "temporal_ui_url": "http://temporal.test",
            "smtp_host": "127.0.0.1",
            "smtp_port": smtp_port,
            "smtp_sender": "support@example.com",
            **(settings or {}),
        }
    )
    db = Database(database_url, seals=customer_seals(loaded))
    client = client or await own_namespace(temporal_address)
    app = create_app(loaded, client)
    async with (
        mail_sink(data_dir / "mail", smtp_port),
        app.router.lifespan_context(app),
        build_worker(loaded, client, db, Parts.of(loaded, **parts)),
        signs_of_life(db, loaded.task_queue),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app, client=("127.0.0.1", 1)), base_url="http://localhost", timeout=60
        ) as http,
    ):
        try:
            yield House(http=http, db=db, temporal=client, settings=loaded)
        finally:
            await db.close()


async def own_namespace(address: str) -> Client:
    """A client on a namespace nobody else uses: workflow ids of another test's fresh database do not meet ours."""
    name = f"t-{secrets.token_hex(6)}"
    anybody = await connect({"target_host": address})
    await anybody.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=int(timedelta(days=1).total_seconds()))
        )
    )
    client = await connect({"target_host": address, "namespace": name}, codec=CODEC)
    async with asyncio.timeout(UNTIL_S):
        while True:  # a new namespace takes a moment to be known everywhere
            with contextlib.suppress(RPCError):
                await ensure_search_attributes(client)
                return client
            await asyncio.sleep(0.05)
