"""Named places in our own code where a test may kill the process. Off unless a test flag is on."""

import os
import signal
from collections import Counter
from pathlib import Path


class NoFailpoints:
    """Production: every failpoint is a no-op."""

    def hit(self, name: str) -> None:
        """Does nothing."""


class KillingFailpoints:
    """`kill -9` to this process at the armed failpoint, once per arming.

    `arming` is a file that holds a failpoint's name and which hit of it is meant, `F4 2` say. It is removed before the
    kill, so the process that comes next passes the same place unharmed.
    """

    def __init__(self, arming: Path) -> None:
        self._arming = arming
        self._hits: Counter[str] = Counter()

    def hit(self, name: str) -> None:
        """Ends the process without a word if this hit of `name` is armed."""
        self._hits[name] += 1
        try:
            armed, _, nth = self._arming.read_text().strip().partition(" ")
        except FileNotFoundError:
            return
        if armed == name and self._hits[name] >= int(nth or 1):
            self._arming.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
