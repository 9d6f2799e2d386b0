"""JSON as strict as the ledger behind it: what cannot mean exactly one thing is refused at the door.

Refused with 400: not UTF-8, not JSON, NaN and infinities, duplicate keys, NUL and lone surrogates in strings,
nesting beyond `MAX_DEPTH`, integers beyond 64 bits. A byte-order mark is ignored, as RFC 8259 allows.
"""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

MAX_DEPTH = 32
_INT64 = range(-(2**63), 2**63)
_MAX_DIGITS = 20


class BadJson(HTTPException):
    """400 with the code `json_invalid`. An `HTTPException`, because that is what the framework lets through."""

    code = "json_invalid"

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail)


class NotJson(HTTPException):
    """415: a body that does not say it is JSON."""

    code = "media_type_unsupported"

    def __init__(self) -> None:
        super().__init__(415, "send application/json")


def loads(body: bytes) -> Any:
    """The value of a strict JSON document, or `BadJson`."""
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError:
        raise BadJson("the body is not UTF-8") from None
    except RecursionError:
        raise BadJson("the body is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            raise BadJson(f"the body is not JSON: {error.msg} at character {error.pos}") from None
        raise BadJson("the body is not JSON") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadJson("an object names the same key twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BadJson("a number is too large")
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS or int(text) not in _INT64:
        raise BadJson("an integer does not fit 64 bits")
    return int(text)


def _check(value: Any) -> None:
    """Depth and characters, without recursion."""
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise BadJson("the body is nested too deeply")
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict):
            stack.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            stack.extend((part, depth + 1) for part in item)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise BadJson("a string contains NUL")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise BadJson("a string contains half of a surrogate pair")


class TooLarge(HTTPException):
    """413. Ours, because the framework's own limit answers in plain text."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"a body has at most {limit} bytes")


class BadPath(HTTPException):
    """400: two paths that are not UTF-8 would look alike once decoded."""

    code = "path_invalid"

    def __init__(self) -> None:
        super().__init__(400, "the path is not UTF-8")


LARGER_BODY = "holdfast.larger_body"


class StrictRequest(Request):
    """Reads no more of a body than the application's `state.max_body_bytes`, whatever length was announced."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        limit: int = max(self.app.state.max_body_bytes, self.scope.get(LARGER_BODY, 0))
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and (len(announced) > _MAX_DIGITS or int(announced) > limit):
            raise TooLarge(limit)
        seen = 0
        async for piece in super().stream():
            seen += len(piece)
            if seen > limit:
                raise TooLarge(limit)
            yield piece

    async def json(self) -> Any:
        return loads(await self.body())


class StrictRoute(APIRoute):
    """Every route of the product: bodies are strict JSON and say so."""

    larger_body: int = 0
    """What this route reads of a body where the setting says less."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            if not _is_text(request.scope.get("raw_path", b"")):
                raise BadPath
            if takes_body and not _says_json(request.headers.get("content-type", "")):
                raise NotJson
            return await handle(StrictRequest({**request.scope, LARGER_BODY: self.larger_body}, request.receive))

        return strict


def _is_text(raw_path: bytes) -> bool:
    try:
        unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _says_json(content_type: str) -> bool:
    kind, _, parameters = content_type.partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    return kind.strip().lower() == "application/json" and charset in {"", "charset=utf-8", "charset=utf8"}
