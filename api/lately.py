"""What comes again and again is written down once in a while: what this process has noted lately."""

from collections.abc import Hashable
from datetime import datetime, timedelta


class Lately:
    """Remembers for `every`, and `most` things at once. What it forgot is noted once more than it need be, never too
    seldom."""

    def __init__(self, every: timedelta = timedelta(minutes=1), most: int = 10_000) -> None:
        self._every = every
        self._most = most
        self._noted: dict[Hashable, datetime] = {}

    def is_new(self, what: Hashable, at: datetime) -> bool:
        """Whether this was not noted lately. From now on it is."""
        noted = self._noted.get(what)
        if noted is not None and at - noted < self._every:
            return False
        self.forget(what)
        self._noted[what] = at
        if len(self._noted) > self._most:
            del self._noted[next(iter(self._noted))]
        return True

    def forget(self, what: Hashable) -> None:
        """It could not be written down."""
        self._noted.pop(what, None)
