"""One table: error code → HTTP status. Every error leaves as RFC 9457 `application/problem+json` with a stable code."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem
from fastapi_problem.handler import ExceptionHandler, add_exception_handler, new_exception_handler
from starlette.exceptions import HTTPException

from domain.errors import HoldfastError

STATUS: dict[str, int] = {
    "request_invalid": 422,
    "request_id_reused": 422,
    "not_found": 404,
    "customer_not_found": 404,
    "conversation_not_found": 404,
    "interaction_not_found": 404,
    "handoff_not_found": 404,
    "agent_not_found": 404,
    "invoice_not_found": 404,
    "approval_stale": 409,
    "conflict": 409,
    "handoff_already_decided": 409,
    "not_authenticated": 401,
    "scope_missing": 403,
    "dependency_down": 503,
}
"""A code that is not here is a bug and answers 500 without details."""

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
}
RETRY_AFTER_S = 2
KEY_FIELDS = frozenset({"requestId", "request_id", "idempotency-key"})
"""A key that cannot be a key is 400: nothing was looked up under it."""

log = structlog.get_logger("api")


def problem(status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **extras: Any) -> Problem:
    """A problem document. `type` is the page that explains the code."""
    return Problem(
        HTTPStatus(status).phrase,
        type_=f"/docs/errors#{code}",
        detail=detail,
        status=status,
        headers=headers,
        code=code,
        **extras,
    )


def _of_holdfast(_: ExceptionHandler, __: Request, error: HoldfastError) -> Problem:
    status = STATUS.get(error.code, 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _of_anything(_, __, error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer"}
    return problem(status, error.code, error.message, headers=headers, **error.details)


def _of_http(_: ExceptionHandler, __: Request, error: HTTPException) -> Problem:
    code = getattr(error, "code", None) or CODE_OF_STATUS.get(error.status_code, "http_error")
    return problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {}) or None)


def _of_validation(_: ExceptionHandler, __: Request, error: RequestValidationError) -> Problem:
    """Names the fields, never echoes what was in them."""
    errors = [
        {
            "field": ".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]),
            "in": str(e["loc"][0]),
            "code": e["type"],
            "message": e["msg"],
        }
        for e in error.errors()
    ]
    if any(e["field"] in KEY_FIELDS for e in errors):
        return problem(400, "request_id_invalid", "the request id cannot be used as a key", errors=errors)
    return problem(422, "validation_failed", "some fields cannot be accepted", errors=errors)


def _of_anything(_: ExceptionHandler, __: Request, error: Exception) -> Problem:
    return problem(500, "internal", "something unexpected happened; repeating with the same requestId is safe")


def _log(request: Request, error: Exception) -> None:
    expected = isinstance(error, HoldfastError | HTTPException | RequestValidationError | Problem)
    route = request.scope.get("route")
    log.log(
        20 if expected else 40,
        "request refused" if expected else "request failed",
        error=type(error).__name__,
        code=getattr(error, "code", None),
        route=getattr(route, "path", None),
    )


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    handler = new_exception_handler(
        handlers={HoldfastError: _of_holdfast},
        http_exception_handler=_of_http,
        request_validation_handler=_of_validation,
        pre_hooks=[_log],
        unhandled_wrappers=None,
    )
    handler.handlers[Exception] = _of_anything
    add_exception_handler(app, handler)
    app.add_exception_handler(HoldfastError, handler)
