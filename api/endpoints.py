"""Webhook endpoints as people manage them: addresses checked, secrets made, sealed and shown once."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from api.auth import Caller
from api.deps import Services
from api.sending import set_going
from domain.errors import Conflict, RequestInvalid
from domain.outside import Use, target_of
from domain.ports import SecretBox
from domain.signing import Signing, shown_public_key, shown_secret
from domain.values import DeliveryId, Json
from domain.webhook import (
    DomainEvent,
    EndpointKind,
    EventType,
    NewNotification,
    NotificationKind,
    secret_context,
)
from schema.audit import AuditEvent, AuditRepository
from schema.base import new_id
from schema.events import EventRepository
from schema.notifications import NotificationRepository
from schema.session import Session
from schema.webhook_limits import need_room
from schema.webhook_secrets import SecretPurpose, WebhookSecretRepository
from schema.webhooks import Endpoint, WebhookRepository, new_endpoint_id

OVERLAP = timedelta(hours=24)
"""How long the secret before this one still signs as well: time to bring the new one to the receiver."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint with what may be seen of its keys."""

    endpoint: Endpoint
    public_keys: tuple[str, ...] = ()
    """Each `whpk_…`: those that sign now, newest first."""
    secret: str | None = None
    """`whsec_…`, right after it was made only."""


async def shown(
    session: Session, endpoints: Sequence[Endpoint], at: datetime, secret: bytes | None = None
) -> tuple[Shown, ...]:
    keys = await WebhookSecretRepository(session).public_keys([e.id for e in endpoints if e.signing.has_key], at)
    words = shown_secret(secret) if secret else None
    return tuple(Shown(e, tuple(map(shown_public_key, keys.get(e.id, ()))), words) for e in endpoints)


async def create(
    services: Services,
    caller: Caller,
    kind: EndpointKind,
    url: str,
    event_types: list[str],
    description: str,
    signing: Signing,
) -> Shown:
    """The endpoint, and the secret that signs for it; none for a chat room. Raises `RequestInvalid`, `Conflict`."""
    _check_signing(kind, signing)
    target_of(url, services.outbound_allow.of(caller.organisation, Use(kind)))
    box, at, endpoint_id = _box(services), services.now(), new_endpoint_id()
    async with services.db.transaction(caller.organisation) as session:
        await need_room(session)
        endpoint = await WebhookRepository(session).create(
            endpoint_id, kind, shown_url(kind, url), event_types, description, caller.name, at, signing
        )
        if kind is EndpointKind.CHAT:
            await _keep(services, session, box, endpoint_id, "address", url.encode())
            secret = None
        else:
            secret = secrets.token_bytes(32)
            await _keep(services, session, box, endpoint_id, "signing", secret)
        if signing.has_key:
            await _keep_new_pair(services, session, box, endpoint_id)
        await audit(services, session, caller, "webhook.created", endpoint_id, {"after": _settings_of(endpoint)})
        return (await shown(session, [endpoint], at, secret))[0]


async def change(
    services: Services,
    caller: Caller,
    endpoint_id: str,
    *,
    url: str | None,
    event_types: list[str] | None,
    description: str | None,
    enabled: bool | None,
    signing: Signing | None,
    expected_version: int | None,
) -> Shown:
    """What is None stays. Raises `NotFound`, `RequestInvalid`, `Conflict`."""
    async with services.db.transaction(caller.organisation) as session:
        webhooks = WebhookRepository(session)
        before = await webhooks.get(endpoint_id)
        kind = before.kind
        _check_signing(kind, signing or Signing.V1)
        if url is not None:
            target_of(url, services.outbound_allow.of(caller.organisation, Use(kind)))
        check_types(kind, event_types or [])
        if url is not None and kind is EndpointKind.CHAT:
            kept = await _keep(services, session, _box(services), endpoint_id, "address", url.encode())
            await WebhookSecretRepository(session).expire_others(endpoint_id, "address", kept, services.now())
        if signing is not None and signing is not before.signing:
            await _change_signing(services, session, endpoint_id, signing)
        endpoint = await webhooks.change(
            endpoint_id,
            services.now(),
            url=None if url is None else shown_url(kind, url),
            event_types=event_types,
            description=description,
            enabled=enabled,
            signing=signing,
        )
        # Its row is locked by now: nobody else's change lies between what was expected and this.
        if expected_version is not None and endpoint.version != expected_version + 1:
            raise Conflict("the webhook was changed meanwhile", reason="stale_version", version=endpoint.version - 1)
        details = {"before": _settings_of(before), "after": _settings_of(endpoint), "urlChanged": url is not None}
        await audit(services, session, caller, "webhook.changed", endpoint_id, details)
        return (await shown(session, [endpoint], services.now()))[0]


async def rotate(services: Services, caller: Caller, endpoint_id: str) -> Shown:
    """A new secret, shown this once, and a new key pair where there is one. The older ones sign beside them for a day.
    Raises `NotFound`, `Conflict`."""
    secret = secrets.token_bytes(32)
    async with services.db.transaction(caller.organisation) as session:
        webhooks = WebhookRepository(session)
        endpoint = await webhooks.get(endpoint_id)
        if endpoint.kind is EndpointKind.CHAT:
            raise Conflict("a chat room has no secret but its address", reason="no_signing_secret")
        stored, box, until = WebhookSecretRepository(session), _box(services), services.now() + OVERLAP
        kept = {"secret": await _keep(services, session, box, endpoint_id, "signing", secret)}
        await stored.expire_others(endpoint_id, "signing", kept["secret"], until)
        if endpoint.signing.has_key:
            kept["key"] = await _keep_new_pair(services, session, box, endpoint_id)
            await stored.expire_others(endpoint_id, "signing_key", kept["key"], until)
        await audit(services, session, caller, "webhook.rotated", endpoint_id, dict(kept))
        return (await shown(session, [endpoint], services.now(), secret))[0]


async def delete(services: Services, caller: Caller, endpoint_id: str) -> None:
    """Raises `NotFound`."""
    async with services.db.transaction(caller.organisation) as session:
        webhooks = WebhookRepository(session)
        before = await webhooks.get(endpoint_id)
        await webhooks.delete(endpoint_id, services.now())
        await audit(services, session, caller, "webhook.deleted", endpoint_id, {"before": _settings_of(before)})


async def ping(services: Services, caller: Caller, endpoint_id: str) -> DeliveryId:
    """Sends it a `ping`, like any other delivery. Raises `NotFound`, `Conflict` if it is disabled."""
    at = services.now()
    async with services.db.transaction(caller.organisation) as session:
        endpoint = await WebhookRepository(session).get(endpoint_id)
        if not endpoint.enabled:
            raise Conflict("this webhook is disabled", reason=endpoint.disabled_reason)
        if endpoint.kind is EndpointKind.CHAT:
            note = NewNotification(NotificationKind.PING, endpoint_id, at)
            delivery_id = await NotificationRepository(session).say_to(note, endpoint)
        else:
            event = DomainEvent(EventType.PING, endpoint_id, at, key=new_id("png"))
            (delivery_id,) = await EventRepository(session).record_for(event, endpoint)
        await audit(services, session, caller, "webhook.tested", endpoint_id, {"delivery": delivery_id})
    await set_going(services, caller.organisation, delivery_id)
    return delivery_id


def check_types(kind: EndpointKind, wanted: list[str]) -> None:
    """Raises `RequestInvalid` for what this kind of endpoint is never told."""
    known = {str(t) for t in (EventType if kind is EndpointKind.WEBHOOK else NotificationKind)}
    if unknown := sorted(set(wanted) - known):
        raise RequestInvalid("this kind of endpoint is not told of that", fields=["eventTypes"], unknown=unknown)


def shown_url(kind: EndpointKind, url: str) -> str:
    """A chat room's address lets anybody post there: only where it leads is shown."""
    parts = urlsplit(url)
    return url if kind is EndpointKind.WEBHOOK else f"{parts.scheme}://{parts.netloc}/…"


async def audit(
    services: Services, session: Session, caller: Caller, action: str, endpoint_id: str, details: Json
) -> None:
    await AuditRepository(session).append(AuditEvent(services.now(), caller.name, action, endpoint_id, details))


def _settings_of(endpoint: Endpoint) -> Json:
    """As the audit keeps it. Addresses may hold secrets and descriptions are free text: neither is here."""
    about = {"eventTypes": list(endpoint.event_types), "enabled": endpoint.enabled, "version": endpoint.version}
    return {"kind": endpoint.kind, "signing": endpoint.signing, **about}


def _check_signing(kind: EndpointKind, signing: Signing) -> None:
    if kind is EndpointKind.CHAT and signing.has_key:
        raise RequestInvalid("what is said in a chat room is not signed", fields=["signing"])


async def _change_signing(services: Services, session: Session, endpoint_id: str, signing: Signing) -> None:
    """A new pair, and never an older one again: whoever turns it off may do so because it is known to somebody."""
    kept = await _keep_new_pair(services, session, _box(services), endpoint_id) if signing.has_key else ""
    await WebhookSecretRepository(session).expire_others(endpoint_id, "signing_key", kept, services.now())


async def _keep_new_pair(services: Services, session: Session, box: SecretBox, endpoint_id: str) -> str:
    seed, public_key = services.new_key_pair()
    return await _keep(services, session, box, endpoint_id, "signing_key", seed, public_key)


async def _keep(
    services: Services,
    session: Session,
    box: SecretBox,
    endpoint_id: str,
    purpose: SecretPurpose,
    secret: bytes,
    public_key: bytes | None = None,
) -> str:
    secret_id = new_id("sec")
    sealed = box.seal(secret, secret_context(session.organisation, purpose, secret_id))
    await WebhookSecretRepository(session).keep(
        endpoint_id, purpose, secret_id, sealed, services.now(), public_key=public_key
    )
    return secret_id


def _box(services: Services) -> SecretBox:
    if services.secret_box is None:
        raise Conflict("secrets cannot be kept here: no encryption keyset is set", reason="encryption_keyset_missing")
    return services.secret_box
