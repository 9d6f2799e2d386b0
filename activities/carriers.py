"""What brings a delivery out, channel by channel. Prepared inside a transaction, carried outside of any."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NoReturn

from domain.consent import MessageClass
from domain.delivery import CHAT_WEBHOOK, EMAIL, WEBHOOK, Failure, FailureKind, Receipt, Schedule, schedule_of
from domain.errors import ToolFailure, ToolRefused, ToolUnavailable
from domain.facts import Account
from domain.ports import ChatGateway, MailGateway, MailReceipt, OutboundMail, Ports, SecretBox, WebhookGateway
from domain.signing import SigningKeys
from domain.step_up import PLACE, PURPOSE, address_hash, code_of
from domain.tools.send_email import message_id
from domain.tools.tool import AnyTool, ToolCall
from domain.values import CustomerId, EffectId, Json, Money, Priority
from domain.webhook import WebhookCall, secret_context
from schema.channels import ChannelRepository
from schema.codes import CodeRepository
from schema.customers import CustomerRepository
from schema.deliveries import Delivery, DeliveryRepository
from schema.deliveries import Message as Written
from schema.effects import Effect, EffectRepository
from schema.session import Session
from schema.webhook_secrets import SecretPurpose, WebhookSecretRepository
from schema.webhooks import Endpoint, WebhookRepository

SUBJECT = "A message for you"
TIMEOUT = timedelta(seconds=25)


@dataclass(frozen=True, slots=True)
class Carried:
    """What is known after an attempt. `result` goes into the effect ledger."""

    outcome: Receipt | Failure
    result: Json


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery ready to leave."""

    carry: Callable[[], Awaitable[Carried]]
    schedule: Schedule
    timeout: timedelta = TIMEOUT
    place: str | None = None
    """Whose queue it takes a place in: one slow receiver must not hold up the others."""
    message_id: str | None = None
    effect: Effect | None = None


class Undeliverable(Exception):
    """It cannot leave as it is. `code` says why; a person looks."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Carriers:
    """Every way out."""

    tools: Mapping[str, AnyTool]
    mail: MailGateway
    webhooks: WebhookGateway
    chat: ChatGateway
    secrets: SecretBox | None
    extra: Mapping[str, object]
    now: Callable[[], datetime]
    id_key: bytes = b""
    """Keys the codes that prove who a customer is."""

    async def prepare(self, session: Session, delivery: Delivery) -> Parcel:
        """Everything needed to send it, read now. Raises `Undeliverable`."""
        if delivery.effect_id is not None:
            return await self._effect(session, delivery, delivery.effect_id)
        prepare = {WEBHOOK: self._webhook, CHAT_WEBHOOK: self._chat, EMAIL: self._mail}.get(delivery.channel)
        if prepare is None:
            raise Undeliverable("channel_unknown")
        return await prepare(session, delivery)

    async def _webhook(self, session: Session, delivery: Delivery) -> Parcel:
        endpoint = await self._endpoint(session, delivery)
        seeds = await self._open(session, endpoint.id, "signing_key") if endpoint.signing.has_key else ()
        call = WebhookCall(
            url=endpoint.url,
            webhook_id=delivery.source_id or delivery.id,
            body=delivery.body,
            keys=SigningKeys(await self._open(session, endpoint.id, "signing"), seeds),
            delivery_id=delivery.id,
            organisation=session.organisation,
        )

        async def carry() -> Carried:
            return Carried(await self.webhooks.send(call), {})

        return Parcel(carry, schedule_of(WEBHOOK), place=endpoint.id)

    async def _chat(self, session: Session, delivery: Delivery) -> Parcel:
        endpoint_id = (await self._endpoint(session, delivery)).id
        address, *_ = await self._open(session, endpoint_id, "address") or (b"",)
        whose = session.organisation

        async def carry() -> Carried:
            return Carried(await self.chat.send(address.decode(), delivery.body, whose), {})

        return Parcel(carry, schedule_of(CHAT_WEBHOOK), place=endpoint_id)

    async def _endpoint(self, session: Session, delivery: Delivery) -> Endpoint:
        endpoint = await WebhookRepository(session).find(delivery.endpoint_id or "")
        if endpoint is None:
            raise Undeliverable("endpoint_deleted")
        if not endpoint.enabled:
            raise Undeliverable("endpoint_disabled")
        return endpoint

    async def _open(self, session: Session, endpoint_id: str, purpose: SecretPurpose) -> tuple[bytes, ...]:
        if self.secrets is None:
            raise Undeliverable("encryption_keyset_missing")
        sealed = await WebhookSecretRepository(session).active(endpoint_id, purpose, self.now())
        try:
            return tuple(
                self.secrets.open(s.sealed, secret_context(session.organisation, purpose, s.id)) for s in sealed
            )
        except ValueError:
            raise Undeliverable("secret_unreadable") from None

    async def _effect(self, session: Session, delivery: Delivery, effect_id: EffectId) -> Parcel:
        """An outlet of the agent's: the tool itself sends, under the effect's key."""
        effect = (await EffectRepository(session).get(effect_id)).effect
        tool = self.tools.get(effect.tool)
        if tool is None or not tool.outlet or tool.atomic:
            raise Undeliverable("channel_unknown")
        written = await DeliveryRepository(session).message(delivery.id)
        call = ToolCall(
            key=effect.key,
            interaction_id=effect.interaction_id,
            customer_id=effect.customer_id,
            account=await _addressed(session, delivery, written),
            reply=written.body,
        )
        threaded = _Threaded(self.mail, await DeliveryRepository(session).thread(delivery))
        ports = Ports(
            accounts=_OUT_OF_REACH, billing=_OUT_OF_REACH, tickets=_OUT_OF_REACH, mail=threaded, extra=self.extra
        )

        async def carry() -> Carried:
            return await _by_tool(tool, effect, call, ports)

        schedule = replace(schedule_of(delivery.channel), recognises_repeats=tool.idempotent)
        mail_id = message_id(effect.key) if delivery.channel == EMAIL else None
        return Parcel(carry, schedule, timeout=tool.timeout, message_id=mail_id, effect=effect)

    async def _mail(self, session: Session, delivery: Delivery) -> Parcel:
        """A mail no tool asked for: a reminder, a notice."""
        written = await DeliveryRepository(session).message(delivery.id)
        to = (await _addressed(session, delivery, written)).email
        if not to:
            raise Undeliverable("address_missing")
        text = written.body
        if delivery.purpose.startswith(PURPOSE):
            text = await self._with_code(session, delivery, to, text)
        mail = OutboundMail(
            message_id=message_id(delivery.id),
            to=to,
            subject=SUBJECT,
            text=text,
            references=await DeliveryRepository(session).thread(delivery),
            is_reply=delivery.message_class is MessageClass.TRANSACTIONAL,
        )

        async def carry() -> Carried:
            return await _known(self._hand_over(mail))

        return Parcel(carry, schedule_of(EMAIL), message_id=mail.message_id)

    async def _with_code(self, session: Session, delivery: Delivery, to: str, words: str) -> str:
        """The words with the code, which stands nowhere. Only while it is good, and only to the address proven."""
        code = await CodeRepository(session).get(delivery.source_id or "")
        if code is None or code.nonce is None or code.expires_at <= self.now():
            raise Undeliverable("code_over")
        channel = await ChannelRepository(session).get(code.customer_id, code.channel_id)
        if address_hash(self.id_key, session.organisation, channel.kind, to) != channel.address_hash:
            raise Undeliverable("address_changed")
        return words.replace(PLACE, code_of(self.id_key, code.id, code.bound, code.nonce))

    async def _hand_over(self, mail: OutboundMail) -> Json:
        receipt = await self.mail.send(mail)
        return {"messageId": receipt.message_id, "response": receipt.response}


@dataclass(frozen=True, slots=True)
class _Threaded:
    """The mail server, with each mail put into its conversation's thread."""

    mail: MailGateway
    references: tuple[str, ...]

    async def send(self, mail: OutboundMail) -> MailReceipt:
        return await self.mail.send(mail.model_copy(update={"references": self.references}))


async def _addressed(session: Session, delivery: Delivery, written: Written) -> Account:
    """The customer's account, with the address a person corrected."""
    if delivery.customer_id is None:
        return Account(customer_id=CustomerId(""), email=written.recipient)
    account = await CustomerRepository(session).get_account(delivery.customer_id)
    return account.model_copy(update={"email": written.recipient}) if written.recipient else account


async def _by_tool(tool: AnyTool, effect: Effect, call: ToolCall, ports: Ports) -> Carried:
    return await _known(tool.run(tool.parse(effect.arguments), call, ports))


async def _known(sending: Awaitable[Json]) -> Carried:
    """What an attempt's end says: done, surely not done, or nobody can say."""
    try:
        return Carried(Receipt(), await sending)
    except ToolRefused as failure:
        return Carried(Failure(kind=FailureKind.PERMANENT, code=_code(failure)), {})
    except ToolUnavailable as failure:
        return Carried(Failure(kind=FailureKind.TRANSIENT, code=_code(failure)), {})
    except ToolFailure as failure:
        return Carried(Failure(kind=FailureKind.AMBIGUOUS, code=_code(failure)), {})


def _code(failure: ToolFailure) -> str:
    smtp = failure.details.get("smtp_code")
    return f"smtp_{smtp}" if isinstance(smtp, int) and smtp > 0 else failure.code


class _OutOfReach:
    """An outlet speaks to the outside only: no transaction is open while it does."""

    async def get_account(self, customer_id: CustomerId) -> NoReturn:
        raise ToolRefused("a tool that reads our database must be declared atomic")

    async def get_billing(self, customer_id: CustomerId) -> NoReturn:
        raise ToolRefused("a tool that reads our database must be declared atomic")

    async def refund(self, key: str, customer_id: CustomerId, invoice_id: str, amount: Money) -> NoReturn:
        raise ToolRefused("a tool that writes in our database must be declared atomic")

    async def create_ticket(
        self, key: str, customer_id: CustomerId, topic: str, priority: Priority, interaction_id: str
    ) -> NoReturn:
        raise ToolRefused("a tool that writes in our database must be declared atomic")


_OUT_OF_REACH = _OutOfReach()
