"""What the error codes mean: where a problem's `type` leads."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import StringConstraints

from api.error_codes import CODES
from api.strict_json import StrictRoute
from domain.errors import NotFound
from domain.values import Value

router = APIRouter(prefix="/errors", tags=["errors"], route_class=StrictRoute)

CodePath = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z_]+$"), Path()]


class ErrorCode(Value):
    """One code. Codes are stable; new ones may come."""

    code: str
    status: int
    meaning: str


class ErrorCodeList(Value):
    items: tuple[ErrorCode, ...]
    next_cursor: str | None = None


@router.get("", summary="Every error code")
async def list_errors() -> ErrorCodeList:
    return ErrorCodeList(
        items=tuple(ErrorCode(code=code, status=c.status, meaning=c.meaning) for code, c in CODES.items())
    )


@router.get("/{code}", summary="What an error code means")
async def get_error(code: CodePath) -> ErrorCode:
    found = CODES.get(code)
    if found is None:
        raise NotFound("no such error code")
    return ErrorCode(code=code, status=found.status, meaning=found.meaning)
