"""Places in a receiver's queue, and the sign of life while one is taken."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from temporalio import activity

HEARTBEAT_S = 1.0


class Places:
    """So many calls to one receiver at once, in this process: one that hangs must not hold up the others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, receiver: str) -> Iterator[bool]:
        """True while a place is held; False, at once, if none is free. Nobody waits: a waiting step takes a worker's
        place away from every other receiver."""
        if self._taken[receiver] >= self._most:
            yield False
            return
        self._taken[receiver] += 1
        try:
            yield True
        finally:
            self._taken[receiver] -= 1
            if not self._taken[receiver]:
                del self._taken[receiver]


@contextlib.asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Tells Temporal every second that this process lives, so that a dead one is replaced within seconds."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_S)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
