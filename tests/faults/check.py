"""What must hold after a fault run: `python -m tests.faults.check <run folder>`.

It reads what the world, the client and the nemesis wrote down, and the database as its owner. It imports nothing of the
product and nothing of the rig, so that no mistake of theirs can be one of its own. It prints what is broken as JSON.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
TERMINAL = ("confirmed", "failed", "unknown")
AMBIGUOUS = {"execute-then-drop", "execute-then-503", "hang", "slow-drip", "garbage", "200-with-error"}


class Evidence:
    """Everything that is known about a run, and what was found to be wrong with it."""

    def __init__(self, run: Path, connection: psycopg.Connection[Row]) -> None:
        self.plan = _lines(run / "plan.jsonl")
        self.acks = _lines(run / "acks.jsonl")
        self.journal = _lines(run / "journal.jsonl")
        self._connection = connection
        self.interactions = {r["customer_id"]: r for r in self.rows("SELECT * FROM interactions")}
        self.refunds = _by(self.rows("SELECT * FROM refunds"), "customer_id")
        self.tickets = _by(self.rows("SELECT * FROM tickets"), "customer_id")
        self.effects = _by(self.rows(EFFECTS), "customer_id")
        self.handoffs = _by(self.rows("SELECT * FROM handoffs"), "customer_id")
        self.calls = _by([j for j in self.journal if j["kind"] == "tool"], "customer")
        self.mails = _by([dict(j, to=to) for j in self.journal if j["kind"] == "mail" for to in j["to"]], "to")
        self.letters = self.rows(LETTERS)
        self.violations: list[Row] = []

    def rows(self, query: str) -> list[Row]:
        return list(self._connection.execute(query.encode()))

    def broken(self, rule: str, **facts: Any) -> None:
        self.violations.append({"rule": rule, **facts})


EFFECTS = """
SELECT e.*, coalesce((SELECT v.state FROM effect_events v WHERE v.organisation = e.organisation AND v.effect_id = e.id
    AND v.state IN ('confirmed', 'failed', 'unknown')), CASE WHEN EXISTS (SELECT FROM effect_events v
        WHERE v.organisation = e.organisation AND v.effect_id = e.id AND v.state = 'dispatched' AND NOT EXISTS (
            SELECT FROM effect_events w WHERE (w.organisation, w.effect_id, w.attempt, w.state) =
                (v.organisation, v.effect_id, v.attempt, 'withdrawn'))) THEN 'dispatched' ELSE 'reserved' END) AS state
FROM effects e
"""
# A mail the server refused for good waits among the dead letters, where a person may send it after all. How its effect
# may stand meanwhile: `a_dead_letter_says_what_is_known`.
NO_VERDICT = f"""SELECT id FROM ({EFFECTS}) e WHERE state IN ('reserved', 'dispatched') AND NOT EXISTS (
    SELECT FROM deliveries d WHERE (d.organisation, d.effect_id, d.status) = (e.organisation, e.id, 'dead_letter')
        AND d.reason IS NOT NULL)"""
LETTERS = f"""SELECT d.id, d.status, d.reason, e.key, e.state, e.customer_id FROM deliveries d
    JOIN ({EFFECTS}) e ON e.organisation = d.organisation AND e.id = d.effect_id"""
GIVEN_UP = {"dead_letter", "discarded"}
STANDING = {
    "delivered": {"confirmed"},
    "dead_letter": {"reserved", "dispatched"},
    "discarded": {"failed", "unknown"},
}
OPEN_WORK = {
    "interactions running": "SELECT id FROM interactions WHERE status = 'running'",
    "effects without a verdict": NO_VERDICT,
    "deliveries pending": "SELECT id FROM deliveries WHERE status = 'pending'",
    "decisions untold": "SELECT id FROM handoffs WHERE decision IS NOT NULL AND told_at IS NULL",
    "approvals not carried out": "SELECT id FROM handoffs WHERE decision = 'approved' AND consumed_at IS NULL",
}


def open_work(connection: psycopg.Connection[Row]) -> dict[str, list[str]]:
    """What is still under way, by kind."""
    found = {kind: [r["id"] for r in connection.execute(query.encode())] for kind, query in OPEN_WORK.items()}
    return {kind: ids for kind, ids in found.items() if ids}


def nothing_is_stuck(e: Evidence) -> None:
    for kind, query in OPEN_WORK.items():
        for row in e.rows(query):
            e.broken("stuck", kind=kind, id=row["id"])


def everybody_was_answered(e: Evidence) -> None:
    """R-1, lost = 0: the client has an answer, and it is a right one."""
    answered = {a["n"] for a in e.acks if a["path"] == "/chat" and a["status"] == 200}
    for r in e.plan:
        if r["n"] not in answered:
            e.broken("lost", n=r["n"], kind=r["kind"], customer=r["customer"])


def no_answer_is_an_accident(e: Evidence) -> None:
    """2xx, or 503 with a time to come back: everything else is a mistake of the product's."""
    for a in e.acks:
        if a["status"] in {200, 202} or (a["status"] == 503 and a["retryAfter"]):
            continue
        e.broken("unexpected answer", n=a["n"], path=a["path"], status=a["status"], body=a["body"])


def acknowledged_is_durable(e: Evidence) -> None:
    """R-10: what a client was told stands in the database, and every repeat said the same."""
    said: dict[int, Row] = {}
    for a in (a for a in e.acks if a["path"] == "/chat" and a["status"] in {200, 202}):
        kept = e.interactions.get(a["customer"])
        if kept is None or kept["id"] != a["body"].get("interactionId"):
            e.broken("acknowledged and lost", n=a["n"], told=a["body"].get("interactionId"))
        if a["status"] == 200:
            body = {k: v for k, v in a["body"].items() if k != "replayed"}
            if said.setdefault(a["n"], body) != body:
                e.broken("two answers to one request", n=a["n"], first=said[a["n"]], then=body)


def acknowledged_decisions_are_durable(e: Evidence) -> None:
    """R-10, for people: a yes or no that was acknowledged is the one on record."""
    for a in e.acks:
        verb = a["path"].rpartition("/")[2]
        if verb not in {"approve", "reject"} or a["status"] != 200:
            continue
        kept = [h["decision"] for h in e.handoffs[a["customer"]] if h["id"] in a["path"]]
        if kept != [{"approve": "approved", "reject": "rejected"}[verb]]:
            e.broken("decision acknowledged and lost", n=a["n"], path=a["path"])


def every_wish_came_true_once(e: Evidence) -> None:
    """R-1: one effect of each kind for each request, no more and no less."""
    for r in e.plan:
        customer, kind = r["customer"], r["kind"]
        refunds = [x["amount"] for x in e.refunds[customer]]
        tickets = len(e.tickets[customer])
        if refunds != ([r["amount"]] if kind in {"refund", "approve"} else []):
            e.broken("refunds", n=r["n"], kind=kind, customer=customer, refunds=refunds, expected=r["amount"])
        if tickets != (1 if kind == "ticket" else 0):
            e.broken("tickets", n=r["n"], kind=kind, customer=customer, tickets=tickets)
        if kind in {"complaint", "parcel"}:
            outside_call_is_what_the_ledger_says(e, r)


def outside_call_is_what_the_ledger_says(e: Evidence, r: Row) -> None:
    """R-3, R-4: under one key, done once if the ledger says so, and never called again when nobody could say."""
    effects = [x for x in e.effects[r["customer"]] if x["tool"] in {"file_complaint", "trace_parcel"}]
    if len(effects) != 1:
        e.broken("outside effects", n=r["n"], effects=[x["id"] for x in effects])
        return
    (effect,) = effects
    calls, state = e.calls[r["customer"]], effect["state"]
    executed = sum(c["executed"] for c in calls)
    unclear = [n for n, c in enumerate(calls) if c["fault"] in AMBIGUOUS]
    keyless = effect["tool"] == "trace_parcel"
    asked = any(h["kind"] == "takeover" for h in e.handoffs[r["customer"]])
    wrong = {
        "done twice": executed > 1,
        "called under another key": any(c["key"] != effect["key"] for c in calls),
        "confirmed and not done": state == "confirmed" and executed != 1,
        "failed and done": state == "failed" and executed > 0,
        "called again after nobody could say": keyless and unclear and unclear[0] != len(calls) - 1,
        "ambiguous and not unknown": keyless and unclear and state != "unknown",
        "unknown and nobody asked": state == "unknown" and not asked,
    }
    for rule in (rule for rule, found in wrong.items() if found):
        e.broken(rule, n=r["n"], effect=effect["id"], state=state, executed=executed,
                 faults=[c["fault"] for c in calls])  # fmt: skip


def no_call_without_a_wish(e: Evidence) -> None:
    """The outside world heard of nobody who had not asked."""
    for customer in e.calls.keys() - {r["customer"] for r in e.plan if r["kind"] in {"complaint", "parcel"}}:
        if e.calls[customer]:
            e.broken("call without a wish", customer=customer)


def one_mail_each(e: Evidence) -> None:
    """R-9: one Message-ID per effect, taken at least once if it is confirmed; a server that said no took nothing."""
    for r in e.plan:
        taken = [m for m in e.mails[r["email"]] if m["executed"]]
        ids = {m["key"] for m in taken}
        effects = [x for x in e.effects[r["customer"]] if x["tool"] == "send_email"]
        confirmed = {f"<{x['key']}@holdfast.invalid>" for x in effects if x["state"] == "confirmed"}
        facts = {"n": r["n"], "kind": r["kind"], "taken": sorted(ids), "confirmed": sorted(confirmed)}
        tried = e.mails[r["email"]]
        # The last one: whoever was killed with a no in hand asks again.
        refused = bool(tried) and tried[-1]["fault"] == "550"
        if r["kind"] in {"refund", "approve", "ticket"} and len(ids) != (0 if refused else 1):
            e.broken("mails", **facts)
        if confirmed - ids:
            e.broken("mail confirmed and not sent", **facts)
        if len({m["body"] for m in taken}) > len(ids):
            e.broken("two texts under one Message-ID", **facts)
    known = {x["email"] for x in e.plan}
    for address in e.mails.keys() - known:
        e.broken("mail to a stranger", address=address)


def a_dead_letter_says_what_is_known(e: Evidence) -> None:
    """R-9: while a mail waits for a person there is no verdict on it, and after *discard* there is one. *Reserved* and
    *failed* are promises: the server took none under this id."""
    taken = {m["key"] for mails in e.mails.values() for m in mails if m["executed"]}
    for letter in e.letters:
        status, state = letter["status"], letter["state"]
        facts = {k: letter[k] for k in ("id", "status", "reason", "state")}
        came_back = (status, letter["reason"], state) == ("dead_letter", "bounced", "confirmed")
        if state not in STANDING.get(status, {state}) and not came_back:
            e.broken("a mail and its effect differ", **facts)
        if status in GIVEN_UP and not letter["reason"]:
            e.broken("given up without a reason", **facts)
        if status != "pending" and state in {"reserved", "failed"} and f"<{letter['key']}@holdfast.invalid>" in taken:
            e.broken("surely not sent, and taken", **facts)


def money_is_conserved(e: Evidence) -> None:
    """R-6: no invoice gives back more than it had; the ledger, the book and the plan say the same to the cent."""
    for row in e.rows("""SELECT i.customer_id, i.total_amount, sum(r.amount) AS back FROM invoices i
            JOIN refunds r USING (organisation, customer_id) WHERE r.invoice_id = i.id
            GROUP BY 1, 2 HAVING sum(r.amount) > i.total_amount"""):  # fmt: skip
        e.broken("more than was paid", customer=row["customer_id"], paid=row["total_amount"], back=int(row["back"]))
    book = sum(x["amount"] for refunds in e.refunds.values() for x in refunds)
    ledger = sum(x["amount"] for effects in e.effects.values() for x in effects
                 if x["effect_class"] == "money" and x["state"] == "confirmed")  # fmt: skip
    planned = sum(r["amount"] for r in e.plan if r["kind"] in {"refund", "approve"})
    if not book == ledger == planned:
        e.broken("money", book=book, ledger=ledger, planned=planned)


def nothing_large_without_a_yes(e: Evidence) -> None:
    """H-4: every refund over the limit rests on a recorded yes."""
    for r in e.plan:
        if r["kind"] not in {"approve", "reject"}:
            continue
        yes = {h["id"] for h in e.handoffs[r["customer"]] if h["decision"] == "approved"}
        for effect in e.effects[r["customer"]]:
            if effect["tool"] == "issue_refund" and effect["handoff_id"] not in yes:
                e.broken("money without a yes", n=r["n"], effect=effect["id"])


def one_verdict_each(e: Evidence) -> None:
    """Behind every confirmed refund and ticket there is one, and the other way round."""
    for table, tool in (("refunds", "issue_refund"), ("tickets", "create_ticket")):
        made = {x["key"] for rows in getattr(e, table).values() for x in rows}
        told = {x["key"] for rows in e.effects.values() for x in rows if x["tool"] == tool and
                x["state"] == "confirmed"}  # fmt: skip
        for key in made ^ told:
            e.broken("ledger and world differ", table=table, key=key, done=key in made)


EVENT_OF = {
    "completed": "interaction.completed",
    "refused": "interaction.refused",
    "waiting_for_human": "interaction.waiting_for_human",
}


def every_event_was_told(e: Evidence) -> None:
    """W-3, W-5, where somebody listens: how an interaction stands is one event; each is delivered at least once, under
    one id and with one text; what the receiver heard is an event."""
    if not e.rows("SELECT id FROM webhook_endpoints"):
        return
    events = e.rows("SELECT * FROM webhook_events")
    heard = _by([j for j in e.journal if j["kind"] == "webhook"], "key")
    for event in events:
        calls = heard[event["id"]]
        if not any(c["executed"] for c in calls):
            e.broken("event not delivered", event=event["id"], type=event["type"], calls=len(calls))
        if len({c["body"] for c in calls}) > 1:
            e.broken("two texts under one webhook-id", event=event["id"])
    for stranger in heard.keys() - {event["id"] for event in events}:
        e.broken("webhook of no event", webhook_id=stranger)
    told = Counter((event["subject"], event["type"]) for event in events)
    for interaction in e.interactions.values():
        wanted = EVENT_OF.get(interaction["status"])
        if wanted and told[interaction["id"], wanted] != 1:
            e.broken("events of an interaction", interaction=interaction["id"], status=interaction["status"],
                     events=told[interaction["id"], wanted])  # fmt: skip


CHECKS = (
    nothing_is_stuck,
    everybody_was_answered,
    no_answer_is_an_accident,
    acknowledged_is_durable,
    acknowledged_decisions_are_durable,
    every_wish_came_true_once,
    no_call_without_a_wish,
    one_mail_each,
    a_dead_letter_says_what_is_known,
    money_is_conserved,
    nothing_large_without_a_yes,
    one_verdict_each,
    every_event_was_told,
)


def figures(e: Evidence) -> Row:
    """What the run saw: the coverage the verdict asks about."""
    faults = Counter(f"{j['kind']} {j['fault']}" for j in e.journal if j["fault"])
    seen = [m for mails in e.mails.values() for m in mails if m["executed"]]
    return {
        "interactions": len(e.plan),
        "kinds": dict(Counter(r["kind"] for r in e.plan)),
        "acknowledged": sum(a["status"] in {200, 202} for a in e.acks),
        "answers": dict(Counter(str(a["status"]) for a in e.acks)),
        "statuses": dict(Counter(i["status"] for i in e.interactions.values())),
        "effects": dict(Counter(f"{x['tool']} {x['state']}" for xs in e.effects.values() for x in xs)),
        "faults": dict(sorted(faults.items())),
        "given up": dict(Counter(f"{x['status']} {x['state']}" for x in e.letters if x["status"] in GIVEN_UP)),
        "mails taken": len(seen),
        "mails taken again": len(seen) - len({m["key"] for m in seen}),
        "webhooks heard": sum(j["kind"] == "webhook" for j in e.journal),
        "outside calls": sum(len(c) for c in e.calls.values()),
        "outside effects done": sum(c["executed"] for cs in e.calls.values() for c in cs),
    }


def _lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _by(rows: list[Row], column: str) -> defaultdict[str, list[Row]]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row[column]].append(row)
    return grouped


def main(run: Path) -> int:
    url = (run / "database.url").read_text()
    with psycopg.Connection[Row].connect(url, row_factory=dict_row) as connection:
        evidence = Evidence(run, connection)
        for check in CHECKS:
            check(evidence)
    found = {"violations": evidence.violations, "figures": figures(evidence)}
    print(json.dumps(found, default=str))
    return 1 if evidence.violations else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
