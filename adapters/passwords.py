"""Passwords hashed with Argon2id (RFC 9106), as the library of `adapters/ed25519.py` does it."""

import os
import secrets

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MEMORY_KIB = 19_456
ITERATIONS = 2
"""With 19 MiB of memory the least OWASP recommends (2025): about 30 ms on one core."""
SALT_BYTES = 16
HASH_BYTES = 32


class Argon2Passwords:
    """Hashes in the PHC string format: a hash names its own parameters, so that they can be raised later."""

    def __init__(self) -> None:
        self.nobodys = self.hash(secrets.token_urlsafe(32))

    def hash(self, password: str) -> str:
        kdf = Argon2id(
            salt=os.urandom(SALT_BYTES), length=HASH_BYTES, iterations=ITERATIONS, lanes=1, memory_cost=MEMORY_KIB
        )
        return kdf.derive_phc_encoded(password.encode())

    def verify(self, password: str, hashed: str) -> bool:
        try:
            Argon2id.verify_phc_encoded(password.encode(), hashed)
        except (InvalidKey, ValueError):
            return False
        return True
