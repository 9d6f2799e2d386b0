"""How words are sealed under a customer's key, without a question to the database; `schema.sealed` asks those."""

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.sealing import DataKeys, SealBroken
from domain.values import OrganisationId
from schema.base import new_id

MARK = "\x01sealed.1."
"""What sealed words begin with; then the id of the key, a dot, and what only that key opens."""
KEPT_S = 600.0
"""How long after it was last met here a key seals new words without being looked for."""
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class CustomerKey:
    id: str
    organisation: OrganisationId
    customer_id: str
    wrapped: str
    key: bytes = field(repr=False)


class Seals:
    """One per process. `writes` false: words are stored in clear, as releases before this one read them; what is sealed
    is opened all the same."""

    def __init__(
        self,
        keys: DataKeys,
        *,
        writes: bool = True,
        most: int = MOST_KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self.writes = writes
        self._most = most
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, CustomerKey]] = OrderedDict()

    def at_hand(self, organisation: OrganisationId, customer_id: str) -> CustomerKey | None:
        """The key this customer's words were last read or written with, for ten minutes. It may have been destroyed
        since: whoever seals with it must make storing the words depend on its row."""
        met, key = self._kept.get((organisation, customer_id), (0.0, None))
        return key if key is not None and self._clock() - met < KEPT_S else None

    def keep(self, key: CustomerKey) -> None:
        whose = (key.organisation, key.customer_id)
        self._kept[whose] = (self._clock(), key)
        self._kept.move_to_end(whose)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def forget(self, key: CustomerKey) -> None:
        self._kept.pop((key.organisation, key.customer_id), None)

    def new(self, organisation: OrganisationId, customer_id: str) -> CustomerKey:
        """A key that is nobody's until its row is stored."""
        key_id = new_id("cky")
        made = self._keys.make(_wrapping(organisation, customer_id, key_id))
        return CustomerKey(key_id, organisation, customer_id, made.wrapped, made.key)

    def unwrapped(self, organisation: OrganisationId, customer_id: str, key_id: str, wrapped: str) -> CustomerKey:
        """The key in a row of `customer_keys`. Raises `SealBroken`."""
        try:
            key = self._keys.unwrap(wrapped, _wrapping(organisation, customer_id, key_id))
        except ValueError:
            raise SealBroken("a customer's key cannot be opened with the encryption keyset of this server") from None
        return CustomerKey(key_id, organisation, customer_id, wrapped, key)

    def rewrapped(self, key: CustomerKey) -> str:
        """The key wrapped under the newest key of the keyset."""
        return self._keys.wrap(key.key, _wrapping(key.organisation, key.customer_id, key.id))

    def seal(self, key: CustomerKey, column: str, row: str, words: str) -> str:
        """What is stored in this column of this row."""
        return f"{MARK}{key.id}.{self._keys.seal(key.key, words, _context(key, column, row))}"

    def open(self, key: CustomerKey, column: str, row: str, sealed: str) -> str:
        """The words. Raises `SealBroken` if they were sealed for another customer, column or row, or changed."""
        try:
            return self._keys.open(key.key, sealed[len(MARK) + len(key.id) + 1 :], _context(key, column, row))
        except ValueError:
            raise SealBroken("a customer's sealed words were changed, or sealed for another place") from None


def key_id_of(value: object) -> str | None:
    """The id of the key that sealed a stored value; None for what stands in clear."""
    return value[len(MARK) :].partition(".")[0] if isinstance(value, str) and value.startswith(MARK) else None


def _wrapping(organisation: OrganisationId, customer_id: str, key_id: str) -> str:
    return json.dumps(["holdfast customer key 1", organisation, customer_id, key_id])


def _context(key: CustomerKey, column: str, row: str) -> str:
    return json.dumps(["holdfast customer words 1", key.organisation, key.customer_id, key.id, column, row])
