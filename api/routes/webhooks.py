"""Where other systems are told what happened, signed, and where operators' chat rooms are."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, StringConstraints

from api import endpoints
from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Body, Flag, Instant, ObjectId, Page, Revision
from api.idempotency import TakesNoKey
from api.strict_json import StrictRoute
from domain.signing import Signing
from domain.values import Value
from domain.webhook import EndpointKind
from schema.webhooks import WebhookRepository

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=StrictRoute)

WebhookPath = Annotated[ObjectId, Path(alias="webhookId")]
Url = Annotated[str, StringConstraints(min_length=8, max_length=2_000, pattern=r"^https?://[!-~]+$")]
EventTypes = Annotated[
    list[Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z_]+(\.[a-z_]+)?$")]],
    Field(min_length=1, max_length=50),
]
Description = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class CreateWebhookBody(Body):
    """`webhook`: signed events for a program. `chat`: one line for a chat room (Slack and its like)."""

    url: Url
    event_types: EventTypes
    description: Description = ""
    kind: EndpointKind = EndpointKind.WEBHOOK
    signing: Signing = Signing.V1
    """`v1+v1a`: a key pair signs beside the secret. Of a `webhook` only."""


class ChangeWebhookBody(Body):
    """What is left out stays. Enabling one that was switched off does not send again what it missed: redrive does."""

    url: Url | None = None
    event_types: EventTypes | None = None
    description: Description | None = None
    enabled: Flag | None = None
    signing: Signing | None = None
    """`v1+v1a` makes a new key pair, `v1` ends every one."""
    expected_version: Revision | None = None
    """The version you change; 409 if there is a newer one."""


class ShownWebhook(Value):
    id: str
    kind: EndpointKind
    url: str
    event_types: tuple[str, ...]
    description: str
    enabled: bool
    disabled_reason: str | None = None
    """`by_hand`, or `gone`: the receiver answered 410."""
    signing: Signing
    public_keys: tuple[str, ...] = ()
    """Each `whpk_…`: what checks its `v1a` signatures now, newest first."""
    version: int
    created_by: str
    created_at: Instant
    updated_at: Instant


class WebhookWithSecret(ShownWebhook):
    secret: str | None = None
    """`whsec_…`, shown this once."""


class WebhookList(Value):
    items: tuple[ShownWebhook, ...]
    next_cursor: str | None = None


class Ping(Value):
    delivery_id: str


@router.post("", status_code=201, summary="Subscribe an address", responses={409: {}}, dependencies=[TakesNoKey])
async def create_webhook(body: CreateWebhookBody, caller: CallerDep, services: ServicesDep) -> WebhookWithSecret:
    """The secret is in this answer and never again. Only public https addresses; 409 without an encryption keyset."""
    caller.need(Scope.BUILDER)
    endpoints.check_types(body.kind, body.event_types)
    made = await endpoints.create(
        services, caller, body.kind, body.url, body.event_types, body.description, body.signing
    )
    return _with_secret(made)


@router.get("", summary="Every webhook, newest first")
async def list_webhooks(caller: CallerDep, services: ServicesDep, query: Annotated[Page, Query()]) -> WebhookList:
    caller.need(Scope.BUILDER, Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        page = await WebhookRepository(session).list(limit=query.limit, cursor=query.cursor)
        items = await endpoints.shown(session, page.items, services.now())
    return WebhookList(items=tuple(map(_shown, items)), next_cursor=page.next_cursor)


@router.get("/{webhookId}", summary="One webhook")
async def get_webhook(webhook_id: WebhookPath, caller: CallerDep, services: ServicesDep) -> ShownWebhook:
    caller.need(Scope.BUILDER, Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        endpoint = await WebhookRepository(session).get(webhook_id)
        return _shown((await endpoints.shown(session, [endpoint], services.now()))[0])


@router.patch("/{webhookId}", summary="Change a webhook", responses={409: {}})
async def change_webhook(
    webhook_id: WebhookPath, body: ChangeWebhookBody, caller: CallerDep, services: ServicesDep
) -> ShownWebhook:
    caller.need(Scope.BUILDER)
    changed = await endpoints.change(services, caller, webhook_id, **body.model_dump(by_alias=False))
    return _shown(changed)


@router.delete("/{webhookId}", status_code=204, summary="Stop using a webhook")
async def delete_webhook(webhook_id: WebhookPath, caller: CallerDep, services: ServicesDep) -> Response:
    """Nothing is sent there any more; what was sent stays on record."""
    caller.need(Scope.BUILDER)
    await endpoints.delete(services, caller, webhook_id)
    return Response(status_code=204)


@router.post(
    "/{webhookId}/rotate",
    summary="A new secret and key pair; the old ones sign beside them for a day",
    responses={409: {}},
    dependencies=[TakesNoKey],
)
async def rotate_webhook(webhook_id: WebhookPath, caller: CallerDep, services: ServicesDep) -> WebhookWithSecret:
    caller.need(Scope.BUILDER)
    return _with_secret(await endpoints.rotate(services, caller, webhook_id))


@router.post(
    "/{webhookId}/test", status_code=202, summary="Send it a ping", responses={409: {}}, dependencies=[TakesNoKey]
)
async def test_webhook(webhook_id: WebhookPath, caller: CallerDep, services: ServicesDep) -> Ping:
    """A delivery like any other: look at `/deliveries/{deliveryId}`."""
    caller.need(Scope.BUILDER)
    return Ping(delivery_id=await endpoints.ping(services, caller, webhook_id))


def _shown(found: endpoints.Shown) -> ShownWebhook:
    of_it = {name: getattr(found.endpoint, name, None) for name in ShownWebhook.model_fields}
    return ShownWebhook.model_validate({**of_it, "public_keys": found.public_keys}, by_name=True)


def _with_secret(made: endpoints.Shown) -> WebhookWithSecret:
    return WebhookWithSecret(**_shown(made).model_dump(by_alias=False), secret=made.secret)
