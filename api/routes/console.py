"""The console: files that were built before, and one page for whatever its own router knows."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from api.console_files import ConsoleFiles

router = APIRouter(prefix="/console", include_in_schema=False)


def console_files(request: Request) -> ConsoleFiles:
    files: ConsoleFiles = request.app.state.console
    return files


Files = Annotated[ConsoleFiles, Depends(console_files)]


@router.api_route("", methods=["GET", "HEAD"])
def show_console(request: Request, files: Files) -> Response:
    return files.answer("", request)


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
def show_console_page(path: str, request: Request, files: Files) -> Response:
    """A built file, else the page: which address means what is decided in the browser."""
    return files.answer(path, request)
