"""Answers that come row by row out of an open transaction, and end with it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Send

log = structlog.get_logger("api")


class _Stalled(Exception):
    """The reader took nothing in for too long."""


class Streamed(StreamingResponse):
    """However it ends, `rows` is closed before it is over: the connection to Postgres is free again.

    What fails before the first row is a refusal like any other. A reader who takes nothing in for `stall` is cut off
    in the middle, which shows: the last chunk never comes.
    """

    def __init__(self, rows: AsyncGenerator[str, None], *, stall: timedelta, media_type: str, name: str) -> None:
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        super().__init__(rows, media_type=media_type, headers=headers)
        self._rows = rows
        self._stall_s = stall.total_seconds()

    async def stream_response(self, send: Send) -> None:
        try:
            async with aclosing(self._rows) as rows:
                first = await anext(rows)
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await self._pass_on(send, first)
                async for part in rows:
                    await self._pass_on(send, part)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except _Stalled:
            log.warning("a reader took nothing in and was cut off", stall_s=self._stall_s)

    async def _pass_on(self, send: Send, part: str) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
        except TimeoutError:
            raise _Stalled from None
