"""The cookie of an operator's session, and what a request that carries it must show besides.

A browser sends a cookie along whoever made the page. What changes something must therefore come from our own page:
the browser says so (`Sec-Fetch-Site`, `Origin`), and the page sets a header that no other page can set unasked.
"""

from datetime import timedelta
from urllib.parse import urlsplit

from fastapi import Request, Response

from api.deps import Services
from domain.errors import CsrfRefused, SessionOver
from domain.signing_in import LONGEST

NAME = "__Host-holdfast_session"
"""The browser takes it over TLS only, from this very host, for every path."""
LOCAL_NAME = "holdfast_local_session"
"""Of the one-machine stack, which has no TLS: not every browser takes a secure cookie from it."""
HEADER = "x-holdfast-csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(request: Request, services: Services) -> str | None:
    """The session's token, if the cookie is there. Raises `SessionOver` for two of them: one was planted."""
    sent = _sent(request, _name(services))
    if not sent:
        return None
    if len(sent) > 1 or not sent[0].isascii() or not sent[0]:
        raise SessionOver("there is no such session")
    return sent[0]


def give(answer: Response, services: Services, token: str) -> None:
    answer.set_cookie(
        _name(services),
        token,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=not services.local,
        httponly=True,
        samesite="strict",
    )
    answer.headers["Cache-Control"] = "no-store"


def take_away(answer: Response, services: Services) -> None:
    answer.delete_cookie(_name(services), path="/", secure=not services.local, httponly=True, samesite="strict")


def give_attempt(answer: Response, services: Services, state_hash: bytes, token: str, lasts: timedelta) -> None:
    """What binds a sign-in at an identity provider to this browser. `Lax`: the way back from there is a link that
    another site follows. Each has a cookie of its own, so that two windows do not disturb each other."""
    answer.set_cookie(
        _attempt_name(services, state_hash),
        token,
        max_age=int(lasts.total_seconds()),
        path="/",
        secure=not services.local,
        httponly=True,
        samesite="lax",
    )
    answer.headers["Cache-Control"] = "no-store"


def attempt_of(request: Request, services: Services, state_hash: bytes) -> str:
    """What `give_attempt` gave this browser; empty for none, and for two, of which one was planted."""
    sent = _sent(request, _attempt_name(services, state_hash))
    return sent[0] if len(sent) == 1 else ""


def take_attempt_away(answer: Response, services: Services, state_hash: bytes) -> None:
    name = _attempt_name(services, state_hash)
    answer.delete_cookie(name, path="/", secure=not services.local, httponly=True, samesite="lax")


def check_ours(request: Request, services: Services) -> None:
    """Raises `CsrfRefused` unless the request reads only, or comes from our own page or from no browser at all."""
    if request.method in SAFE:
        return
    check_origin(request, services)
    if not request.headers.get(HEADER):
        raise CsrfRefused("send the header X-Holdfast-Csrf: 1", reason="header_missing")


def check_origin(request: Request, services: Services) -> None:
    """Raises `CsrfRefused` if a browser says that another site's page sent it."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        raise CsrfRefused("another site's page sent this", reason="cross_site")
    if origin is not None and origin not in services.console_origins and not _is_here(request, origin):
        raise CsrfRefused("another site's page sent this", reason="other_origin")


def origin_of(url: str) -> frozenset[str]:
    """The origin of a URL from the settings; none for an empty one."""
    parts = urlsplit(url)
    return frozenset({f"{parts.scheme}://{parts.netloc}".lower()}) if parts.netloc else frozenset()


def _is_here(request: Request, origin: str) -> bool:
    host = request.headers.get("host", "")
    return bool(host) and origin.lower() in {f"https://{host.lower()}", f"http://{host.lower()}"}


def _sent(request: Request, name: str) -> list[str]:
    return [
        value
        for header in request.headers.getlist("cookie")
        for part in header.split(";")
        for found, _, value in [part.strip().partition("=")]
        if found == name
    ]


def _attempt_name(services: Services, state_hash: bytes) -> str:
    return f"{'holdfast_local' if services.local else '__Host-holdfast'}_oidc_{state_hash.hex()[:16]}"


def _name(services: Services) -> str:
    return LOCAL_NAME if services.local else NAME
