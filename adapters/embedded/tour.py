"""The stories of the documentation, told to a running stack over HTTP."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx2

PATIENCE = 100
"""Tenths of a second the tour waits for a decision to have its consequence."""

STORIES = (
    ("A small refund within 30 days: the rules decide", "cust_123", "Please refund my last invoice inv_1001."),
    ("A large refund: a person is asked", "cust_456", "I want my money back for invoice inv_2001, please refund it."),
    ("Too late: refused, with the reason", "cust_789", "Can I get a refund for inv_3001?"),
    ("A suspended account: a person is asked", "cust_321", "Please refund my last payment."),
    ("A wish to talk to a person: always granted", "cust_123", "I want to talk to a human."),
)


def tour(api: str) -> Iterator[str]:
    """Lines for a terminal: each story, the decision with its reasons, and proof that a repeat does nothing twice."""
    with httpx2.Client(base_url=api, timeout=60) as http:
        for title, customer, message in STORIES:
            yield f"\n{title}"
            yield f"  {customer} writes    {message}"
            body = {"customerId": customer, "message": message, "requestId": f"demo-{secrets.token_hex(4)}"}
            answer = http.post("/chat", json=body)
            if answer.status_code >= 400:
                yield f"  answer            {answer.status_code} {answer.text[:200]}"
                continue
            first = answer.json()
            yield from _story(first, http.post("/chat", json=body).json())
            if (first.get("handoff") or {}).get("kind") == "approval":
                yield from _approval(http, first)


def _approval(http: httpx2.Client, asked: dict[str, Any]) -> Iterator[str]:
    """What a person does next, and what follows from it."""
    yield "\nA person says yes: exactly what was shown happens, once"
    path = f"/handoffs/{asked['handoff']['id']}"
    shown = http.get(path).json()
    for action in shown["proposed"]:
        yield f"  shown             {action['tool']} {json.dumps(action['arguments'])}"
    decided = http.post(f"{path}/approve", json={"digest": shown["digest"], "note": "looks right"}).json()
    yield f"  approved          by {decided['decidedBy']}, bound to digest {shown['digest'][:12]}…"
    ended = asked
    for _ in range(PATIENCE):
        ended = http.get(f"/interactions/{asked['interactionId']}").json()
        if ended.get("finishedAt"):
            break
        time.sleep(0.1)
    for action in ended["actions"]:
        yield f"  effect            {action['tool']} {action['effect']}"
    yield f"  reply             {ended['reply']}"
    again = http.post(f"{path}/approve", json={"digest": shown["digest"], "note": "looks right"})
    yield f"  approved again    {again.status_code}: nothing more happens"


def _story(first: dict[str, Any], again: dict[str, Any]) -> Iterator[str]:
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
