"""When a call to another system that failed for now is made again: soon while few do, late while many do.

A system that is down for everybody must not get several times its usual load from us at the moment it comes back. This
is the only layer that repeats a call: neither tools nor their clients do.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from secrets import SystemRandom

SOON = timedelta(seconds=1)
FACTOR = 3.0
LONGEST = timedelta(minutes=5)
LATE = timedelta(minutes=2)
"""Without a share: long enough for a short outage to be over."""
SHARE = 0.75
"""What each first call adds: that many of the calls of one worker may be repeated soon."""
MOST = 20.0
"""What calm times may add up to; also what a worker begins with, so that a few calls now and then are repeated soon."""


class Retries:
    """One worker's shares, by tool."""

    def __init__(self, dice: Callable[[], float] | None = None) -> None:
        self._dice = dice or SystemRandom().random
        """In [0, 1)."""
        self._shares: dict[str, float] = defaultdict(lambda: MOST)

    def called(self, tool: str, attempt: int) -> None:
        """A call begins; `attempt` counts from 1."""
        if attempt == 1:
            self._shares[tool] = min(self._shares[tool] + SHARE, MOST)

    def wait(self, tool: str, attempt: int) -> timedelta:
        """How long until the next attempt. It varies by half either way: what failed together returns apart."""
        spread = 0.5 + self._dice()
        if self._shares[tool] < 1:
            return LATE * spread
        self._shares[tool] -= 1
        return min(SOON * FACTOR ** (attempt - 1), LONGEST) * spread
