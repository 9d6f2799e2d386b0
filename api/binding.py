"""Channels of customers: added unverified, verified by a code that was read there, removed. All on record."""

import secrets
from dataclasses import replace
from datetime import timedelta

from api.auth import Caller
from api.deps import Services
from api.proving import check_not_too_soon, hear
from api.sending import set_going
from domain.digest import digest
from domain.errors import Conflict, RateLimited
from domain.step_up import MOST_A_DAY, NONCE_BYTES, VALID_FOR, CodeState, address_hash
from domain.values import CustomerId, DeliveryId
from schema.audit import AuditEvent, AuditRepository
from schema.channels import Channel, ChannelRepository
from schema.code_deliveries import send_code
from schema.codes import CodeRepository
from schema.customers import CustomerRepository
from schema.session import Session

DAY = timedelta(days=1)


async def list_channels(services: Services, caller: Caller, customer_id: CustomerId) -> tuple[Channel, ...]:
    """Raises `CustomerNotFound`."""
    async with services.db.transaction(caller.organisation) as session:
        return await ChannelRepository(session).list(customer_id)


async def add_channel(services: Services, caller: Caller, customer_id: CustomerId, kind: str, address: str) -> Channel:
    """The channel, and a code on its way unless it is verified.

    Raises `CustomerNotFound`, `Conflict` for another address than the account's, `RateLimited`."""
    at, starts = services.now(), tuple[DeliveryId, ...]()
    async with services.db.transaction(caller.organisation) as session:
        account = await CustomerRepository(session).get_account(customer_id)
        wanted = address_hash(services.id_key, caller.organisation, kind, address)
        if not account.email or address_hash(services.id_key, caller.organisation, kind, account.email) != wanted:
            raise Conflict("this is not the address in the customer's account")
        channel = await ChannelRepository(session).add(customer_id, kind, wanted, caller.name, at)
        if channel.verified_at is None:
            starts = (await _send(services, session, channel),)
            await _audit(services, session, caller, "channel.added", channel)
    await set_going(services, caller.organisation, *starts)
    return channel


async def _send(services: Services, session: Session, channel: Channel) -> DeliveryId:
    codes, at = CodeRepository(session), services.now()
    if await codes.unproven_since(channel.customer_id, at - DAY) >= MOST_A_DAY:
        raise RateLimited("too many codes for this customer", limit="code", retry_after=int(DAY.total_seconds()))
    last = await codes.of_channel(channel.id)
    if last is not None and last.state is CodeState.OPEN:
        check_not_too_soon(services, last)
        await codes.end(last, CodeState.EXPIRED, at)
    code = await codes.ask(
        channel.customer_id, channel.id, None, bound=digest({"channel": channel.id}),
        nonce=secrets.token_bytes(NONCE_BYTES), at=at, expires_at=at + VALID_FOR,
    )  # fmt: skip
    return await send_code(session, code, 1, at)


async def verify_channel(
    services: Services, caller: Caller, customer_id: CustomerId, channel_id: str, given: str
) -> Channel:
    """The channel, verified. Again: as it stands.

    Raises `ChannelNotFound`, `CodeWrong`, `CodeOver`, `Conflict` for an address that is another customer's."""
    at = services.now()
    async with services.db.transaction(caller.organisation) as session:
        channels = ChannelRepository(session)
        channel = await channels.get(customer_id, channel_id)
        heard = await hear(services, session, caller, await CodeRepository(session).of_channel(channel.id), given)
        if heard.is_right and channel.verified_at is None:
            await channels.verify(channel, at)
            await _audit(services, session, caller, "channel.verified", channel)
            channel = replace(channel, verified_at=at)
    heard.check()
    return channel


async def remove_channel(services: Services, caller: Caller, customer_id: CustomerId, channel_id: str) -> None:
    """Raises `ChannelNotFound`."""
    async with services.db.transaction(caller.organisation) as session:
        channels = ChannelRepository(session)
        channel = await channels.get(customer_id, channel_id)
        await channels.remove(customer_id, channel_id)
        await _audit(services, session, caller, "channel.removed", channel)


async def _audit(services: Services, session: Session, caller: Caller, action: str, channel: Channel) -> None:
    event = AuditEvent(services.now(), caller.name, action, channel.id, {"kind": channel.kind})
    await AuditRepository(session).append(event)
