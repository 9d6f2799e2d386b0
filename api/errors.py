"""One table: error code → HTTP status and meaning. Every error leaves as RFC 9457 `application/problem+json`."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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

from domain.errors import HoldfastError


@dataclass(frozen=True)
class Code:
    """What an error code stands for. `GET /errors/{code}` shows it, and a problem's `type` leads there."""

    status: int
    meaning: str


CODES: dict[str, Code] = {
    "bad_request": Code(400, "The request cannot be read."),
    "json_invalid": Code(400, "The body is not strict JSON: not UTF-8, a repeated key, NaN, NUL, too deep, too large."),
    "request_id_invalid": Code(400, "The request id, in body or header, cannot be used as a key. Nothing was done."),
    "idempotency_key_not_taken": Code(
        400, "This operation makes something new each time and takes no `Idempotency-Key`. Nothing was done."
    ),
    "path_invalid": Code(400, "A part of the path cannot be an id."),
    "not_authenticated": Code(401, "No valid key came with the request."),
    "key_expired": Code(401, "The time of this key is over."),
    "key_revoked": Code(401, "This key was revoked."),
    "session_over": Code(401, "There is no such session, or it is over. Sign in again."),
    "sign_in_failed": Code(401, "Organisation, login or password are wrong, or the operator is disabled."),
    "csrf_refused": Code(403, "A request with a session's cookie did not come from our own page; `reason` says why."),
    "step_up_needed": Code(403, "Give the password again at `POST /session/step-up`; it counts for `within`."),
    "password_change_needed": Code(403, "Change the one-time password at `POST /session/password` first."),
    "scope_missing": Code(403, "The key is valid but lacks every scope in `needs`."),
    "not_an_approver": Code(403, "Your yes does not count here; `reason`: `not_named`, or `self_approval`."),
    "not_found": Code(404, "There is no such thing, or it is another organisation's."),
    "customer_not_found": Code(404, "There is no such customer. The request id is still free."),
    "conversation_not_found": Code(404, "This customer has no such conversation. The request id is still free."),
    "interaction_not_found": Code(404, "There is no such interaction."),
    "handoff_not_found": Code(404, "There is no such handoff."),
    "calendar_not_found": Code(404, "There is no such calendar, or not in this version."),
    "key_not_found": Code(404, "There is no such key."),
    "operator_not_found": Code(404, "There is no such operator."),
    "agent_not_found": Code(404, "There is no such agent. The request id is still free."),
    "invoice_not_found": Code(404, "This customer has no such invoice."),
    "approval_link_invalid": Code(404, "The link is not one of ours."),
    "method_not_allowed": Code(405, "The route does not take this method; `Allow` names those it takes."),
    "conflict": Code(409, "It is in a state that does not allow this."),
    "handoff_already_decided": Code(409, "Somebody decided first; `decision`, `by` and `at` say what, who and when."),
    "approval_stale": Code(409, "The digest is not the one on the table now, or the time is over. Read it again."),
    "approval_link_over": Code(410, "The link was used, its time is over, or something else is on the table now."),
    "body_too_large": Code(413, "The body is larger than this server takes."),
    "media_type_unsupported": Code(415, "Send `Content-Type: application/json`."),
    "validation_failed": Code(
        422, "Some fields cannot be accepted; `errors` names them. The request id is still free."
    ),
    "request_invalid": Code(422, "A value cannot be accepted; `fields` names it."),
    "request_id_reused": Code(
        422, "The request id was used for another body; `fields` names what differs. Nothing ran."
    ),
    "report_unreadable": Code(422, "This is not built like a delivery status notification. Nothing changed."),
    "calendar_invalid": Code(422, "The calendar cannot be used; `errors` names each field and what is wrong with it."),
    "never_open": Code(422, "So much open time does not come within two years."),
    "edit_refused": Code(
        422, "The edited arguments cannot be approved; `reasons` and `issues` say why. Nothing changed."
    ),
    "rate_limited": Code(429, "Too many requests; `limit` says whose. Repeat after `Retry-After`; nothing ran."),
    "internal": Code(500, "Something unexpected happened. Repeating with the same request id is safe."),
    "payload_refused": Code(503, "What Temporal keeps cannot be opened with the keys of this server. Nothing changed."),
    "overloaded": Code(
        503, "This process has as much to do as it takes on; nothing was done. Repeat after `Retry-After`."
    ),
    "dependency_down": Code(503, "Something this server needs is away; repeat the same request after `Retry-After`."),
}
"""A code that is not here is a bug and answers 500 without details."""

STATUS: dict[str, int] = {code: entry.status for code, entry in CODES.items()}

CODE_OF_STATUS: dict[int, str] = {
    400: "bad_request",
    401: "not_authenticated",
    403: "scope_missing",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "media_type_unsupported",
    422: "validation_failed",
    429: "rate_limited",
    503: "dependency_down",
}
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
    """Every method of this path: a path has one route per method here, the framework names one."""
    scope, routes = dict(request.scope), request.app.routes
    return [m for m in METHODS if any(r.matches({**scope, "method": m})[0] is Match.FULL for r in routes)]


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
    if any(KEY_FIELDS.intersection(e["loc"]) for e in error.errors()):
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
