"""Delivery status notifications (RFC 3464): what became of a mail after a server had taken it."""

import re
from email import message_from_bytes
from email.message import Message
from email.policy import compat32

from domain.values import Value

MAX_BYTES = 1_000_000
MAX_RECIPIENTS = 20
MAX_LINES = 10_000
MAX_PARTS = 50
"""A report has three. The parser calls itself for each level, and looks for the end of each of them in every line."""
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}>", re.ASCII)
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})", re.ASCII)
_ENVELOPE_ID = re.compile(r"[!-~]{1,200}", re.ASCII)


class DeliveryReport(Value):
    """One recipient's fate. The address is not in it: ours is known by the Message-ID."""

    message_id: str
    action: str = "failed"
    """`failed`, `delayed`, `delivered`, `relayed` or `expanded`."""
    status: str = "5.0.0"
    """RFC 3463: class, subject, detail."""

    @property
    def has_failed(self) -> bool:
        """It did not arrive and will not. A delay is no failure: the servers go on trying."""
        return self.action == "failed"

    @property
    def code(self) -> str:
        return f"dsn_{self.status.replace('.', '_')}"


_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})


def read_report(raw: bytes) -> tuple[DeliveryReport, ...]:
    """What a report says, recipient by recipient; nothing if the mail is no report or is about no mail of known id.

    Total: any bytes give an answer. A report can be forged by anybody, so it may only ever turn *delivered* into
    *look at this*.
    """
    if len(raw) > MAX_BYTES or not is_plain(raw):
        return ()
    message = message_from_bytes(raw, policy=compat32)
    parts = [part for part in message.walk() if not part.is_multipart() or _is_status(part)]
    status = next((part for part in parts if _is_status(part)), None)
    if status is None:
        return ()
    blocks = [block for block in _blocks(status) if block.keys()]
    about = _about(message, blocks)
    if about is None:
        return ()
    found = [_report(about, block) for block in blocks[:MAX_RECIPIENTS] if _field(block, "Action")]
    return tuple(report for report in found if report is not None)


def is_plain(raw: bytes) -> bool:
    """Whether it is built like a report, and not to keep whoever reads it busy: few parts, few and short fields."""
    lower = raw.lower()
    parts = lower.count(b"boundary") + lower.count(b"message/") + lower.count(b"content-type")
    return parts <= MAX_PARTS and raw.count(b"\n") <= MAX_LINES and b"\0" not in raw


def _is_status(part: Message) -> bool:
    return part.get_content_type() == "message/delivery-status"


def _blocks(status: Message) -> list[Message]:
    """Per-message fields first, then one block per recipient; the parser makes a message of each."""
    payload = status.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _about(message: Message, blocks: list[Message]) -> str | None:
    """The Message-ID of the mail in question: from the returned headers, else from the envelope id we had given."""
    returned = (found for part in message.walk() if (found := _first_id(_returned_id(part))))
    given = (_field(block, "Original-Envelope-Id") for block in blocks)
    envelope = next((found for found in given if _ENVELOPE_ID.fullmatch(found)), None)
    return next(returned, None) or (_first_id(f"<{_from_xtext(envelope)}>") if envelope else None)


def _returned_id(part: Message) -> str:
    """The Message-ID field of the mail a report gives back, whole or its headers only."""
    if part.get_content_type() == "text/rfc822-headers":
        return _headers(part)
    inner = part.get_payload() if part.get_content_type() == "message/rfc822" else None
    first = inner[0] if isinstance(inner, list) and inner else None
    return _field(first, "Message-ID") if isinstance(first, Message) else ""


def _headers(part: Message) -> str:
    payload = part.get_payload(decode=True)
    text = payload.decode("latin-1") if isinstance(payload, bytes) else ""
    line = re.search(r"^message-id:[ \t]*((?:.|\r?\n[ \t])*)", text, re.IGNORECASE | re.MULTILINE)
    return line[1] if line else ""


def _first_id(words: str) -> str | None:
    found = _MESSAGE_ID.search(words)
    return found[0] if found else None


def _field(block: Message, name: str) -> str:
    try:
        return str(block.get(name) or "").strip()
    except (ValueError, LookupError):
        return ""


def _from_xtext(envelope: str) -> str:
    return re.sub(r"\+([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), envelope)


def _report(about: str, block: Message) -> DeliveryReport | None:
    action = _field(block, "Action").split(" ")[0].lower()
    status = _STATUS.search(_field(block, "Status"))
    if action not in _ACTIONS:
        return None
    return DeliveryReport(message_id=about, action=action, status=status[0] if status else "5.0.0")
