"""Secrets sealed for storage: authenticated encryption with keys that can be changed (Tink)."""

import json

import tink  # type: ignore[import-untyped]  # Tink has no types
from tink import aead, secret_key_access


class TinkSecretBox:
    """AES-256-GCM under a keyset: the primary key seals, every enabled key opens. What is sealed names its key.

    The context is authenticated with it, so that a row copied to another organisation, purpose or id does not open.
    """

    def __init__(self, keyset: str) -> None:
        """`keyset` is Tink's JSON. Raises `ValueError`, without a word of it, if it is not one."""
        aead.register()
        try:
            handle = tink.json_proto_keyset_format.parse(keyset, secret_key_access.TOKEN)
            self._aead = handle.primitive(aead.Aead)
        except tink.TinkError:
            raise ValueError("the encryption keyset is not a Tink AEAD keyset") from None

    def seal(self, secret: bytes, context: str) -> bytes:
        sealed: bytes = self._aead.encrypt(secret, context.encode())
        return sealed

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `ValueError`: another context, a changed byte, or a key that is not in the keyset any more."""
        try:
            secret: bytes = self._aead.decrypt(sealed, context.encode())
        except tink.TinkError:
            raise ValueError("a sealed secret cannot be opened") from None
        return secret


def new_keyset() -> str:
    """A keyset with one new key, as JSON. Whoever has it opens everything sealed under it."""
    aead.register()
    handle = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
    keyset: str = tink.json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN)
    return keyset


def with_another_key(keyset: str) -> str:
    """The same keyset with a new key that opens and does not seal yet: for every process to have before one seals."""
    before, more = json.loads(keyset), json.loads(new_keyset())
    return json.dumps({"primaryKeyId": before["primaryKeyId"], "key": [*before["key"], *more["key"]]})


def with_newest_primary(keyset: str) -> str:
    """The same keyset; the key added last seals from now on, and what was sealed before still opens."""
    before = json.loads(keyset)
    return json.dumps({**before, "primaryKeyId": before["key"][-1]["keyId"]})


def with_primary_only(keyset: str) -> str:
    """Without the keys that seal no more: what they sealed does not open after this."""
    before = json.loads(keyset)
    return json.dumps({**before, "key": [key for key in before["key"] if key["keyId"] == before["primaryKeyId"]]})


def with_new_primary(keyset: str) -> str:
    """The same keyset with a new key that seals from now on; what was sealed before still opens."""
    return with_newest_primary(with_another_key(keyset))
