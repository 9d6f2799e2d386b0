"""How much may be asked within a window of time, and how that is told to whoever asks."""

import math
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """What an installation grants where an organisation has no limit of its own."""

    most: int
    """Requests of one organisation in a window, over all its keys."""
    key_percent: int
    """How much of it one key or one operator may use, so that a flood of one leaves something to the others."""
    window: timedelta
    customer_percent: int = 10
    """The same for one end customer: they are many."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How one limit stands after a request."""

    name: str
    most: int
    """Requests in a window."""
    window_s: float
    ahead_s: float
    """How much of the window is spent, in seconds: none of it, and all may be asked at once."""

    @property
    def policy(self) -> str:
        """An item of `RateLimit-Policy`: the quota, and its window in seconds."""
        return f'"{self.name}";q={self.most};w={math.ceil(self.window_s)}'

    @property
    def standing(self) -> str:
        """An item of `RateLimit`: what is left, and in how many seconds all of it is there again."""
        left = (self.window_s - max(self.ahead_s, 0.0)) / self.window_s * self.most
        # A thousandth of a request at most: what is left exactly must not be lost to a rounding of times.
        whole = max(0, math.floor(left + min(1e-6 * self.most, 1e-3)))
        return f'"{self.name}";r={whole};t={math.ceil(max(self.ahead_s, 0.0))}'

    @property
    def retry_after_s(self) -> int:
        """When one more request fits, in whole seconds, at least one."""
        share = self.window_s / self.most
        return max(1, math.ceil(self.ahead_s + share - self.window_s))
