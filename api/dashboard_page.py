"""The dashboard as a page: no script, nothing loaded, readable in light and dark, on a telephone and on a wall."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from urllib.parse import urlencode

from fastapi import Request, Response

from api.dashboard_style import STYLE
from domain.dashboard import Backlog, Dashboard, Durations, Point
from domain.values import OrganisationId

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
}
_WINDOWS = (("24 hours", timedelta(days=1)), ("7 days", timedelta(days=7)), ("30 days", timedelta(days=30)))
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_TROUBLE = {
    ("effects", "unknown"): "effects nobody knows the outcome of",
    ("deliveries", "dead_letter"): "dead letters",
}


def asks_for_page(request: Request) -> bool:
    """A browser does; a program that would take either gets JSON."""
    accepts = request.headers.get("accept", "")
    return "text/html" in accepts and "application/json" not in accepts


def page(shown: Dashboard, organisation: OrganisationId, now: datetime) -> Response:
    """Everything that is in the JSON, in the order a person asks for it: what is wrong, how it goes, why."""
    parts = (
        _head(shown, organisation),
        _attention(shown.backlog, now),
        _tiles(shown),
        f'<div class="columns">{_waiting(shown.backlog, now)}{_times(shown.times)}</div>',
        '<div class="columns three">',
        _shares("Outcomes", shown.interactions.outcomes),
        _shares("Intents", shown.interactions.intents),
        _shares("Why people were asked", shown.reasons),
        _confidence(shown),
        _shares("Verification found", shown.unverified),
        _shares("Missed clocks", shown.breaches),
        "</div>",
        f'<div class="columns">{_policies(shown)}{_matrix("Handoffs decided", "kind", shown.decided)}</div>',
        f'<div class="columns">{_matrix("Deliveries", "channel", shown.deliveries)}'
        f"{_matrix('Effects', 'tool', shown.effects)}</div>",
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Holdfast dashboard</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )
    return Response(html, media_type="text/html", headers=HEADERS)


def _head(shown: Dashboard, organisation: OrganisationId) -> str:
    length = shown.end - shown.begin
    links = "".join(
        f'<a{" aria-current=page" if span.days == length.days else ""} href="?{since}">{words}</a>'
        for words, span, since in ((w, s, urlencode({"from": _iso(shown.end - s)})) for w, s in _WINDOWS)
    )
    window = f"{shown.begin:%d %b %H:%M} to {shown.end:%d %b %Y %H:%M} UTC"
    return f'<header><div><h1>{escape(organisation)}</h1><p class="quiet">{window}</p></div><nav>{links}</nav></header>'


def _attention(backlog: Sequence[Backlog], now: datetime) -> str:
    """What somebody should look at now."""
    lines = [(_TROUBLE[b.what, b.state], b) for b in backlog if (b.what, b.state) in _TROUBLE]
    lines += [(f"{_words(b.state)} handoffs past their due time", b) for b in backlog if b.what == "handoffs_overdue"]
    if not lines:
        return '<section class="calm"><b>Nothing needs attention.</b></section>'
    items = "".join(
        f"<li><b>{_number(b.count)}</b> {words}<span>oldest {_ago(now - b.oldest_at)}</span></li>" for words, b in lines
    )
    return f'<section class="alarm"><ul>{items}</ul></section>'


def _tiles(shown: Dashboard) -> str:
    said, times, series = shown.interactions, shown.times, shown.series
    breaches = sum(shown.breaches.values())
    arrived = sum(events.get("delivered", 0) for events in shown.deliveries.values())
    dead = sum(events.get("dead_letter", 0) for events in shown.deliveries.values())
    tiles = (
        ("Messages", _number(said.received), f"{_number(said.shadow)} in shadow mode", series["received"], ""),
        ("Escalated", _share(said.escalation_rate), "of answers needed a person", series["escalated"], ""),
        ("Time to answer", _took(times["answer"].p50), f"p99 {_took(times['answer'].p99)}", (), ""),
        ("Time to a decision", _took(times["decision"].p50), f"p90 {_took(times['decision'].p90)}", (), ""),
        ("SLA breaches", _number(breaches), "clocks missed", series["breaches"], "bad" if breaches else ""),
        ("Repeats", _share(said.replay_rate), f"{_number(said.replays)} requests came again", series["replays"], ""),
        ("Delivered", _number(arrived), "messages arrived", series["deliveries"], ""),
        ("Dead letters", _number(dead), "given up in this window", series["deadLetters"], "bad" if dead else ""),
    )
    return f'<section class="tiles">{"".join(_tile(*tile) for tile in tiles)}</section>'


def _tile(name: str, value: str, note: str, points: Sequence[Point], mood: str) -> str:
    words = f'<h2>{name}</h2><p class="big">{value}</p><p class="quiet">{note}</p>'
    return f'<div class="tile {mood}">{words}{_spark(points)}</div>'


def _spark(points: Sequence[Point]) -> str:
    """A line over its area. The highest point touches the top."""
    if len(points) < 2 or not any(p.count for p in points):
        return '<svg class="spark" viewBox="0 0 100 24" aria-hidden="true"></svg>'
    top, step = max(p.count for p in points), 100 / (len(points) - 1)
    line = " ".join(f"{n * step:.1f},{23 - 21 * p.count / top:.1f}" for n, p in enumerate(points))
    return (
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img">'
        f"<title>at most {_number(top)} in one step</title>"
        f'<polygon points="0,24 {line} 100,24"/><polyline points="{line}"/></svg>'
    )


def _waiting(backlog: Sequence[Backlog], now: datetime) -> str:
    rows = [
        (
            f"{_words(b.what)}: {_words(b.state)}",
            _number(b.count),
            *map(_number, b.ages.values()),
            _ago(now - b.oldest_at),
        )
        for b in backlog
        if b.what != "handoffs_overdue"
    ]
    ages = list(backlog[0].ages) if backlog else []
    return _card("Waiting now", _table(("", "open", *ages, "oldest"), rows))


def _times(times: Mapping[str, Durations]) -> str:
    names = {
        "answer": "to the first answer",
        "resolution": "to the end of an interaction",
        "claim": "until somebody takes a handoff",
        "response": "until a person responds",
        "decision": "until a handoff is decided",
        "delivery": "until a message arrives",
    }
    rows = [
        (names.get(name, name), _number(t.count), _took(t.mean), _took(t.p50), _took(t.p90), _took(t.p99))
        for name, t in times.items()
        if t.count
    ]
    return _card("Time", _table(("", "count", "mean", "p50", "p90", "p99"), rows))


def _shares(title: str, counts: Mapping[str, int], *, most: int = 8) -> str:
    """Bars, longest first; what does not fit is added up."""
    items = list(counts.items())
    if len(items) > most:
        items = [*items[: most - 1], ("everything else", sum(n for _, n in items[most - 1 :]))]
    whole, top = sum(counts.values()) or 1, max((n for _, n in items), default=1)
    rows = "".join(
        f'<li><span>{escape(_words(name))}</span><span class="quiet">{_number(n)} · {_share(n / whole)}</span>'
        f"{_bar(n / top)}</li>"
        for name, n in items
    )
    return _card(title, f'<ul class="bars">{rows}</ul>' if rows else _NOTHING)


def _confidence(shown: Dashboard) -> str:
    bars = [bar.count for bar in shown.confidence]
    top = max(bars, default=0)
    if not top:
        return _card("Confidence", _NOTHING)
    shapes = "".join(
        f'<rect x="{n * 10 + 1}" y="{60 - 58 * count / top:.1f}" width="8" height="{58 * count / top:.1f}">'
        f"<title>{n * 10} to {n * 10 + 10} %: {_number(count)}</title></rect>"
        for n, count in enumerate(bars)
    )
    picture = f'<svg class="histogram" viewBox="0 0 100 60" preserveAspectRatio="none" role="img">{shapes}</svg>'
    return _card("Confidence", f'{picture}<p class="ends quiet"><span>unsure</span><span>certain</span></p>')


def _policies(shown: Dashboard, *, most: int = 12) -> str:
    rows = [(_words(p.outcome), _words(p.rule), _words(p.code), _number(p.count)) for p in shown.policies[:most]]
    return _card("Rules that decided", _table(("outcome", "rule", "reason", "count"), rows, words=3))


def _matrix(title: str, first: str, counts: Mapping[str, Mapping[str, int]]) -> str:
    columns = sorted({state for row in counts.values() for state in row})
    rows = [(_words(name), *(_number(row.get(c, 0)) for c in columns)) for name, row in counts.items()]
    return _card(title, _table((first, *map(_words, columns)), rows))


_NOTHING = '<p class="quiet">nothing</p>'


def _card(title: str, body: str) -> str:
    return f'<section class="card"><h2>{title}</h2>{body}</section>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """The first columns are words, the others numbers."""
    body = "".join(
        "<tr>" + "".join(f"<td{_kind(n >= words, v)}>{escape(v)}</td>" for n, v in enumerate(row)) + "</tr>"
        for row in rows
    )
    if not body:
        return _NOTHING
    top = "".join(f"<th{'' if n < words else ' class=n'}>{escape(v)}</th>" for n, v in enumerate(head))
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(is_number: bool, value: str) -> str:
    """Nothing at all should not catch the eye."""
    return (' class="n zero"' if value == "0" else ' class="n"') if is_number else ""


def _bar(share: float) -> str:
    return f'<svg class="bar" aria-hidden="true"><rect width="{100 * share:.1f}%" height="100%" rx="2"/></svg>'


def _words(code: str) -> str:
    return code.replace("_", " ")


def _number(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")


def _share(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f} %"


def _took(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    unit, size = next((u, s) for u, s in _UNITS if seconds >= s)
    return f"{seconds / size:.1f} {unit}"


def _ago(age: timedelta) -> str:
    return _took(max(age.total_seconds(), 1)).replace(".0 ", " ")


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
