"""The key checkpoints of the audit are signed with, and what checks them."""

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


class Ed25519Keys:
    """One key that signs, and those that signed before it: what they signed is still believed."""

    def __init__(self, keys: str) -> None:
        """`keys`: one PEM private key, or base64 seeds of 32 bytes separated by commas, the one that signs first.
        Raises `ValueError`, without a word of them, if they are anything else."""
        private = [_read(key) for key in (keys.split(",") if not keys.lstrip().startswith("-") else [keys])]
        self._signing = private[0]
        self._public = {key_id(key.public_key()): key.public_key() for key in private}
        self.key_id = key_id(self._signing.public_key())

    def sign(self, words: bytes) -> str:
        return base64.b64encode(self._signing.sign(words)).decode()

    def verifies(self, words: bytes, signature: str, signed_by: str) -> bool:
        """Whether the key with the id `signed_by` is one of ours and signed these words."""
        key = self._public.get(signed_by)
        if key is None:
            return False
        try:
            key.verify(base64.b64decode(signature, validate=True), words)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def public_pem(self) -> str:
        """The public halves, the one that signs first: what an auditor is given."""
        pems = (key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in self._public.values())
        return b"".join(pems).decode()


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the 32 bytes of a public key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def new_seed() -> str:
    """A new key. Whoever has it can vouch for a chain in our name."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _read(key: str) -> Ed25519PrivateKey:
    try:
        if key.lstrip().startswith("-"):
            private = load_pem_private_key(key.strip().encode() + b"\n", password=None)
        else:
            private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(key.strip(), validate=True))
    except (ValueError, TypeError, binascii.Error):
        raise ValueError("not an Ed25519 private key") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 private key")
    return private
