"""What other systems are told, and where. Ids and codes only: whoever wants more asks for it with a key."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from domain.delivery import Failure, FailureKind, Receipt
from domain.signing import SigningKeys
from domain.values import DeliveryId, Json, OrganisationId


class EventType(StrEnum):
    """What an endpoint may subscribe to."""

    INTERACTION_COMPLETED = "interaction.completed"
    INTERACTION_WAITING = "interaction.waiting_for_human"
    INTERACTION_REFUSED = "interaction.refused"
    INTERACTION_FAILED = "interaction.failed"
    HANDOFF_OPENED = "handoff.opened"
    HANDOFF_DECIDED = "handoff.decided"
    HANDOFF_BREACHED = "handoff.breached"
    DELIVERY_DEAD_LETTER = "delivery.dead_letter"
    PING = "ping"


class NotificationKind(StrEnum):
    """What operators are told, in the product and where they chat."""

    HANDOFF_OPENED = "handoff.opened"
    HANDOFF_DUE_SOON = "handoff.due_soon"
    HANDOFF_BREACHED = "handoff.breached"
    HANDOFF_PAGED = "handoff.paged"
    """Long overdue: somebody is to look, whatever else they do."""
    DELIVERY_DEAD_LETTER = "delivery.dead_letter"
    WEBHOOK_DISABLED = "webhook.disabled"
    PING = "ping"


class EndpointKind(StrEnum):
    WEBHOOK = "webhook"
    """A program: signed events."""
    CHAT = "chat"
    """A chat room's incoming webhook: one line of text. Its address is itself a secret."""


def secret_context(organisation: str, purpose: str, secret_id: str) -> str:
    """What a sealed secret is bound to: a row copied to another organisation, purpose or id does not open."""
    return f"{organisation}|webhook.{purpose}|{secret_id}"


_CODE = re.compile(r"[A-Za-z0-9_.:~-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something happened to `subject`. `key` tells two events of the same type about the same thing apart: recorded
    again with the same key, it is the same event."""

    type: EventType
    subject: str
    at: datetime
    data: Mapping[str, str | int | None] = field(default_factory=dict)
    key: str = ""

    def __post_init__(self) -> None:
        for value in (self.subject, *self.data.values()):
            if isinstance(value, str) and not _CODE.fullmatch(value):
                raise ValueError("an event carries ids and codes, never words")


@dataclass(frozen=True, slots=True)
class NewNotification:
    """Something operators should know. `key` as in `DomainEvent`."""

    kind: NotificationKind
    subject: str
    at: datetime
    details: Mapping[str, str | int | None] = field(default_factory=dict)
    key: str = ""

    def __post_init__(self) -> None:
        for value in (self.subject, *self.details.values()):
            if isinstance(value, str) and not _CODE.fullmatch(value):
                raise ValueError("a notification carries ids and codes, never words")


def event_body(event: DomainEvent, sequence: int) -> str:
    """The exact bytes every attempt sends and signs. `sequence` counts the events of one subject: they may arrive out
    of order."""
    data: Json = {"id": event.subject, "sequence": sequence, **event.data}
    return json.dumps({"type": event.type, "timestamp": _rfc3339(event.at), "data": data}, separators=(",", ":"))


TITLES: dict[NotificationKind, str] = {
    NotificationKind.HANDOFF_OPENED: "Somebody is needed",
    NotificationKind.HANDOFF_DUE_SOON: "A handoff is due soon",
    NotificationKind.HANDOFF_BREACHED: "A handoff passed its due time",
    NotificationKind.HANDOFF_PAGED: "A handoff is long overdue",
    NotificationKind.DELIVERY_DEAD_LETTER: "A message could not be delivered",
    NotificationKind.WEBHOOK_DISABLED: "A webhook was switched off",
    NotificationKind.PING: "This is where notifications arrive",
}


def chat_body(notification: NewNotification) -> str:
    """One line, as Slack and those who speak like it take it."""
    known = ", ".join(f"{name} {value}" for name, value in notification.details.items() if value is not None)
    line = f"{TITLES[notification.kind]}: {notification.subject}"
    return json.dumps({"text": f"{line} ({known})" if known else line}, separators=(",", ":"))


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One attempt to bring one event to one endpoint."""

    url: str
    webhook_id: str
    """The same on every attempt: the receiver's means to recognise a repeat."""
    body: str
    keys: SigningKeys
    delivery_id: DeliveryId
    organisation: OrganisationId
    """Whose endpoint it is: it may be called where this organisation may call."""


GONE, TOO_MANY, UNAVAILABLE, TIMED_OUT = 410, 429, 503, 408


def outcome_of(status: int, retry_after: timedelta | None) -> Receipt | Failure:
    """What an HTTP answer means. Only 2xx is a receipt; a redirect is a failure, because we do not follow it."""
    if 200 <= status < 300:
        return Receipt(response_status=status)
    kind, code = FailureKind.TRANSIENT, f"http_{status}"
    if status == GONE:
        kind = FailureKind.GONE
    elif status in {TOO_MANY, UNAVAILABLE} and retry_after is not None:
        kind = FailureKind.THROTTLED
    return Failure(kind=kind, code=code, retry_after=retry_after, response_status=status)


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """`Retry-After` in seconds or as a date (RFC 9110, 10.2.3); None for anything else. Never negative."""
    from email.utils import parsedate_to_datetime

    if header is None:
        return None
    words = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", words, re.ASCII):
        return timedelta(seconds=int(words))
    try:
        at = parsedate_to_datetime(words)
        return max(timedelta(0), at - now)
    except (ValueError, TypeError, OverflowError):
        return None
