"""The stories of the documentation, told to a running stack over HTTP."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2

from adapters.embedded.mail import REFUSED_DOMAIN

PATIENCE = 100
"""Tenths of a second the tour waits for something to have its consequence."""


class Story(NamedTuple):
    title: str
    message: str
    plan: str = "pro"
    status: str = "active"
    amount: int = 4_900
    paid_days_ago: int = 5


STORIES = (
    Story("A small refund within 30 days: the rules decide", "Please refund my last invoice."),
    Story("A large refund: a person is asked", "I want my money back, please refund it.", "enterprise", amount=48_000),
    Story("Too late: refused, with the reason", "Can I get a refund?", paid_days_ago=60),
    Story("A suspended account: a person is asked", "Please refund my last payment.", status="suspended"),
    Story("A wish to talk to a person: always granted", "I want to talk to a human."),
)

Shown = dict[str, Any]


@dataclass(frozen=True)
class Backstage:
    """What only somebody at the machine can do. The tour uses it to show what the product does about it."""

    skip_time: Callable[[str, timedelta], None]
    """A handoff lives so much time at once."""
    seal: Callable[[], None]
    """The audit is sealed now."""
    forged: Callable[[int], AbstractContextManager[None]]
    """While it lasts, the audit event at this place of the chain says something else."""


def tour(api: str, backstage: Backstage | None = None) -> Iterator[str]:
    """Lines for a terminal: each story, the decision with its reasons, and proof that a repeat does nothing twice.
    Without `backstage` the stories that need it are left out."""
    with httpx2.Client(base_url=api, timeout=60) as http:
        for story in STORIES:
            customer = _customer(http, story)
            yield f"\n{story.title}"
            yield f"  customer          {customer}, plan {story.plan}, {story.status}"
            yield f"  writes            {story.message}"
            body = {"customerId": customer, "message": story.message, "requestId": f"req_{secrets.token_hex(8)}"}
            answer = http.post("/chat", json=body)
            if answer.status_code >= 400:
                yield f"  answer            {answer.status_code} {answer.text[:200]}"
                continue
            first = answer.json()
            yield from _story(first, http.post("/chat", json=body).json())
            if "handoff" in first and story.plan == "enterprise":
                yield from _approval(http, first)
            if "handoff" in first and story.status == "suspended" and backstage:
                yield from _late(http, first["handoff"]["id"], backstage)
        yield from _dead_letter(http)
        if backstage:
            yield from _audit(http, backstage)


def _customer(http: httpx2.Client, story: Story, email: str = "ada@example.com") -> str:
    """Somebody new with one paid invoice, so that every tour tells the same."""
    customer, invoice = f"cust_{secrets.token_hex(8)}", f"inv_{secrets.token_hex(8)}"
    account = {"name": "Ada Example", "email": email, "plan": story.plan, "status": story.status}
    http.put(f"/customers/{customer}", json=account).raise_for_status()
    paid_at = datetime.now(UTC) - timedelta(days=story.paid_days_ago)  # noqa: TID251 - a terminal's clock
    amount = {"amount": story.amount, "currency": "EUR"}
    bill = {"total": amount, "status": "paid", "paidAt": paid_at.isoformat()}
    http.put(f"/customers/{customer}/invoices/{invoice}", json=bill).raise_for_status()
    return customer


def _until(http: httpx2.Client, path: str, condition: Callable[[Shown], bool]) -> Shown:
    """What is there once it satisfies the condition, or as it stands when patience is over."""
    shown: Shown = {}
    for _ in range(PATIENCE):
        shown = http.get(path).json()
        if condition(shown):
            break
        time.sleep(0.1)
    return shown


def _is_settled(shown: Shown) -> bool:
    return bool(shown.get("finishedAt")) and all(a["effect"] != "reserved" for a in shown["actions"])


def _approval(http: httpx2.Client, asked: Shown) -> Iterator[str]:
    """What a person does next, and what follows from it."""
    yield "\nA person says yes: exactly what was shown happens, once"
    path = f"/handoffs/{asked['handoff']['id']}"
    shown = http.get(path).json()
    for action in shown["proposed"]:
        yield f"  shown             {action['tool']} {json.dumps(action['arguments'])}"
    decided = http.post(f"{path}/approve", json={"digest": shown["digest"], "note": "looks right"}).json()
    yield f"  approved          by {decided['decidedBy']}, bound to digest {shown['digest'][:12]}…"
    ended = _until(http, f"/interactions/{asked['interactionId']}", _is_settled)
    for action in ended["actions"]:
        yield f"  effect            {action['tool']} {action['effect']}"
    yield f"  reply             {ended['reply']}"
    again = http.post(f"{path}/approve", json={"digest": shown["digest"], "note": "looks right"})
    yield f"  approved again    {again.status_code}: nothing more happens"


def _late(http: httpx2.Client, handoff: str, backstage: Backstage) -> Iterator[str]:
    """Nobody looks in time; hours pass in a moment."""
    path = f"/handoffs/{handoff}"
    before = http.get(path).json()
    due = datetime.fromisoformat(before["slaDueAt"])
    yield "\nNobody looks: its clock is breached, in skipped time"
    yield f"  due               {before['slaDueAt']}, priority {before['priority']}"
    backstage.skip_time(handoff, due - datetime.now(UTC) + timedelta(seconds=1))  # noqa: TID251 - a terminal's clock
    after = _until(http, path, lambda shown: bool(shown.get("breachedAt")))
    yield f"  breached          {after['breachedAt']}, as if it were that late; priority {after['priority']}"
    for event in after["history"]:
        if event["kind"] == "clock_step":
            yield f"  on record         {event['details']['step']}"
    yield f"  still             {after['status']}: being late decides nothing"


def _dead_letter(http: httpx2.Client) -> Iterator[str]:
    """A mail nobody takes, and what a person does about it."""
    yield "\nA mail that is refused: a dead letter, corrected and sent again"
    customer = _customer(http, STORIES[0], f"ada@{REFUSED_DOMAIN}")
    answer = http.post("/chat", json={"customerId": customer, "message": "refund please"}).json()
    yield f"  reply             {answer.get('reply')}"
    letters = f"/deliveries?status=dead_letter&customerId={customer}"
    dead = _until(http, letters, lambda shown: bool(shown.get("items"))).get("items", ())
    for letter in dead:
        yield f"  dead letter       {letter['channel']}, reason {letter['reason']}"
        path = f"/deliveries/{letter['id']}"
        http.post(f"{path}/redrive", json={"correct": {"to": "ada@example.com"}})
        sent = _until(http, path, lambda shown: shown.get("status") == "delivered")
        yield f"  redriven          to the corrected address: {sent['status']}, same Message-ID {sent['messageId']}"


def _audit(http: httpx2.Client, backstage: Backstage) -> Iterator[str]:
    """The audit is whole; somebody with the database's password forges a line; that is seen."""
    yield "\nThe audit: verified, then forged behind the product's back"
    backstage.seal()
    whole = http.get("/audit/verify").json()
    yield f"  verified          {whole['count']} events, ok: {whole['ok']}, vouched for to {whole['confirmedTo']}"
    place = max(1, whole["count"] // 2)
    with backstage.forged(place):
        broken = http.get("/audit/verify").json()
        found = ", ".join(f"{f['problem']} at {f['sequence']}" for f in broken["findings"][:1])
        yield f"  event {place:<11} changed with the owner's rights: ok: {broken['ok']}, {found}"
    yield f"  changed back      ok: {http.get('/audit/verify').json()['ok']}"


def _story(first: Shown, again: Shown) -> Iterator[str]:
    decision = first.get("decision") or {}
    reasons = ", ".join(reason.get("code", "?") for reason in decision.get("reasons", ()))
    yield f"  decided           {decision.get('outcome', first.get('status'))}: {reasons or 'no reason recorded'}"
    for action in first.get("actions", ()):
        arguments = json.dumps(action.get("arguments", {}))
        yield f"  effect            {action.get('tool')} {action.get('effect')} {arguments}"
    yield f"  reply             {first.get('reply') or 'none yet'}"
    if first.get("handoff"):
        yield f"  waits for         a person: handoff {first['handoff'].get('id')}"
    same = {**first, "replayed": None} == {**again, "replayed": None}
    yield f"  sent again        {'the same answer, nothing done twice' if same else 'the story went on meanwhile'}"
    if link := (first.get("links") or {}).get("temporal"):
        yield f"  look inside       {link}"
