"""Every error leaves as RFC 9457 `application/problem+json`, by the table in `api.error_codes`."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem
from fastapi_problem.handler import ExceptionHandler, new_exception_handler
from pydantic.alias_generators import to_camel
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.error_codes import CODE_OF_STATUS, STATUS
from domain.errors import HoldfastError

RETRY_AFTER_S = 2
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
MAX_ERRORS = 20
MAX_FIELD = 100
KEY_FIELDS = frozenset({"requestId", "request_id", "idempotency-key"})
"""A key that cannot be a key is 400: nothing was looked up under it."""
MEMBERS = frozenset({"type", "title", "status", "detail", "code", "headers"})
"""A problem's own members; a detail of the same name must not replace them."""

log = structlog.get_logger("api")


def problem(status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **extras: Any) -> Problem:
    """A problem document. `type` leads to what the code means."""
    return Problem(
        HTTPStatus(status).phrase,
        type_=f"/errors/{code}",
        detail=detail,
        status=status,
        headers=headers,
        code=code,
        **extras,
    )


def overloaded() -> JSONResponse:
    """What a request gets that is one too many. Not by way of the handlers: it must cost next to nothing."""
    document = {
        "type": "/errors/overloaded",
        "title": HTTPStatus.SERVICE_UNAVAILABLE.phrase,
        "status": 503,
        "detail": "too many requests are under way here; nothing was done",
        "code": "overloaded",
    }
    # Up to three times as long, each its own time: what was refused together does not return together.
    headers = {"Retry-After": str(RETRY_AFTER_S + secrets.randbelow(2 * RETRY_AFTER_S + 1))}
    return JSONResponse(document, 503, headers, "application/problem+json")


def _of_holdfast(_: ExceptionHandler, __: Request, error: HoldfastError) -> Problem:
    status = STATUS.get(error.code, 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _of_anything(_, __, error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers = {"Retry-After": str(error.details.get("retry_after", RETRY_AFTER_S))}
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer"}
    return problem(status, error.code, error.message, headers=headers, **_extras(error.details))


def _extras(details: Mapping[str, object]) -> dict[str, Any]:
    """An error's details as further members: camelCase, JSON values, none of a problem's own members."""
    shown = {to_camel(name): to_jsonable_python(value) for name, value in details.items()}
    return {name: value for name, value in shown.items() if name not in MEMBERS}


def _of_http(_: ExceptionHandler, request: Request, error: HTTPException) -> Problem:
    code = getattr(error, "code", None) or CODE_OF_STATUS.get(error.status_code, "bad_request")
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(request))
    return problem(error.status_code, code, str(error.detail), headers=headers or None)


def allowed_methods(request: Request) -> list[str]:
    """Every method of this path: a path has one route per method here, the framework names one. A path that is spelt
    out comes before one with a parameter it would fit, and is not that one."""
    scope = dict(request.scope)
    noun = next(route for route in request.app.routes if route.matches(scope)[0] is not Match.NONE)
    return [m for m in METHODS if noun.matches({**scope, "method": m})[0] is Match.FULL]


def _of_validation(_: ExceptionHandler, __: Request, error: RequestValidationError) -> Problem:
    """Names the fields, never echoes what was in them."""
    errors = [
        {
            "field": (".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]))[:MAX_FIELD],
            "in": str(e["loc"][0]),
            "code": e["type"],
            "message": e["msg"],
        }
        for e in error.errors()[:MAX_ERRORS]
    ]
    # Where none is taken it is a field like any other that nobody knows.
    if any(KEY_FIELDS.intersection(e["loc"]) for e in error.errors() if e["type"] != "extra_forbidden"):
        return problem(400, "request_id_invalid", "the request id cannot be used as a key", errors=errors)
    if any(e["in"] == "path" for e in errors):
        return problem(400, "path_invalid", "a part of the path cannot be an id", errors=errors)
    return problem(422, "validation_failed", "some fields cannot be accepted", errors=errors)


def _of_anything(_: ExceptionHandler, __: Request, error: Exception) -> Problem:
    return problem(500, "internal", "something unexpected happened; repeating with the same requestId is safe")


def _log(request: Request, error: Exception) -> None:
    expected = isinstance(error, HTTPException | RequestValidationError | Problem)
    expected |= isinstance(error, HoldfastError) and STATUS.get(error.code, 500) != HTTPStatus.INTERNAL_SERVER_ERROR
    route = request.scope.get("route")
    log.log(
        20 if expected else 40,
        "request refused" if expected else "request failed",
        error=type(error).__name__,
        code=getattr(error, "code", None),
        reason=error.details.get("reason") if isinstance(error, HoldfastError) else None,
        route=getattr(route, "path", None),
        where=None if expected else _where(error),
    )


def _where(error: Exception) -> list[str]:
    """The places of the failure without its words, which may quote a customer."""
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-8:]


class Unexpected:
    """Answers what nobody expected. Inside the framework's own handler, which would raise it again, and whoever
    catches it then writes down its words."""

    def __init__(self, app: ASGIApp, handler: ExceptionHandler) -> None:
        self._app = app
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await self._handler(Request(scope), error)(scope, receive, send)


def install(app: FastAPI, refused: Callable[[Request, HoldfastError], Awaitable[None]]) -> None:
    """Make every error of the application a problem document. `refused` is awaited first for each of ours."""
    handler = new_exception_handler(
        handlers={HoldfastError: _of_holdfast},
        http_exception_handler=_of_http,
        request_validation_handler=_of_validation,
        pre_hooks=[_log],
    )
    handler.handlers[Exception] = _of_anything
    for kind in (Problem, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, handler)

    async def of_ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, HoldfastError)
        await refused(request, error)
        return handler(request, error)

    app.add_exception_handler(HoldfastError, of_ours)
    app.add_middleware(Unexpected, handler=handler)
