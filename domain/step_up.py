"""A code that proves who asks: sent to a verified address, given back in time, good for one request and nothing else.

It is written down nowhere. It is computed, where it is sent and where it is checked, from the installation's key, a
random number that is forgotten when the code is over, and what it is for.
"""

import hashlib
import hmac
from datetime import datetime, timedelta
from enum import StrEnum

from domain.errors import HoldfastError, NotFound
from domain.interaction import InteractionRef
from domain.values import DeliveryId, HandoffId, InteractionId, OrganisationId, Value

VALID_FOR = timedelta(minutes=10)
MOST_TRIES = 5
"""Different wrong answers; the last one ends the code. The same wrong answer again is no new one."""
MOST_SENDS = 3
SEND_AGAIN_AFTER = timedelta(seconds=30)
MOST_A_DAY = 5
"""Codes of one customer within 24 hours that were not given back: then a person takes over."""
DIGITS = 6
NONCE_BYTES = 16
PURPOSE = "step_up_code"
"""Of a delivery that carries one."""
PLACE = "{code}"
"""Where the code goes in a delivery's words, when it leaves."""


class ChannelNotFound(NotFound):
    code = "channel_not_found"


class CodeWrong(HoldfastError):
    """`details["tries_left"]`: how many other answers are heard still."""

    code = "code_wrong"


class CodeOver(HoldfastError):
    """No code can be given back or sent here (any more). `details["reason"]`: `not_asked`, `expired`, `used_up`,
    `proven`, or `sends`."""

    code = "code_over"


class CodeState(StrEnum):
    OPEN = "open"
    PROVEN = "proven"
    USED_UP = "used_up"
    EXPIRED = "expired"


class AskForProofInput(Value):
    interaction: InteractionRef


class AskedForProof(Value):
    wait: timedelta | None = None
    """How long the code is good still. None: there is no verified address to send one to, or no more codes."""
    starts: tuple[DeliveryId, ...] = ()


class ProofInput(Value):
    """What came of it until `at`, by the workflow's clock?"""

    interaction: InteractionRef
    at: datetime
    corrections: int = 0
    handoff_id: HandoffId | None = None
    """Where the last correction stands."""


def own_key(key: bytes) -> bytes:
    """The key of codes and addresses, from the installation's key for ids."""
    return hmac.new(key, b"holdfast step-up", hashlib.sha256).digest()


def code_of(key: bytes, code_id: str, bound: str, nonce: bytes) -> str:
    """The digits. Nobody who lacks the key or the nonce learns anything from the rest."""
    said = b"\x00".join((b"code", code_id.encode(), bound.encode(), nonce))
    number = int.from_bytes(hmac.new(own_key(key), said, hashlib.sha256).digest()[:16])
    return f"{number % 10**DIGITS:0{DIGITS}}"


def is_right(given: str, code: str) -> bool:
    """Takes the same time wherever they differ."""
    return hmac.compare_digest(given.encode(), code.encode())


def answer_hash(key: bytes, code_id: str, given: str) -> str:
    """What is kept of an answer, to know it again."""
    return hmac.new(own_key(key), f"answer\x00{code_id}\x00{given}".encode(), hashlib.sha256).hexdigest()[:32]


def address_hash(key: bytes, organisation: OrganisationId, kind: str, address: str) -> str:
    """What is kept of an address: equal for equal addresses of one organisation, whatever their capitals."""
    said = f"address\x00{organisation}\x00{kind}\x00{address.strip().casefold()}"
    return hmac.new(own_key(key), said.encode(), hashlib.sha256).hexdigest()


def words(interaction_id: InteractionId | None) -> str:
    """What the message says; the code takes its place when it leaves."""
    what = "your request" if interaction_id else "this address"
    minutes = VALID_FOR // timedelta(minutes=1)
    return (
        f"Your code is {PLACE}\n\nIt confirms {what} and is good for {minutes} minutes. We never ask for it by phone,"
        " and nobody else needs it. If you did not ask for anything, do nothing: without the code nothing happens."
    )
