"""The request key: same key and body, same answer; same key and another body, nothing runs."""

from typing import Protocol

from fastapi import Depends, Request

from api.auth import Caller
from api.deps import Services
from api.errors import problem
from api.fields import SenderBody
from domain.digest import digest
from domain.step_up import address_hash
from domain.values import Channel, ConversationId, CustomerId, InteractionId, Json, Mode, RequestId
from schema.base import new_id
from schema.interactions import NewInteraction
from workflows import ids


class MessageRequest(Protocol):
    """A body that carries a customer's message."""

    @property
    def customer_id(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def mode(self) -> Mode: ...
    @property
    def conversation_id(self) -> str | None: ...
    @property
    def sender(self) -> SenderBody | None: ...
    def meaning(self) -> Json:
        """Every field that means something, defaults filled in; not the key itself."""
        ...


def request_key(in_body: str | None, in_headers: list[str]) -> RequestId:
    """The caller's key from body or header, else one of ours: then the request is new by definition."""
    given = {key for key in (in_body, *in_headers) if key is not None}
    if len(given) > 1:
        raise problem(400, "request_id_invalid", "requestId and Idempotency-Key differ")
    if not all(key.isascii() for key in in_headers):
        raise problem(400, "request_id_invalid", "a header carries ASCII only; send the key as requestId in the body")
    return RequestId(given.pop() if given else new_id("req"))


async def _takes_no_key(request: Request) -> None:
    if "idempotency-key" in request.headers:
        raise problem(400, "idempotency_key_not_taken", "this makes something new each time; send it without a key")


TakesNoKey = Depends(_takes_no_key)
"""Of a route that makes something new each time: a caller who relies on a key is told before anything is done."""


def new_interaction(services: Services, caller: Caller, request: MessageRequest, key: RequestId) -> NewInteraction:
    """The row of a request. Its fingerprint covers every field that means something, defaults filled in."""
    fields = request.meaning()
    hashes = {name: digest(value) for name, value in fields.items()}
    return NewInteraction(
        organisation=caller.organisation,
        id=InteractionId(new_id("int")),
        customer_id=CustomerId(request.customer_id),
        request_id=key,
        conversation_id=ConversationId(request.conversation_id) if request.conversation_id else None,
        channel=Channel.CHAT,
        mode=request.mode,
        message=request.message,
        fingerprint=digest(hashes),
        body_fields=hashes,
        workflow_id=ids.interaction(caller.organisation, request.customer_id, key, services.id_key),
        created_at=services.now(),
        assurance=caller.assurance,
        sender=_sender_hash(services, caller, request.sender),
    )


def _sender_hash(services: Services, caller: Caller, sender: SenderBody | None) -> str | None:
    """A customer's token says more than an address does."""
    if sender is None or caller.customer_id is not None:
        return None
    return address_hash(services.id_key, caller.organisation, sender.kind, sender.address)
