"""Customers' own keys: AES-256-GCM, each wrapped under the installation's keyset."""

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.ports import SecretBox
from domain.sealing import NewKey

KEY_BYTES = 32
NONCE_BYTES = 12


class CustomerKeys:
    """Nonces are random: one key seals far fewer than the 2^32 values they are good for."""

    def __init__(self, box: SecretBox) -> None:
        """`box` wraps: its newest key wraps from now on, all of its keys unwrap."""
        self._box = box

    def make(self, context: str) -> NewKey:
        key = secrets.token_bytes(KEY_BYTES)
        return NewKey(key, self.wrap(key, context))

    def wrap(self, key: bytes, context: str) -> str:
        return _text(self._box.seal(key, context))

    def unwrap(self, wrapped: str, context: str) -> bytes:
        """Raises `ValueError` if the keyset does not open it in this context."""
        return self._box.open(_bytes(wrapped), context)

    def seal(self, key: bytes, words: str, context: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return _text(nonce + AESGCM(key).encrypt(nonce, words.encode(), context.encode()))

    def open(self, key: bytes, sealed: str, context: str) -> str:
        """Raises `ValueError` for another key, another context or a changed byte."""
        content = _bytes(sealed)
        try:
            return AESGCM(key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], context.encode()).decode()
        except InvalidTag:
            raise ValueError("sealed words cannot be opened") from None


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """One text for each content: what `_text` would not have written is refused, so no sealed value has two forms."""
    content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(content) != text:
        raise ValueError("not written by us")
    return content
