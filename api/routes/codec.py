"""The codec endpoint of Temporal's Web UI: set it to `<this server>/codec`."""

import base64
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import Field
from temporalio.api.common.v1 import Payload

from api.auth import CallerDep, Scope
from api.decoding import Undecodable, decoded, read, shared_with
from api.deps import ServicesDep
from api.fields import Body
from api.strict_json import StrictRoute
from domain.errors import RequestInvalid
from domain.values import Value

router = APIRouter(prefix="/codec", tags=["codec"], route_class=StrictRoute)

MOST = 200
Encoded = Annotated[str, Field(max_length=48_000)]
"""Less than a body may have: what Temporal keeps for us are small facts."""


class SealedPayload(Body):
    """As Temporal's Web UI sends it: names in clear, values and data in base64."""

    metadata: Annotated[dict[Annotated[str, Field(max_length=100)], Encoded], Field(max_length=20)] = {}
    data: Encoded = ""


class DecodeBody(Body):
    payloads: Annotated[tuple[SealedPayload, ...], Field(max_length=MOST)]


class OpenPayload(Value):
    metadata: dict[str, str]
    data: str

    @classmethod
    def of(cls, payload: Payload) -> "OpenPayload":
        metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
        return cls(metadata=metadata, data=base64.b64encode(payload.data).decode())


class Decoded(Value):
    payloads: tuple[OpenPayload, ...]


@router.post("/decode", summary="Open what Temporal keeps, for its Web UI")
async def decode_payloads(
    body: DecodeBody,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    origin: Annotated[str | None, Header(max_length=500)] = None,
) -> Decoded:
    """Of your organisation's workflows. Anything else comes back as it was. Who looked is on record."""
    caller.need(Scope.AUDITOR)
    response.headers.update(shared_with(services, origin))
    try:
        payloads = [read(each.metadata, each.data) for each in body.payloads]
    except Undecodable:
        raise RequestInvalid("metadata and data are base64", fields=["payloads"]) from None
    return Decoded(payloads=tuple(map(OpenPayload.of, await decoded(services, caller, payloads))))


@router.options("/decode", include_in_schema=False)
async def may_decode(services: ServicesDep, origin: Annotated[str | None, Header(max_length=500)] = None) -> Response:
    """What a browser asks before it lets the Web UI ask."""
    return Response(status_code=204, headers=shared_with(services, origin))
