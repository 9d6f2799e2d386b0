"""Whether a message may leave now: what the customer agreed to, and when they want to be left alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class MessageClass(StrEnum):
    """Why a message is sent: what it needs before it may leave."""

    TRANSACTIONAL = "transactional"
    """The answer to what the customer asked, where they asked it."""
    PROACTIVE = "proactive"
    """Our own idea: needs consent, and waits until the quiet hours are over."""
    OPERATIONAL = "operational"
    """To machines and operators: nobody is disturbed."""


class Consent(StrEnum):
    """What a customer said about one channel, the last time they said anything."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    """No more of our own ideas; answers are welcome."""
    BLOCKED = "blocked"
    """Nothing at all."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end` by the customer's clock, over midnight if `end` is earlier."""

    start: time = time(21)
    end: time = time(8)


@dataclass(frozen=True, slots=True)
class Now:
    pass


@dataclass(frozen=True, slots=True)
class Until:
    at: datetime


@dataclass(frozen=True, slots=True)
class Never:
    code: str


def may_send(
    message: MessageClass, consent: Consent | None, now: datetime, *, quiet: QuietHours, zone: ZoneInfo
) -> Now | Until | Never:
    """Whether a message may leave now. Silence is consent to answers and to nothing else."""
    if message is MessageClass.OPERATIONAL:
        return Now()
    if consent is Consent.BLOCKED:
        return Never("channel_blocked")
    if message is MessageClass.TRANSACTIONAL:
        return Now()
    if consent is not Consent.GRANTED:
        return Never("consent_missing")
    return _quiet_until(now, quiet, zone)


def _quiet_until(now: datetime, quiet: QuietHours, zone: ZoneInfo) -> Now | Until:
    here = now.astimezone(zone)
    clock = here.time().replace(tzinfo=None)
    over_midnight = quiet.end <= quiet.start
    late, early = clock >= quiet.start, clock < quiet.end
    if not ((late or early) if over_midnight else (late and early)):
        return Now()
    day = here.date() + timedelta(days=1 if over_midnight and late else 0)
    return Until(datetime.combine(day, quiet.end, tzinfo=zone).astimezone(UTC))


def zone_of(name: str | None) -> ZoneInfo:
    """The customer's time zone; UTC where none is known."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
