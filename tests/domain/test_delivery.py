"""When a delivery is tried again, when it is given up, and when a message may leave."""

import json
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.consent import Consent, MessageClass, Never, Now, QuietHours, Until, may_send, zone_of
from domain.delivery import (
    EMAIL,
    LONGEST_WAIT,
    OTHERWISE,
    SCHEDULES,
    WEBHOOK,
    Again,
    Failure,
    FailureKind,
    GiveUp,
    next_attempt,
    schedule_of,
)
from domain.webhook import NewNotification, NotificationKind, chat_body

TRANSIENT = Failure(kind=FailureKind.TRANSIENT, code="http_500")
HOUR = timedelta(hours=1)


def waits(channel: str, failure: Failure = TRANSIENT, dice: float = 0.5) -> list[float]:
    """The whole schedule of a channel, in seconds, as long as every attempt fails."""
    found, made = [], 1
    while isinstance(step := next_attempt(schedule_of(channel), made, failure, dice), Again):
        found.append(step.wait.total_seconds())
        made += 1
    assert step == GiveUp("attempts_used_up")
    return found


def test_the_schedules_are_as_documented() -> None:
    assert waits(WEBHOOK) == [5, 30, 120, 600, 3600, 21_600, 86_400]
    assert waits(EMAIL) == [60, 300, 1800, 7200, 28_800]


@pytest.mark.parametrize("channel", SCHEDULES)
@given(dice=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_a_fifth_either_way(channel: str, dice: float) -> None:
    for wait, planned in zip(waits(channel, dice=dice), waits(channel), strict=True):
        assert 0.8 * planned <= wait <= 1.2 * planned


def test_jitter_spreads_what_failed_together() -> None:
    assert len({waits(WEBHOOK, dice=n / 10)[0] for n in range(10)}) == 10


@pytest.mark.parametrize("kind", [FailureKind.PERMANENT, FailureKind.REFUSED_BY_POLICY, FailureKind.GONE])
def test_what_will_not_arrive_is_not_tried_again(kind: FailureKind) -> None:
    step = next_attempt(schedule_of(WEBHOOK), 1, Failure(kind=kind, code="smtp_550"), 0.5)
    assert step == GiveUp("gone" if kind is FailureKind.GONE else "smtp_550")


def test_what_may_have_arrived_is_repeated_only_where_a_repeat_is_recognised() -> None:
    unknown = Failure(kind=FailureKind.AMBIGUOUS)
    assert isinstance(next_attempt(schedule_of(WEBHOOK), 1, unknown, 0.5), Again)
    assert next_attempt(OTHERWISE, 1, unknown, 0.5) == GiveUp("outcome_unknown")
    assert schedule_of("pigeon") is OTHERWISE


@given(st.integers(0, 10**9), st.integers(1, 7), st.floats(0, 1, exclude_max=True))
def test_a_receiver_is_never_asked_before_it_wants_to_be_and_never_has_us_wait_for_ever(
    seconds: int, made: int, dice: float
) -> None:
    asked = timedelta(seconds=seconds)
    throttled = Failure(kind=FailureKind.THROTTLED, code="http_429", retry_after=asked)
    step = next_attempt(schedule_of(WEBHOOK), made, throttled, dice)
    planned = next_attempt(schedule_of(WEBHOOK), made, TRANSIENT, dice)
    assert isinstance(step, Again)
    assert isinstance(planned, Again)
    assert step.wait == max(planned.wait, min(asked, LONGEST_WAIT))


def test_an_unreadable_failure_reads_as_it_may_have_arrived() -> None:
    assert Failure.model_validate({}).kind is FailureKind.AMBIGUOUS


BERLIN, QUIET = ZoneInfo("Europe/Berlin"), QuietHours()


def gate(
    message: MessageClass, consent: Consent | None, clock: str, zone: ZoneInfo = BERLIN, quiet: QuietHours = QUIET
) -> Now | Until | Never:
    now = datetime.fromisoformat(clock).replace(tzinfo=zone).astimezone(UTC)
    return may_send(message, consent, now, quiet=quiet, zone=zone)


def test_an_answer_leaves_at_any_hour_without_being_asked_for() -> None:
    for consent in (None, Consent.GRANTED, Consent.WITHDRAWN):
        assert gate(MessageClass.TRANSACTIONAL, consent, "2026-11-20T03:00") == Now()
    assert gate(MessageClass.TRANSACTIONAL, Consent.BLOCKED, "2026-11-20T12:00") == Never("channel_blocked")


def test_our_own_ideas_need_a_yes_and_wait_for_the_morning() -> None:
    for consent in (None, Consent.WITHDRAWN):
        assert gate(MessageClass.PROACTIVE, consent, "2026-11-20T12:00") == Never("consent_missing")
    assert gate(MessageClass.PROACTIVE, Consent.BLOCKED, "2026-11-20T12:00") == Never("channel_blocked")
    assert gate(MessageClass.PROACTIVE, Consent.GRANTED, "2026-11-20T12:00") == Now()
    tomorrow = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
    assert gate(MessageClass.PROACTIVE, Consent.GRANTED, "2026-11-20T21:00") == Until(tomorrow)
    assert gate(MessageClass.PROACTIVE, Consent.GRANTED, "2026-11-21T07:59:59") == Until(tomorrow)
    assert gate(MessageClass.PROACTIVE, Consent.GRANTED, "2026-11-21T08:00") == Now()


def test_machines_and_operators_are_told_at_any_hour() -> None:
    assert gate(MessageClass.OPERATIONAL, Consent.BLOCKED, "2026-11-20T03:00") == Now()


@given(st.integers(0, 366 * 24 * 60), st.sampled_from(["Europe/Berlin", "America/New_York"]))
def test_where_it_waits_it_may_leave_right_then_also_across_clock_changes(minute: int, name: str) -> None:
    zone = ZoneInfo(name)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    step = may_send(MessageClass.PROACTIVE, Consent.GRANTED, at, quiet=QUIET, zone=zone)
    if isinstance(step, Until):
        assert at < step.at <= at + timedelta(hours=12)
        assert step.at.astimezone(zone).time() == QUIET.end
        assert may_send(MessageClass.PROACTIVE, Consent.GRANTED, step.at, quiet=QUIET, zone=zone) == Now()


def test_quiet_hours_may_lie_within_a_day() -> None:
    noon = QuietHours(start=time(12), end=time(14))
    assert gate(MessageClass.PROACTIVE, Consent.GRANTED, "2026-11-20T11:59", quiet=noon) == Now()
    held = gate(MessageClass.PROACTIVE, Consent.GRANTED, "2026-11-20T13:00", quiet=noon)
    assert held == Until(datetime(2026, 11, 20, 13, 0, tzinfo=UTC))


def test_an_unknown_time_zone_is_utc() -> None:
    for name in (None, "", "Europe", "Nowhere/City", "../etc/passwd", "x" * 300):
        assert zone_of(name) == ZoneInfo("UTC")


@pytest.mark.parametrize("kind", NotificationKind)
def test_a_chat_room_has_words_for_everything_it_may_subscribe_to(kind: NotificationKind) -> None:
    line = json.loads(
        chat_body(
            NewNotification(kind, "hnd_1", datetime(2026, 11, 20, 12, tzinfo=UTC), {"priority": "high", "reason": None})
        )
    )
    assert line["text"].endswith(": hnd_1 (priority high)")
    assert line["text"][0].isupper()
