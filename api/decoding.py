"""What Temporal keeps, opened for people who look at it in Temporal's Web UI: their own organisation's, on record."""

import base64
import binascii
from collections.abc import Iterable
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload

from api.auth import Caller
from api.deps import Services
from domain.errors import PayloadRefused
from domain.payloads import WORKFLOW, organisation_of
from schema.audit import AuditEvent, AuditRepository


class Undecodable(ValueError):
    """Not a payload: not base64 where it has to be."""


def read(metadata: dict[str, str], data: str) -> Payload:
    """A payload as the Web UI writes it. Raises `Undecodable`."""
    try:
        known = {name: base64.b64decode(value, validate=True) for name, value in metadata.items()}
        return Payload(metadata=known, data=base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Undecodable from error


async def decoded(services: Services, caller: Caller, payloads: Iterable[Payload]) -> list[Payload]:
    """Each opened, if it is of the caller's organisation; else as it came, whatever is the matter with it."""
    found = [_opened(services, caller, payload) for payload in payloads]
    await _on_record(services, caller, {workflow for _, workflow in found if workflow})
    return [payload for payload, _ in found]


def _opened(services: Services, caller: Caller, payload: Payload) -> tuple[Payload, str]:
    """And the workflow it was opened for; empty if it was not."""
    workflow = payload.metadata.get(WORKFLOW, b"").decode(errors="replace")
    if services.payloads is None or organisation_of(workflow) != caller.organisation:
        return payload, ""
    try:
        return services.payloads.open_claimed(payload), workflow
    except (PayloadRefused, DecodeError):
        return payload, ""


async def _on_record(services: Services, caller: Caller, workflows: Iterable[str]) -> None:
    """Once per person, workflow and minute, before anything is shown: a page of the Web UI asks hundreds of times."""
    at, who = services.now(), (caller.organisation, caller.name)
    new = sorted(w for w in workflows if services.looked.is_new((*who, w), at))
    if not new:
        return
    try:
        async with services.db.transaction(caller.organisation) as session:
            events = [AuditEvent(at, caller.name, "workflow.payloads_decoded", workflow) for workflow in new]
            await AuditRepository(session).append(*events)
    except BaseException:
        for workflow in new:
            services.looked.forget((*who, workflow))
        raise


def shared_with(services: Services, origin: str | None) -> dict[str, str]:
    """Headers that let the configured Web UI, and no other page, read the answer in a browser."""
    headers = {"Vary": "Origin", "Cache-Control": "no-store"}
    ours = urlsplit(services.temporal_ui_url)
    if not origin or not ours.scheme or origin != f"{ours.scheme}://{ours.netloc}":
        return headers
    allowed = {"Methods": "POST, OPTIONS", "Headers": "content-type, x-namespace, authorization", "Credentials": "true"}
    return {
        **headers,
        "Access-Control-Allow-Origin": origin,
        **{f"Access-Control-Allow-{name}": value for name, value in allowed.items()},
    }
