"""HTTP to addresses somebody else chose: only to the public internet, bounded in time and size, never redirected.

A name is resolved once; every address it has must be public; the connection goes to one of exactly these addresses,
under the name the caller gave (TLS certificate, Host). What is resolved is what is called: a name that changes its
mind between check and call changes nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from domain.errors import RequestInvalid
from domain.outside import NOBODY, AllowList, Use, is_public, target_of
from domain.values import OrganisationId

Resolve = Callable[[str, int], Awaitable[list[str]]]
Whose = tuple[OrganisationId, Use]
MAX_ADDRESSES = 4
_ALLOWED: ContextVar[AllowList] = ContextVar("holdfast_outbound_allowed", default=NOBODY)
_TRACER = trace.get_tracer("holdfast")


class AddressRefused(Exception):
    """The name leads to an address that may not be called. Nothing was sent."""


class Unreachable(Exception):
    """No answer. `sent` says whether the request may have been heard; `code` what went wrong."""

    def __init__(self, code: str, *, sent: bool) -> None:
        super().__init__(code)
        self.code = code
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    """The beginning, up to the limit."""


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, by the machine's own resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class OutsideClient:
    """One per process: `async with`, or `close()` at the end."""

    def __init__(
        self,
        allowed: AllowList = NOBODY,
        *,
        timeout: float = 10.0,
        longest: float = 20.0,
        most_bytes: int = 65_536,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """`timeout` bounds connecting and each read, `longest` the whole call, both in seconds."""
        self._allowed = allowed
        self._longest = longest
        self._most_bytes = most_bytes
        backend: Any = _CheckedBackend(resolve)
        self._client = httpx2.AsyncClient(
            transport=_Transport(tls or ssl.create_default_context(), backend),
            timeout=httpx2.Timeout(timeout),
            follow_redirects=False,
            # What one receiver sets another would be sent: cookies are never kept.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )

    async def request(
        self, method: str, url: str, *, content: bytes = b"", headers: Mapping[str, str], whose: Whose | None = None
    ) -> Answer:
        """The answer, whatever its status. Raises `AddressRefused` before anything was sent, else `Unreachable`.

        `whose` says on whose behalf and what for: what is allowed to them alone is allowed too."""
        allowed = self._allowed if whose is None else self._allowed.of(*whose)
        try:
            target_of(url, allowed)
        except RequestInvalid:
            raise AddressRefused from None
        # Read where the connection is opened: in this task, and by nobody else.
        token = _ALLOWED.set(allowed)
        try:
            return await self._bounded(method, url, content, headers)
        finally:
            _ALLOWED.reset(token)

    async def _bounded(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            async with asyncio.timeout(self._longest):
                return await self._request(method, url, content, headers)
        except TimeoutError:
            raise Unreachable("timed_out", sent=True) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise Unreachable(_code(error), sent=False) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(_code(error), sent=True) from None

    async def _request(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        # `identity`: a small answer that unpacks into a large one is not asked for.
        sent = {"User-Agent": "Holdfast/1", "Accept-Encoding": "identity", **headers}
        # The receiver is not told of our trace: it is somebody else's system.
        with _TRACER.start_as_current_span(f"{method} outside", kind=SpanKind.CLIENT) as span:
            answer = await self._answer(method, url, content, sent)
            span.set_attributes({"http.request.method": method, "http.response.status_code": answer.status})
        return answer

    async def _answer(self, method: str, url: str, content: bytes, sent: Mapping[str, str]) -> Answer:
        async with self._client.stream(method, url, content=content, headers=sent) as response:
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece[: self._most_bytes - len(body)]
                if len(body) >= self._most_bytes:
                    break
            return Answer(response.status_code, dict(response.headers), bytes(body))

    async def close(self) -> None:
        await self._client.aclose()


def _code(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "timed_out"
    return "no_connection" if isinstance(error, httpx2.ConnectError) else "connection_lost"


class _Transport(httpx2.AsyncHTTPTransport):
    """The library's own transport over our way to open connections. Nothing is kept alive: a connection that was good
    a minute ago may be half closed, and then nobody knows whether the request was heard."""

    def __init__(self, tls: ssl.SSLContext, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls, max_connections=None, max_keepalive_connections=0, network_backend=backend
        )


class _CheckedBackend(httpcore2.AnyIOBackend):
    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for address in await self._addresses(host, port, timeout):
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)  # pyright: ignore  # the library defines its backend conditionally
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int, within: float | None) -> list[str]:
        try:
            async with asyncio.timeout(within):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError("the name cannot be resolved") from None
        if not _ALLOWED.get().has(host.lower().removesuffix("."), port) and not all(map(is_public, found)):
            raise AddressRefused
        return found[:MAX_ADDRESSES]

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise AddressRefused
