"""Domain error → Temporal failure, in one place. Messages of foreign exceptions never travel: they may be personal."""

from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.errors import HoldfastError

UNEXPECTED_ATTEMPTS = 5
"""A bug is retried a few times (a deploy may be under way), then it gives up and a person is asked."""

_NAMES = ("organisation", "interaction_id", "handoff_id", "delivery_id")

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


def durable(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Wraps an activity method: errors leave as `ApplicationError` with our code as type, and nothing personal."""

    @wraps(method)
    async def run(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        with structlog.contextvars.bound_contextvars(**named(args)):
            return await attempted(self, *args, **kwargs)

    async def attempted(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(self, *args, **kwargs)
        except HoldfastError as error:
            activity.logger.warning("an activity could not finish", extra={"code": error.code, **_safe(error)})
            raise ApplicationError(error.code, type=error.code, non_retryable=not error.retryable) from None
        except ApplicationError:
            raise
        except Exception as error:
            last = activity.info().attempt >= UNEXPECTED_ATTEMPTS
            activity.logger.error(
                "unexpected error in an activity", extra={"error": type(error).__name__, "where": _where(error)}
            )
            raise ApplicationError(type(error).__name__, type="internal", non_retryable=last) from None

    return cast(Callable[Concatenate[S, P], Coroutine[Any, Any, R]], run)


def named(inputs: Iterable[object]) -> dict[str, str]:
    """What an activity's inputs are about, for every log line it writes: our ids, and nothing else of them."""
    found: dict[str, str] = {}
    for each in inputs:
        for part in (each, *(getattr(each, name, None) for name in ("interaction", "delivery", "handoff"))):
            found |= {name: str(getattr(part, name)) for name in _NAMES if hasattr(part, name)}
    return found


def _where(error: Exception) -> str:
    """`module:line` of the innermost frame. The message may quote a customer, so it is not logged."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else "unknown"


def _safe(error: HoldfastError) -> dict[str, str]:
    """The details that are codes: never what a caller wrote."""
    return {name: str(error.details[name]) for name in ("reason", "sqlstate", "dependency") if name in error.details}
