"""Which addresses outside we may call. Everything that is not certainly a public host of the internet is refused."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from domain.errors import RequestInvalid

# RFC 6890 and the IANA special-purpose registries: none of these is a host of the public internet. `ipaddress` knows a
# list too, but a different one in every Python release.
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        ),
    )
)  # fmt: skip
# Only 2000::/3 is handed out at all. Mapped, NAT64, unique-local, link-local and multicast lie outside of it; inside of
# it lie tunnels that carry an IPv4 address (Teredo, 6to4), documentation and anycast blocks.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")))

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_VISIBLE = re.compile(r"[!-~]{1,2000}", re.ASCII)
HTTPS, HTTP = 443, 80


def is_public(address: str) -> bool:
    """Whether this is a unicast address of the public internet. Anything else, and anything unreadable, is not."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_4)
    return isinstance(found, IPv6Address) and _public_6(found)


def _public_6(address: IPv6Address) -> bool:
    return (
        address.scope_id is None and address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)
    )


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads, spelt one way."""

    scheme: str
    host: str
    """Lower case, without brackets and trailing dot."""
    port: int
    is_allowed: bool
    """Named by the installation itself: its addresses are not asked about."""


class Use(StrEnum):
    """What an address is called for."""

    WEBHOOK = "webhook"
    CHAT = "chat"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str
    port: int | None
    organisation: str | None
    use: Use | None


class AllowList:
    """Hosts an installation trusts, its own chat server say: `host` or `host:port`, `[v6]:port` for IPv6, for every
    organisation; `acme=host` for one of them, `acme/chat=host` for one use of it, `*/chat=host` for that use of all."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._entries = frozenset(_entry(entry) for entry in entries)

    def of(self, organisation: str, use: Use) -> "AllowList":
        """What is allowed to this organisation for this use."""
        found = AllowList()
        found._entries = frozenset(
            _Entry(entry.host, entry.port, None, None)
            for entry in self._entries
            if entry.organisation in {None, organisation} and entry.use in {None, use}
        )
        return found

    def has(self, host: str, port: int) -> bool:
        """Whether it is allowed to everybody for everything."""
        return any(_Entry(host, of, None, None) in self._entries for of in (port, None))


def _entry(entry: str) -> _Entry:
    scope, scoped, address = entry.strip().rpartition("=")
    parts = urlsplit(f"//{address}")
    if not parts.hostname or parts.username is not None or parts.path or parts.query:
        raise ValueError("an entry is host or host:port, or organisation=host, or organisation/use=host")
    organisation, _, use = scope.partition("/")
    whose = None if organisation in {"", "*"} else organisation
    if (scoped and not organisation) or scope in {"*", "*/"} or scope.endswith("/"):
        raise ValueError("whose is an organisation, organisation/use, or */use")
    return _Entry(parts.hostname.rstrip("."), parts.port, whose, Use(use) if use else None)


NOBODY = AllowList()


def target_of(url: str, allowed: AllowList = NOBODY) -> Target:
    """Where `url` leads, or `RequestInvalid`: not https, credentials in it, an address that is not public, a number
    that some resolvers read as an address. What the name resolves to is asked later, when it is called."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _refused() from None
    if not _VISIBLE.fullmatch(url) or "\\" in url or parts.fragment or "@" in parts.netloc or "%" in parts.netloc:
        raise _refused()
    if port == 0:
        raise _refused()
    host = host.removesuffix(".")
    port = port or (HTTPS if parts.scheme == "https" else HTTP)
    is_allowed = allowed.has(host, port)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_allowed):
        raise _refused()
    if not is_allowed and not _may_be_public(host):
        raise _refused()
    return Target(parts.scheme, host, port, is_allowed)


def _may_be_public(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        return "." in host and len(host) <= 253 and bool(_NAME.fullmatch(host)) and not _NUMBER.fullmatch(last)
    return is_public(host)


def _refused() -> RequestInvalid:
    return RequestInvalid("this address may not be called from here", fields=["url"])
