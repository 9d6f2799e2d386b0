"""Named places in our own code where a test may kill the process. Off unless a test flag is on."""

import os
import signal
from pathlib import Path


class NoFailpoints:
    """Production: every failpoint is a no-op."""

    def hit(self, name: str) -> None:
        """Does nothing."""


class KillingFailpoints:
    """`kill -9` to this process at the armed failpoint, once per arming.

    `arming` is a file that holds a failpoint's name. It is removed before the kill, so the process that comes next
    passes the same place unharmed.
    """

    def __init__(self, arming: Path) -> None:
        self._arming = arming

    def hit(self, name: str) -> None:
        """Ends the process without a word if `name` is armed."""
        try:
            armed = self._arming.read_text().strip()
        except FileNotFoundError:
            return
        if armed == name:
            self._arming.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
