"""A reply links only to hosts that are allowed."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from domain.decision import Issue
from domain.verification.evidence import Evidence
from domain.verification.reading import Reading

_WITH_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,30}://[^\s<>\"')\]]*")
_SCHEME_ONLY = re.compile(r"\b(?:javascript|data|vbscript|mailto|tel|sms|file|blob|ftp):(?=\S)|(?<![\w:])//\w")
_BARE_HOST = re.compile(r"(?<![\w@.-])[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9-]{1,63}){0,8}\.[a-z]{2,24}(?![\w@-])")
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|\blocalhost\b")
_SPELLED_OUT = re.compile(r"\b\w+ ?(?:\(dot\)|\[dot\]|\bdot\b) ?(?:com|net|org|io|co|app|dev|info|biz|xyz)\b")
_MARKUP = re.compile(r"<[a-z/!]|\]\(|\]\s?:\s?\S*[/.]|&#?\w{2,8};")


def check_links(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """Only plain `https` links to an allowed host, spelled out: no markup, no other scheme, no user name, no port."""
    text = reading.lower
    if _MARKUP.search(text):
        yield _issue("markup", "the reply contains markup")
    links = _WITH_SCHEME.findall(text)
    rest = _WITH_SCHEME.sub(" ", text)
    if any(not _allowed(link, evidence) for link in links):
        yield _issue("foreign_link", "a link leads to a host that is not allowed")
    if _SCHEME_ONLY.search(rest) or _SPELLED_OUT.search(rest) or _ADDRESS.search(rest):
        yield _issue("foreign_link", "something reads like a link in disguise")
    if any(host not in evidence.link_hosts for host in _BARE_HOST.findall(rest)):
        yield _issue("foreign_link", "a host that is not allowed is named")


def _allowed(link: str, evidence: Evidence) -> bool:
    try:
        parts = urlsplit(link.rstrip(".,;:!?"))
    except ValueError:
        return False
    return parts.scheme == "https" and parts.netloc in evidence.link_hosts and "\\" not in link


def _issue(code: str, message: str) -> Issue:
    return Issue(code=code, check="links", message=message)
