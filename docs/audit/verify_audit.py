#!/usr/bin/env python3
"""Checks an exported audit against the checkpoints about it. Needs Python 3.11, the package `cryptography` and nothing
of Holdfast; README.md beside this file has the format.

    python verify_audit.py export.json --checkpoints checkpoints-demo.jsonl --public-key key.pem

Prints what it found as JSON. Ends with 0 if nothing is wrong, 1 if something is, 2 if it could not look.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

NOTHING_BEFORE = "0" * 64
LONGEST_LINE = 64 * 1024
BEGINNING = b'{"organisation":'
NUMBERS = ("batch", "sequence")
NAMES = ("organisation", *NUMBERS, "head", "sealedAt", "previous", "keyId", "signature")
SHAPE = [(name, int if name in NUMBERS else str) for name in NAMES]
LEDGER = """
decisions decision id | id interaction_id stage mode outcome priority intent confidence policy_version digest at
    | decision proposal facts
effects effect id | id key interaction_id decision_id handoff_id ordinal tool effect_class digest amount currency
    policy_version reserved_at | customer_id subject arguments
effectEvents outcome effect_id | effect_id attempt state error_code at | result
effectEvents undoing effect_id | effect_id attempt state error_code at | result
handoffs handoff id | id interaction_id kind reason confidence decision_id digest opened_at
    | customer_id proposed issues
handoffs ruling id | id decision decided_by decided_at agreed_digest | resolution"""
"""Section of the export, kind of row, column that names it | what is hashed of it | what forgetting overwrites."""
KINDS = [[part.split() for part in kind.split("|")] for kind in re.split(r"\n(?! )", LEDGER.strip())]
SECTIONS = {of[0] for of, _, _ in KINDS} | {"interactions"}
STATES = {"outcome": {"confirmed", "failed", "unknown"}, "undoing": {"undone"}}
"""Of these kinds only rows in these states."""
TIMES = {"at", "reserved_at", "opened_at", "decided_at"}
PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----\n?", re.DOTALL)


def exactly(number: str) -> str:
    """Numbers stay as they are spelt: NUL occurs in no string of the database."""
    return "\0" + number


READ = json.JSONDecoder(parse_int=exactly, parse_float=exactly).decode


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def chained(previous: bytes, organisation: str, event: Any) -> bytes:
    words = {name: event[name] for name in ("action", "actor", "at", "details", "id", "sequence", "subject", "xact")}
    words["organisation"] = organisation
    if event.get("ledger") is None:  # the first format
        words["details"] = READ(event["details"])
    else:
        words["ledger"] = event["ledger"]
    return hashlib.sha256(previous + canonical(words)).digest()


def as_jsonb(value: Any) -> str:
    """As PostgreSQL writes it: shorter keys first."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return "{" + ", ".join(f"{json.dumps(n, ensure_ascii=False)}: {as_jsonb(value[n])}" for n in names) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_jsonb, value)) + "]"
    if isinstance(value, str) and value.startswith("\0"):
        return value[1:]
    return json.dumps(value, ensure_ascii=False)


def shown(name: str, value: Any) -> Any:
    if name not in TIMES or value is None:
        return value
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest(row: Any, names: list[str]) -> str:
    words = as_jsonb([shown(name, row[name]) for name in names])
    return hashlib.sha256(words.encode()).hexdigest()


def listed_in(words: str) -> list[Any]:
    """What a seal says, or what the details of an event do that an earlier release wrote. Nothing, if it is no list."""
    found = READ(words)
    listed = found.get("ledger") if isinstance(found, dict) else found
    rows = listed if isinstance(listed, list) else []
    return [row for row in rows if isinstance(row, dict) and {"of", "id", "row", "words"} <= row.keys()]


def rows_of(path: str) -> Iterator[tuple[str, Any]]:
    """What the events are about: the name of its section with each row."""
    section = ""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("]"):
                section = line.split('"')[1]
            elif section in SECTIONS:
                yield section, READ(line.rstrip("\n").rstrip(","))


def exported(path: str) -> Iterator[Any]:
    """The head of the document, then its audit events one by one: each stands on a line of its own."""
    with open(path, encoding="utf-8") as file:
        first = file.readline().rstrip("\n")
        if not first.endswith('"events":['):
            raise ValueError("this is no export of an audit")
        yield json.loads(first + "]}")
        for line in file:
            if line.startswith("]"):
                return
            yield json.loads(line.rstrip("\n").rstrip(","))
    raise ValueError("the export ends in the middle")


def checkpoints_of(path: str) -> Iterator[Any]:
    """Each checkpoint, None for what is none. A line torn by a power cut was never kept."""
    with open(path, "rb") as file:
        for line in file:
            checkpoint = checkpoint_in(line.removesuffix(b"\n"))
            if checkpoint or len(line) > LONGEST_LINE or not is_torn(line):
                yield checkpoint


def checkpoint_in(line: bytes) -> Any:
    """Byte by byte as it was written, or none: what also could be read as something else is not believed."""
    try:
        found = json.loads(line)
        shape = [(name, type(value)) for name, value in found.items()]
        is_ours = shape == SHAPE and json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode() == line
    except (ValueError, AttributeError, RecursionError):
        return None
    return found if is_ours and len(line) < LONGEST_LINE else None


def is_torn(line: bytes) -> bool:
    words = line.rstrip(b"\0\t\r\n ")
    return BEGINNING.startswith(words[: len(BEGINNING)]) and not words.endswith(b"}")


def keys_of(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        keys = [load_pem_public_key(pem) for pem in PEM.findall(file.read())]
    return {hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]: key for key in keys}


def is_signed(checkpoint: Any, organisation: str, keys: dict[str, Any]) -> bool:
    key = keys.get(checkpoint["keyId"])
    if key is None or checkpoint["organisation"] != organisation:
        return False
    words = {name: value for name, value in checkpoint.items() if name != "signature"}
    try:
        key.verify(base64.b64decode(checkpoint["signature"], validate=True), canonical(words))
    except (InvalidSignature, ValueError):
        return False
    return True


class Check:
    def __init__(self) -> None:
        self.findings: list[Any] = []
        self.said: dict[tuple[str, str], list[tuple[int, str, str, str]]] = {}
        self.forgotten: set[str] = set()

    def found(self, problem: str, sequence: int, **more: Any) -> None:
        self.findings.append({"problem": problem, "sequence": sequence, **more})

    def checkpoints(self, path: str, organisation: str, keys: dict[str, Any]) -> list[Any]:
        """Those that can be believed, in the order they were kept."""
        believed: list[Any] = []
        last: Any = None
        expected = NOTHING_BEFORE
        for checkpoint in checkpoints_of(path):
            follows, expected = expected, hashlib.sha256(canonical(checkpoint)).hexdigest() if checkpoint else expected
            if checkpoint is None or not is_signed(checkpoint, organisation, keys):
                where = checkpoint["sequence"] if checkpoint else last["sequence"] if last else 0
                self.found("signature_bad", where)
                continue
            grows = last is None or all(checkpoint[name] > last[name] for name in NUMBERS)
            if checkpoint["previous"] != follows or not grows:
                self.found("fork", checkpoint["sequence"])
            believed.append(last := checkpoint)
        return believed

    def link(self, previous: bytes, organisation: str, event: Any) -> None:
        if event.get("details") is None:
            self.found("event_missing", event["sequence"], event_id=event["id"])
        elif chained(previous, organisation, event).hex() != event["hash"]:
            self.found("hash_differs", event["sequence"], event_id=event["id"])

    def note(self, event: Any) -> None:
        """What this event, or its seal, says about rows of the ledger."""
        if event["action"] and event["action"].startswith("customer.eras"):
            self.forgotten.add("erased_" + event["subject"][-32:])
        listed = listed_in(event.get("ledger") or "[]")
        if '"ledger"' in (event["details"] or ""):
            listed += listed_in(event["details"])
        for one in listed:
            said = (event["sequence"], event["id"], one["row"], one["words"])
            self.said.setdefault((one["of"], one["id"]), []).append(said)

    def ledger(self, rows: Iterator[tuple[str, Any]]) -> None:
        """Whether decisions, effects and handoffs are what the events said they were."""
        whose: dict[str, str] = {}
        for section, row in rows:
            if section in {"interactions", "effects"}:
                whose[row["id"]] = row["customer_id"]
            owner = row.get("customer_id") or whose.get(row.get("interaction_id") or row.get("effect_id"))
            for (where, kind, key), *columns in KINDS:
                if where == section and (kind not in STATES or row["state"] in STATES[kind]):
                    self.row(kind, row[key], row, columns, owner in self.forgotten)
        for (kind, name), said in self.said.items():
            for sequence, event_id, *_ in said:
                self.found("ledger_differs", sequence, event_id=event_id, row=f"{kind} {name}")

    def row(self, kind: str, name: str, row: Any, columns: Any, is_forgotten: bool) -> None:
        for sequence, event_id, sealed, sealed_words in self.said.pop((kind, name), ()):
            stays = digest(row, columns[0]) == sealed
            if not stays or (digest(row, columns[1]) != sealed_words and not is_forgotten):
                self.found("ledger_differs", sequence, event_id=event_id, row=f"{kind} {name}")

    def waiting(self, event: Any, sequence: int, sealed_up_to: Any) -> bool:
        """Whether it rightly has no place yet; else it was not there when those beside it were sealed."""
        if sealed_up_to and [event["xact"], event["id"]] <= sealed_up_to:
            self.found("not_sealed", sequence, event_id=event["id"])
            return False
        return True

    def chain(self, events: Iterator[Any], organisation: str, believed: list[Any], sealed_up_to: Any) -> dict[str, Any]:
        """Every sealed event in order, then those that are not sealed yet."""
        previous = hashlib.sha256(f"holdfast audit chain 1\n{organisation}".encode()).digest()
        sequence = pending = confirmed = 0
        outside = deque(believed)
        for event in events:
            if event["sequence"] is None:
                pending += self.waiting(event, sequence, sealed_up_to)
                continue
            if event["sequence"] != sequence + 1:
                self.found("gap", sequence + 1)
            sequence = event["sequence"]
            self.link(previous, organisation, event)
            self.note(event)
            previous = bytes.fromhex(event["hash"])
            while outside and outside[0]["sequence"] <= sequence:
                checkpoint = outside.popleft()
                if checkpoint["sequence"] == sequence and checkpoint["head"] == event["hash"]:
                    confirmed = sequence
                elif checkpoint["sequence"] == sequence:
                    self.found("head_differs", sequence, since=confirmed + 1)
        if outside:
            self.found("tail_missing", sequence + 1)
        return {"count": sequence, "pending": pending, "head": previous.hex(), "confirmed_to": confirmed}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("export")
    parser.add_argument("--checkpoints", help="the file of the organisation; without it nothing outside is compared")
    parser.add_argument("--public-key", help="PEM, one key or several")
    given = parser.parse_args()
    if bool(given.checkpoints) != bool(given.public_key):
        parser.error("checkpoints and public key go together")
    events = exported(given.export)
    head = next(events)
    if head["filters"]:
        parser.error("only a whole export can be checked: this one is filtered")
    check = Check()
    believed: list[Any] = []
    if given.checkpoints:
        keys = keys_of(given.public_key)
        believed = check.checkpoints(given.checkpoints, head["organisation"], keys)
    told = check.chain(events, head["organisation"], believed, head["sealedUpTo"])
    check.ledger(rows_of(given.export))
    findings = sorted(check.findings, key=lambda finding: finding["sequence"])[:20]
    verdict = {"ok": not findings, "organisation": head["organisation"], "outside_proof": bool(believed), **told}
    print(json.dumps({**verdict, "findings": findings}, indent=2))  # noqa: T201 - this is what it is for
    return 1 if findings else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"it cannot be read: {type(error).__name__}: {error}\n")
        sys.exit(2)
