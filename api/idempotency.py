"""The request key: same key and body, same answer; same key and another body, nothing runs."""

from typing import TYPE_CHECKING

from api.auth import Caller
from api.deps import Services
from api.errors import problem
from domain.digest import digest
from domain.values import Channel, ConversationId, CustomerId, InteractionId, RequestId
from schema.base import new_id
from schema.interactions import NewInteraction
from workflows import ids

if TYPE_CHECKING:
    from api.routes.chat import ChatRequest


def request_key(in_body: str | None, in_header: str | None) -> RequestId:
    """The caller's key from body or header, else one of ours: then the request is new by definition."""
    if in_body and in_header and in_body != in_header:
        raise problem(400, "request_id_invalid", "requestId and Idempotency-Key differ")
    return RequestId(in_body or in_header or new_id("req"))


def new_interaction(services: Services, caller: Caller, request: "ChatRequest", key: RequestId) -> NewInteraction:
    """The row of a request. Its fingerprint covers every field that means something, defaults filled in."""
    fields = request.model_dump(mode="json", by_alias=True, exclude={"request_id"})
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
    )
