"""How many requests this process works on at once. What is too many is refused before anything is done about it.

Without a bound a burst makes everybody wait until nobody gets an answer in time, and the work is done for nothing.
"""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import overloaded

ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Answered whatever the load: who looks at a busy process must not take it for a dead one."""


class Shedding:
    """Answers 503 `overloaded` with `Retry-After` to what would be one request too many. `shed` counts it."""

    def __init__(self, app: ASGIApp, most: int, shed: Callable[[], None]) -> None:
        self._app = app
        self._most = most
        self._shed = shed
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most:
            self._shed()
            await overloaded()(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
