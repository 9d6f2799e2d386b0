"""The small pages behind an approval link: no script, nothing loaded, nothing a mail scanner could set off."""

import base64
import hashlib
from html import escape
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response

from api.approval_links import Seen
from api.error_codes import STATUS
from domain.calls import in_words
from domain.errors import HoldfastError
from domain.handoff import HandoffDecision
from domain.values import Json
from schema.handoffs import Handoff

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td{border:1px solid #ccc;padding:.3em .8em}"
    "button{font:inherit;padding:.5em 1.5em;margin-right:1em}code{font-size:80%;word-break:break-all}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


def seen(shown: Seen) -> Response:
    """Exactly what a yes would let run, and the two words."""
    calls = "".join(_call(action, shown) for action in shown.handoff.proposed)
    expires_at = shown.link.expires_at.strftime("%Y-%m-%d %H:%M UTC")
    several = f"<p>{shown.given} of {shown.needed} people have said yes.</p>" if shown.needed > 1 else ""
    return _page(
        "Your approval is asked for",
        f"<p>For customer <b>{escape(shown.handoff.customer_id)}</b>;"
        f" asked of <b>{escape(shown.link.approver)}</b>.</p>"
        f"{calls}{several}<p>This link works once, until {expires_at}.</p>"
        '<form method="post"><button name="decision" value="approve">Approve</button>'
        '<button name="decision" value="reject">Reject</button></form>'
        f"<p><code>{escape(shown.handoff.digest)}</code></p>",
    )


def answered(record: Handoff) -> Response:
    """What became of the word."""
    words = {
        HandoffDecision.APPROVED: "It is approved and will be carried out.",
        HandoffDecision.REJECTED: "It is rejected. Nothing will be carried out.",
        None: "Your yes is recorded. More people must say yes before anything happens.",
    }
    return _page("Thank you", f"<p>{words.get(record.decision, 'It is decided.')}</p>")


def asks_for_page(request: Request) -> bool:
    """A browser does."""
    return "text/html" in request.headers.get("accept", "")


def page_of(error: HoldfastError, request: Request) -> Response:
    """The error as a page, for a browser. For everybody else, and where it is our fault, it goes on as it is."""
    status = STATUS.get(error.code, 500)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or not asks_for_page(request):
        raise error
    return _page("This cannot be done", f"<p>{escape(error.message.capitalize())}.</p>", status)


def _call(action: Json, shown: Seen) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in sorted(action["arguments"].items())
    )
    words = in_words(action, shown.services.rules.tools)
    return f"<h2>{escape(str(action['tool']))}</h2><p>{escape(words)}</p><table>{rows}</table>"


def _page(title: str, body: str, status: int = 200) -> Response:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Response(html, status, media_type="text/html", headers=HEADERS)
