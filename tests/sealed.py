"""The key tests seal what Temporal keeps with, and how to look inside."""

from collections.abc import Iterator

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory

from adapters.payload_codec import ENCODING, PayloadKeys, SealingCodec, new_payload_key

PAYLOAD_KEY = new_payload_key()
CODEC = SealingCodec(PayloadKeys(PAYLOAD_KEY))


def payloads(message: Message) -> Iterator[Payload]:
    """Every payload anywhere in a message, search attributes and headers too."""
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = [one for one in value.values() if isinstance(one, Message)]
        else:
            inner = list(value) if field.is_repeated else [value]
        for one in inner:
            yield from payloads(one)


def is_sealed(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCODING


def unseal(history: WorkflowHistory) -> int:
    """Puts what is inside in place of every sealed payload; how many there were."""
    found = [payload for event in history.events for payload in payloads(event) if is_sealed(payload)]
    for payload in found:
        payload.CopyFrom(CODEC.open_claimed(payload))
    return len(found)
