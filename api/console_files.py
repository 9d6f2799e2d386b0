"""What `/console` answers with: the built files, how long a browser may keep them, and what the page may do.

Nobody is signed in here and nothing of anybody is in these files; whatever the page shows comes from the API, under the
caller's own session. Built by `make console`, found at the first request after it, so an API that started before shows
it too.
"""

import re
from pathlib import Path

from fastapi import Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from domain.errors import NotFound

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline and nothing from elsewhere: a customer's text that became markup by mistake could still do nothing."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
IMMUTABLE = "public, max-age=31536000, immutable"
_HASHED = re.compile(r"assets/[A-Za-z0-9._-]+-[A-Za-z0-9_-]{8}\.[a-z0-9]+")
_PLAIN = re.compile(r"[a-z]+\.(?:js|svg)")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>The console is not built</title>
<h1>The console is not built</h1>
<p>Everything else runs. In the folder of this checkout:</p>
<pre>make console</pre>
<p>It takes a minute the first time and needs a package registry for npm packages; Node comes with the Python packages.
Then load this page again. The API needs no restart.</p></html>
"""


class ConsoleFiles:
    """The built console in `folder`, which may come later."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, path: str, request: Request) -> Response:
        """The file at `path` or, for an address of the router in the browser, the page. Raises `NotFound` for a file
        that is not there: a page instead of a script would only hide what is missing."""
        if _HASHED.fullmatch(path):
            return self._file(path, request, IMMUTABLE)
        if _PLAIN.fullmatch(path):
            return self._file(path, request, "no-cache")
        if path.startswith("assets/") or not _wants_page(request):
            raise NotFound("there is no such file in the console")
        if not (self._folder / "index.html").is_file():
            return HTMLResponse(NOT_BUILT, 503, {**HEADERS, "Cache-Control": "no-store", "Retry-After": "30"})
        return self._file("index.html", request, "no-store", "text/html; charset=utf-8")

    def _file(self, path: str, request: Request, keep: str, media_type: str | None = None) -> Response:
        found = self._folder / path
        if not found.is_file():
            raise NotFound("there is no such file in the console")
        headers = {**HEADERS, "Cache-Control": keep, "Vary": "Accept-Encoding"}
        packed = found.with_name(f"{found.name}.gz")  # packed once, when it was built
        if "gzip" in request.headers.get("accept-encoding", "") and packed.is_file():
            found, headers["Content-Encoding"] = packed, "gzip"
        kind = media_type or _TYPES.get(Path(path).suffix, "application/octet-stream")
        return FileResponse(found, headers=headers, media_type=kind)


def _wants_page(request: Request) -> bool:
    accepts = request.headers.get("accept", "*/*")
    return "text/html" in accepts or "*/*" in accepts
