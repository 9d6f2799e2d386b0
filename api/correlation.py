"""`X-Request-Id`: one name for one HTTP exchange, the caller's or ours, in every log line about it.

It is not the `requestId` of a body: that one is the idempotency key and outlives the exchange.
"""

import re
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schema.base import new_id

HEADER = b"x-request-id"
BOUND_LATER = ("organisation", "interaction_id")
"""Bound where they become known, for the rest of the exchange."""
_VISIBLE = re.compile(rb"[\x21-\x7e]{1,128}")


class Correlation:
    """Outermost: answers that never reach a route carry it too. `logged` turns an id into what logs may show of it.

    A caller's id is answered with. Ours is not: answers that must not differ, must not differ in a header either."""

    def __init__(self, app: ASGIApp, logged: Callable[[str], str]) -> None:
        self._app = app
        self._logged = logged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Made out here: what a route notes in a state of its own, whoever answers its refusal would not see.
        scope.setdefault("state", {})
        sent = given(scope)
        name = sent or new_id("http")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, name.encode())]}
            await send(message)

        with structlog.contextvars.bound_contextvars(http_request_id=self._logged(name) if sent else name):
            try:
                await self._app(scope, receive, sending if sent else send)
            finally:
                structlog.contextvars.unbind_contextvars(*BOUND_LATER)


def given(scope: Scope) -> str | None:
    """The caller's id: sent once, 1 to 128 visible ASCII characters. Anything else counts as none."""
    sent = [value for name, value in scope["headers"] if name == HEADER]
    return sent[0].decode() if len(sent) == 1 and _VISIBLE.fullmatch(sent[0]) else None
