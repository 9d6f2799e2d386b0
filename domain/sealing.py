"""Customers' own keys, as a port: what is sealed under one can be read for as long as it exists."""

from typing import NamedTuple, Protocol

from domain.errors import HoldfastError

ERASED = "erased"
"""What is read where the customer's key was destroyed: the same word an erasure writes."""


class SealBroken(HoldfastError):
    """A customer's words are sealed and cannot be opened here although their key was not destroyed: the installation's
    keyset is missing or another one, or the row was changed. Nothing of it is believed."""

    code = "sealed_unreadable"


class NewKey(NamedTuple):
    key: bytes
    wrapped: str
    """The key as it may be stored: sealed under the installation's own."""


class DataKeys(Protocol):
    """Makes, wraps and uses customers' keys. A context is authenticated, never secret."""

    def make(self, context: str) -> NewKey:
        """A new key, wrapped for this context."""
        ...

    def wrap(self, key: bytes, context: str) -> str:
        """The same key wrapped anew, under the installation's newest key."""
        ...

    def unwrap(self, wrapped: str, context: str) -> bytes:
        """Raises `ValueError`: another context, a changed byte, or a key of the installation that is gone."""
        ...

    def seal(self, key: bytes, words: str, context: str) -> str:
        """Words as only this key opens them, in this context."""
        ...

    def open(self, key: bytes, sealed: str, context: str) -> str:
        """Raises `ValueError`: another key, another context, a changed byte."""
        ...
