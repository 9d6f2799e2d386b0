"""Forgetting a customer: what is kept outside the database, so that a restored backup does not bring anybody back."""

import hashlib
import hmac
from datetime import datetime
from typing import Protocol

from domain.values import Value


class Tombstone(Value):
    """That somebody was erased. Says nothing of who, but to who knows their id and our key."""

    id: str
    organisation: str
    subject: str
    by: str
    at: datetime


class ErasureRef(Value):
    """Names one erasure; the input of its workflow and its activities."""

    organisation: str
    erasure_id: str


class Attempt(Value):
    """How an erasure went."""

    is_held: bool
    """Nothing was erased: a legal hold keeps the customer's data. Try again later."""


class TombstoneStore(Protocol):
    """Outside the database, and not restored with it."""

    def keep(self, stone: Tombstone) -> None:
        """On disk when this returns. Keeping one twice keeps it once. Raises `DependencyDown`."""
        ...

    def all(self) -> tuple[Tombstone, ...]:
        """Every one, the oldest first. Raises `DependencyDown` if one cannot be read: nobody may be forgotten to be
        forgotten."""
        ...


def hashed(organisation: str, words: str, key: bytes) -> str:
    """Somebody's words as tombstones name them: equal ones are equal, and nobody without the key can try out names."""
    said = f"erasure\0{len(organisation)}\0{organisation}{words}".encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()
