"""The small pages a browser lands on when it comes back from an identity provider: no script, nothing loaded.

A page and no redirect: a browser sends the session's strict cookie only where our own page led it.
"""

from html import escape
from urllib.parse import urlsplit

from fastapi import Request, Response

from api.approval_pages import HEADERS, STYLE, asks_for_page
from api.deps import Services
from api.error_codes import STATUS
from api.errors import RETRY_AFTER_S
from domain.errors import HoldfastError


def signed_in(services: Services, return_to: str) -> Response:
    """Leads on to a page of ours, by itself and with a link."""
    url = escape(landing(services, return_to))
    return _page(
        "You are signed in",
        f'<p><a href="{url}">Go on</a></p>',
        head=f'<meta http-equiv="refresh" content="0; url={url}">',
    )


def landing(services: Services, return_to: str) -> str:
    """A page of the console's own origin, or of this API's: never an address somebody brought along."""
    if not return_to:
        return services.landing
    parts = urlsplit(services.landing)
    return f"{parts.scheme}://{parts.netloc}{return_to}"


def page_of(error: HoldfastError, request: Request) -> Response:
    """The error as a page, with its code; raised again for whoever is no browser, and where it is our fault."""
    status = STATUS.get(error.code, 500)
    if status == 500 or not asks_for_page(request):
        raise error
    answer = _page(
        "You are not signed in",
        f"<p>{escape(error.message[:1].upper() + error.message[1:])}.</p><p><code>{escape(error.code)}</code></p>",
        status,
    )
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def _page(title: str, body: str, status: int = 200, head: str = "") -> Response:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}<title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Response(html, status, media_type="text/html", headers=HEADERS)
