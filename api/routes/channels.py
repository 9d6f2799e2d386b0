"""Addresses a customer can be reached at, and whether they proved to read them."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.auth import CallerDep, Scope
from api.binding import add_channel, list_channels, remove_channel, verify_channel
from api.deps import ServicesDep
from api.fields import Body, Code, Instant, Key, ObjectId, SenderBody
from api.idempotency import TakesNoKey
from api.strict_json import StrictRoute
from domain.values import CustomerId, Value
from schema.channels import Channel

router = APIRouter(prefix="/customers/{customerId}/channels", tags=["customers"], route_class=StrictRoute)

CustomerPath = Annotated[Key, Path(alias="customerId")]
ChannelPath = Annotated[ObjectId, Path(alias="channelId")]


class ShownChannel(Value):
    """The address itself stands in the customer's account and nowhere else."""

    id: str
    customer_id: str
    kind: str
    created_by: str
    created_at: Instant
    verified_at: Instant | None = None
    """Null: nobody has proved yet that the customer reads it. It counts for nothing."""


class ChannelList(Value):
    items: tuple[ShownChannel, ...]


class VerifyChannelBody(Body):
    """What the customer read there."""

    code: Code


@router.get("", summary="A customer's channels", responses={404: {}})
async def list_customer_channels(customer_id: CustomerPath, caller: CallerDep, services: ServicesDep) -> ChannelList:
    caller.need(Scope.INGEST, Scope.OPERATOR, Scope.AUDITOR)
    channels = await list_channels(services, caller, CustomerId(customer_id))
    return ChannelList(items=tuple(_shown(channel) for channel in channels))


@router.post(
    "",
    status_code=201,
    summary="Add a channel, and send a code to it",
    responses={404: {}, 409: {}},
    dependencies=[TakesNoKey],
)
async def add_customer_channel(
    customer_id: CustomerPath, body: SenderBody, caller: CallerDep, services: ServicesDep
) -> ShownChannel:
    """The address must be the one in the customer's account. Adding it again sends another code, unless it is verified
    already."""
    caller.need(Scope.INGEST)
    return _shown(await add_channel(services, caller, CustomerId(customer_id), body.kind, body.address))


@router.post("/{channelId}/verify", summary="Give back the code that was sent there", responses={404: {}, 409: {}})
async def verify_customer_channel(
    customer_id: CustomerPath,
    channel_id: ChannelPath,
    body: VerifyChannelBody,
    caller: CallerDep,
    services: ServicesDep,
) -> ShownChannel:
    """From then on what comes from this address counts as `channel`, and codes go there. An address is verified for one
    customer only."""
    caller.need(Scope.INGEST)
    return _shown(await verify_channel(services, caller, CustomerId(customer_id), channel_id, body.code))


@router.delete("/{channelId}", status_code=204, summary="Remove a channel", responses={404: {}})
async def remove_customer_channel(
    customer_id: CustomerPath, channel_id: ChannelPath, caller: CallerDep, services: ServicesDep
) -> Response:
    """It counts for nothing from now on. Whoever waits for a code that was sent there gets a person."""
    caller.need(Scope.INGEST)
    await remove_channel(services, caller, CustomerId(customer_id), channel_id)
    return Response(status_code=204)


def _shown(channel: Channel) -> ShownChannel:
    return ShownChannel.model_validate(channel, from_attributes=True)
