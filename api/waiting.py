"""How long a caller wants to wait for an answer."""

import re
from datetime import timedelta

MAX_WAIT_S = 60
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,3})(?:$|[,;\s])", re.ASCII)


def wait_of(prefer: str | None, default: timedelta) -> timedelta:
    """The wait a caller prefers, 0 to 60 s; anything unreadable is the default, as RFC 7240 asks."""
    found = _WAIT.search(prefer or "")
    return timedelta(seconds=min(int(found[1]), MAX_WAIT_S)) if found else default
