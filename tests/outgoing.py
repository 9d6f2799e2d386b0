"""Deliveries in tests: a database with an endpoint and a customer, real senders, a real receiver and mail server."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.carriers import Carriers
from activities.deliveries import DeliveryActivities
from adapters.crypto import TinkSecretBox, new_keyset
from adapters.failpoints import NoFailpoints
from adapters.gateways.chat_webhook import HttpChatGateway
from adapters.gateways.outside import OutsideClient
from adapters.gateways.smtp import SmtpMailGateway
from adapters.gateways.webhook import HttpWebhookGateway
from domain.consent import MessageClass
from domain.delivery import DeliveryRef, SendInput, SendResult
from domain.outside import AllowList
from domain.tools import TOOLS
from domain.tools.tool import AnyTool
from domain.values import DeliveryId, EffectId
from domain.webhook import DomainEvent, EndpointKind, EventType, secret_context
from schema.deliveries import Delivery, DeliveryEvent, DeliveryRepository, NewDelivery
from schema.effects import EffectRepository, EffectStanding
from schema.events import EventRepository
from schema.session import Database
from schema.webhook_secrets import WebhookSecretRepository
from schema.webhooks import WebhookRepository, new_endpoint_id
from tests.adapters.mail_server import MailServer, mail_server
from tests.receiver import Receiver, receiver
from tests.schema.given import ACME, ANNA, customer, decided, mail

BOX = TinkSecretBox(new_keyset())
SECRET = b"s" * 32


def wall_clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class Outgoing:
    """Everything a delivery needs, and the activities that send it. The dice always say one half: no jitter."""

    db: Database
    hook: Receiver
    mails: MailServer
    activities: DeliveryActivities
    _events: int = field(default=0)

    async def endpoint(
        self, *events: EventType, url: str | None = None, kind: EndpointKind = EndpointKind.WEBHOOK
    ) -> str:
        """A subscribed endpoint whose secret is `SECRET`."""
        endpoint_id, secret_id, at = new_endpoint_id(), f"sec_{secrets.token_hex(8)}", wall_clock()
        address = url or self.hook.url
        async with self.db.transaction(ACME) as session:
            webhooks = WebhookRepository(session)
            await webhooks.create(endpoint_id, kind, address, list(events or (EventType.PING,)), "", "olga", at)
            for purpose, secret in (("signing", SECRET), ("address", address.encode())):
                sealed = BOX.seal(secret, secret_context(ACME, purpose, secret_id + purpose))
                await WebhookSecretRepository(session).keep(endpoint_id, purpose, secret_id + purpose, sealed, at)  # type: ignore[arg-type]  # both are purposes
        return endpoint_id

    async def event(self, kind: EventType = EventType.PING, subject: str = "int_1") -> tuple[DeliveryId, ...]:
        """One event, recorded for whoever subscribed."""
        self._events += 1
        number = self._events
        async with self.db.transaction(ACME) as session:
            return await EventRepository(session).record(
                DomainEvent(kind, subject, wall_clock(), {"n": number}, str(number))
            )

    async def reply(self, tool: str = "send_email", body: str = "Your money is on its way.") -> DeliveryId:
        """A mail of the agent's to Anna, with its reserved effect."""
        async with self.db.transaction(ACME) as session:
            ids = await decided(session)
            reservation = mail(ids)
            (effect_id,) = await EffectRepository(session).reserve(
                [reservation if tool == "send_email" else _other(reservation, tool)]
            )
            return await DeliveryRepository(session).add(
                NewDelivery(
                    interaction_id=ids[0], customer_id=ANNA, purpose="answer", channel="email", body=body,
                    at=wall_clock(), effect_id=effect_id, sent_by_workflow=True,
                )
            )  # fmt: skip

    async def reminder(self) -> DeliveryId:
        """A mail that is our own idea."""
        async with self.db.transaction(ACME) as session:
            return await DeliveryRepository(session).add(
                NewDelivery(
                    interaction_id=None, customer_id=ANNA, purpose="reminder", channel="email", body="Tomorrow at 9.",
                    at=wall_clock(), message_class=MessageClass.PROACTIVE, sent_by_workflow=True,
                )
            )  # fmt: skip

    async def send(self, delivery_id: DeliveryId, busy: int = 0) -> SendResult:
        """One step, without a workflow."""
        return await ActivityEnvironment().run(
            self.activities.send, SendInput(delivery=DeliveryRef(organisation=ACME, delivery_id=delivery_id), busy=busy)
        )

    async def get(self, delivery_id: DeliveryId) -> Delivery:
        async with self.db.transaction(ACME) as session:
            return await DeliveryRepository(session).get(delivery_id)

    async def events(self, delivery_id: DeliveryId) -> tuple[DeliveryEvent, ...]:
        async with self.db.transaction(ACME) as session:
            return await DeliveryRepository(session).events(delivery_id)

    async def kinds(self, delivery_id: DeliveryId) -> list[str]:
        return [event.status for event in await self.events(delivery_id)]

    async def effect(self, delivery_id: DeliveryId) -> EffectStanding:
        delivery = await self.get(delivery_id)
        async with self.db.transaction(ACME) as session:
            return await EffectRepository(session).get(delivery.effect_id or EffectId(""))


def _other(reservation: Any, tool: str) -> Any:
    from dataclasses import replace

    return replace(reservation, tool=tool)


@contextlib.asynccontextmanager
async def outgoing(
    db: Database,
    *,
    tools: Mapping[str, AnyTool] = TOOLS,
    now: Callable[[], datetime] = wall_clock,
    patience: timedelta = timedelta(seconds=5),
    **options: Any,
) -> AsyncIterator[Outgoing]:
    await customer(db)
    async with receiver() as hook, mail_server() as mails:
        client = OutsideClient(AllowList(["127.0.0.1"]), timeout=patience.total_seconds())
        carriers = Carriers(
            tools=tools,
            mail=SmtpMailGateway("127.0.0.1", mails.port, "support@example.com", timeout=5),
            webhooks=HttpWebhookGateway(client, now),
            chat=HttpChatGateway(client, now),
            secrets=BOX,
            extra={},
            now=now,
        )
        activities = DeliveryActivities(
            db, carriers=carriers, now=now, failpoints=NoFailpoints(), **{"dice": lambda: 0.5, **options}
        )
        yield Outgoing(db, hook, mails, activities)
        await client.close()
