"""What Temporal keeps, sealed: whoever reads its database, its backups or its Web UI reads ids and codes only.

Every workflow has a key of its own, derived from one of ours with the workflow's id and its organisation, which are
authenticated with each payload as well: one that was moved to another workflow or organisation does not open.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec, SerializationContext, WithSerializationContext

from domain.errors import PayloadRefused
from domain.payloads import WORKFLOW, organisation_of

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"

KEY_BYTES = 32
NONCE_BYTES = 12
_LAUNCHED = re.compile(r"([a-z-]+)-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""A schedule appends the time to the id of the workflow it starts: its input was sealed before that was known."""


class PayloadKeys:
    """One key that seals, and those that sealed before it: what they sealed still opens."""

    def __init__(self, keys: str) -> None:
        """`keys`: the base64 of 32 random bytes each, separated by commas, the one that seals first. Raises
        `ValueError`, without a word of them, if they are anything else."""
        found = [_read(key) for key in keys.split(",")]
        self._keys = {key_id(key): key for key in found}
        self.sealing = key_id(found[0])
        self._cipher = lru_cache(maxsize=4096)(self._derived)

    def seal(self, content: bytes, workflow_id: str) -> bytes:
        """`content` as only its workflow can read it, under the key `sealing`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher(self.sealing, workflow_id).encrypt(nonce, content, _context(workflow_id))

    def open(self, sealed: bytes, workflow_id: str, sealed_by: str) -> bytes:
        """What was sealed for this workflow by the key with the id `sealed_by`. Raises `PayloadRefused`: a key that is
        not ours any more, another workflow's, or a changed byte."""
        if sealed_by not in self._keys:
            raise PayloadRefused("a payload is sealed under a key that is not known here")
        try:
            nonce, content = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return self._cipher(sealed_by, workflow_id).decrypt(nonce, content, _context(workflow_id))
        except (InvalidTag, ValueError):
            raise PayloadRefused("a payload was changed, or sealed for another workflow") from None

    def _derived(self, key: str, workflow_id: str) -> AESGCM:
        """A key of the workflow's own: its few random nonces never come near repeating."""
        return AESGCM(hmac.digest(self._keys[key], _context(workflow_id), "sha256"))


class SealingCodec(PayloadCodec, WithSerializationContext):
    """Seals everything, and opens nothing that is not sealed for the workflow at hand.

    With `accept_plaintext` it also reads what was recorded before there were keys; it seals all the same.
    """

    def __init__(self, keys: PayloadKeys, *, accept_plaintext: bool = False, workflow_id: str | None = None) -> None:
        self.keys = keys
        self._accept_plaintext = accept_plaintext
        self._workflow_id = workflow_id

    def with_context(self, context: SerializationContext) -> Self:
        workflow_id: str | None = getattr(context, "workflow_id", None)
        bound = bound_to(workflow_id) if workflow_id else None
        return type(self)(self.keys, accept_plaintext=self._accept_plaintext, workflow_id=bound)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._sealed(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._opened(payload) for payload in payloads]

    def open_claimed(self, payload: Payload) -> Payload:
        """What is inside, for the workflow it says it is sealed for: for whoever has checked whose that is.
        Raises `PayloadRefused`."""
        return _opened(self.keys, payload, _says(payload, WORKFLOW))

    def _sealed(self, payload: Payload) -> Payload:
        if self._workflow_id is None:
            raise PayloadRefused("a payload belongs to no workflow, so nothing can be said about who may read it")
        return Payload(
            metadata={
                "encoding": ENCODING,
                KEY_ID: self.keys.sealing.encode(),
                WORKFLOW: self._workflow_id.encode(),
            },
            data=self.keys.seal(payload.SerializeToString(), self._workflow_id),
        )

    def _opened(self, payload: Payload) -> Payload:
        if self._accept_plaintext and _says(payload, "encoding") != ENCODING.decode():
            return payload
        if self._workflow_id is None:
            raise PayloadRefused("a payload belongs to no workflow, so nothing can be said about who may read it")
        return _opened(self.keys, payload, self._workflow_id)


def codec_of(keys: str, *, accept_plaintext: bool = False) -> SealingCodec | None:
    """The codec for a setting; None where there are no keys, which only development may do."""
    return SealingCodec(PayloadKeys(keys), accept_plaintext=accept_plaintext) if keys else None


def bound_to(workflow_id: str) -> str:
    """The name payloads of a workflow are bound to: its id, without the time a schedule started it at."""
    launched = _LAUNCHED.fullmatch(workflow_id)
    return launched.group(1) if launched else workflow_id


def key_id(key: bytes) -> str:
    """The first 16 hexadecimal digits of a hash of the key: names it and says nothing about it."""
    return hashlib.sha256(b"holdfast payload key\0" + key).hexdigest()[:16]


def new_payload_key() -> str:
    """A new key. Whoever has it opens everything sealed under it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _opened(keys: PayloadKeys, payload: Payload, workflow_id: str) -> Payload:
    if _says(payload, "encoding") != ENCODING.decode():
        raise PayloadRefused("a payload is not sealed")
    try:
        return Payload.FromString(keys.open(payload.data, workflow_id, _says(payload, KEY_ID)))
    except DecodeError:
        raise PayloadRefused("a sealed payload holds no payload") from None


def _says(payload: Payload, what: str) -> str:
    return payload.metadata.get(what, b"").decode(errors="replace")


def _context(workflow_id: str) -> bytes:
    """Organisation and workflow: lengths first, so that no two pairs read alike."""
    organisation, workflow = organisation_of(workflow_id).encode(), workflow_id.encode()
    return b"holdfast payload 1\0%d\0%s%d\0%s" % (len(organisation), organisation, len(workflow), workflow)


def _read(key: str) -> bytes:
    try:
        found = base64.b64decode(key.strip(), validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != KEY_BYTES:
        raise ValueError("a payload key is the base64 of 32 bytes")
    return found
