"""`RateLimit` and `RateLimit-Policy` on every answer to a key, also on errors: draft-ietf-httpapi-ratelimit-headers."""

from collections.abc import Sequence

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.budget import Budget

_TOLD = "holdfast.budgets"


class Budgets:
    """Says on the way out how the limits stand that were looked up on the way in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Routes see copies of the scope: the list is the same in all of them.
        told: list[Budget] = []
        scope[_TOLD] = told

        async def sending(message: Message) -> None:
            if told and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_headers(told)]}
            await send(message)

        await self._app(scope, receive, sending)


def tell(request: Request, budgets: Sequence[Budget]) -> None:
    """Have the answer to this request say how these limits stand."""
    told: list[Budget] = request.scope.get(_TOLD, [])
    told[:] = budgets


def _headers(told: Sequence[Budget]) -> list[tuple[bytes, bytes]]:
    return [
        (b"ratelimit-policy", ", ".join(budget.policy for budget in told).encode()),
        (b"ratelimit", ", ".join(budget.standing for budget in told).encode()),
    ]
