"""Clocks: what their moments add up to, in whatever calendar, however often somebody looks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.calendar import Calendar, business_elapsed
from domain.clock import Clock, ClockKind, ClockState, Moment, Turn, clock_from, heard
from domain.sla import Happened, SlaAction, SlaPolicy, clocks_of, next_step
from domain.values import Plan, Priority

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
HOUR = timedelta(hours=1)
OFFICE = Calendar(id="office", version=1, time_zone="Europe/Paris", opening_hours="Mo-Fr 09:00-18:00")
POLICY = SlaPolicy.shipped()


def started(target: timedelta = 4 * HOUR, calendar: Calendar = OFFICE) -> Clock:
    clock = clock_from(ClockKind.RESOLUTION, [Moment(NOW, Turn.START, target, calendar)])
    assert clock is not None
    return clock


def test_it_is_due_when_its_target_of_open_time_is_spent() -> None:
    assert started().due_at == NOW + 4 * HOUR
    assert started(6 * HOUR).due_at == datetime(2026, 11, 23, 9, tzinfo=UTC)  # 5 h on Friday, 1 h on Monday


def test_a_calendar_that_ends_does_not_keep_what_waits_from_coming_due() -> None:
    ends = Calendar(opening_hours="2026 Nov 20 09:00-14:00")
    assert started(HOUR, ends).due_at == NOW + HOUR
    assert started(4 * HOUR, ends).due_at == NOW + 4 * HOUR, "two hours are left, then every second counts"
    over = started(4 * HOUR, Calendar(opening_hours="2026 Nov 20 09:00-11:00"))
    assert over.due_at == NOW + 4 * HOUR
    assert [over.reaches(share) for share in (0.5, 1.5)] == [NOW + 2 * HOUR, NOW + 6 * HOUR]


def test_while_it_is_paused_nothing_is_due_and_nothing_is_spent() -> None:
    paused = heard(started(), Moment(NOW + HOUR, Turn.PAUSE))
    assert (paused.due_at, paused.state(NOW + 99 * HOUR)) == (None, ClockState.PAUSED)
    assert paused.elapsed(NOW + 99 * HOUR) == HOUR
    resumed = heard(paused, Moment(NOW + 72 * HOUR, Turn.RESUME))
    assert resumed.due_at == NOW + 75 * HOUR


def test_one_that_is_stopped_in_time_is_met_and_one_that_is_stopped_late_was_missed_when_it_was_due() -> None:
    met = heard(started(), Moment(NOW + 4 * HOUR - timedelta(seconds=1), Turn.STOP))
    late = heard(started(), Moment(NOW + 5 * HOUR, Turn.STOP))
    assert met.state(NOW + 9 * HOUR) is ClockState.MET
    assert (late.state(NOW + 9 * HOUR), late.missed_at) == (ClockState.BREACHED, NOW + 4 * HOUR)


def test_a_new_target_keeps_what_was_spent() -> None:
    shorter = heard(started(), Moment(NOW + HOUR, Turn.RETARGET, 2 * HOUR))
    assert shorter.due_at == NOW + 2 * HOUR
    longer = heard(started(), Moment(NOW + HOUR, Turn.RETARGET, 5 * HOUR, OFFICE))
    assert longer.due_at == NOW + 5 * HOUR


def test_a_target_shorter_than_what_was_spent_is_due_at_once_and_not_before() -> None:
    changed = heard(started(), Moment(NOW + 3 * HOUR, Turn.RETARGET, HOUR))
    assert changed.due_at == NOW + 3 * HOUR


def test_another_calendar_counts_from_the_change_on() -> None:
    always = Calendar(id="always")
    changed = heard(started(8 * HOUR), Moment(NOW + HOUR, Turn.RETARGET, None, always))
    assert changed.due_at == NOW + 8 * HOUR


def test_a_zone_whose_rules_change_meanwhile_moves_the_due_time() -> None:
    """What a new release of the time zone data does: the wall clock of the calendar shows something else."""
    before = started(6 * HOUR)
    moved = heard(before, Moment(NOW + HOUR, Turn.RETARGET, None, OFFICE.model_copy(update={"time_zone": "UTC"})))
    assert before.due_at == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert moved.due_at == NOW + 6 * HOUR  # open until 18:00 UTC on Friday


turns = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.sampled_from([Turn.PAUSE, Turn.RESUME, Turn.RETARGET, Turn.STOP]),
        st.integers(1, 40),
    ),
    max_size=8,
)


def moments(steps: list[tuple[int, Turn, int]]) -> list[Moment]:
    return [
        Moment(NOW + hours * HOUR, turn, target * HOUR) for hours, turn, target in sorted(steps, key=lambda s: s[0])
    ]


@settings(deadline=None)
@given(turns)
def test_folding_at_once_and_hearing_one_by_one_are_the_same(steps: list[tuple[int, Turn, int]]) -> None:
    heard_all = moments(steps)
    clock = started()
    for moment in heard_all:
        clock = heard(clock, moment)
    assert clock_from(ClockKind.RESOLUTION, [Moment(NOW, Turn.START, 4 * HOUR, OFFICE), *heard_all]) == clock


@settings(deadline=None)
@given(turns)
def test_what_was_spent_is_the_open_time_it_ran(steps: list[tuple[int, Turn, int]]) -> None:
    running, since, total = True, NOW, timedelta(0)
    for moment in moments(steps):
        if running:
            total += business_elapsed(OFFICE, since, moment.at)
        since = moment.at
        running = {Turn.PAUSE: False, Turn.RESUME: True}.get(moment.turn, running)
        if moment.turn is Turn.STOP:
            running = False
            break
    end = NOW + 300 * HOUR
    total += business_elapsed(OFFICE, since, end) if running else timedelta(0)
    clock = clock_from(ClockKind.RESOLUTION, [Moment(NOW, Turn.START, 4 * HOUR, OFFICE), *moments(steps)])
    assert clock is not None
    assert clock.elapsed(end) == total


class TestPolicy:
    def test_the_shipped_one_is_complete_and_a_broken_one_is_refused(self) -> None:
        good = POLICY.model_dump(mode="json")
        for changes in (
            {"plans": {"pro": good["plans"]["pro"]}},
            {"priorities": {**good["priorities"], "urgent": 3}},
            {"ladder": [good["ladder"][1], good["ladder"][0]]},
            {"ladder": [good["ladder"][0]]},
        ):
            with pytest.raises(ValidationError):
                SlaPolicy.model_validate({**good, **changes})

    def test_a_better_plan_and_a_higher_priority_never_wait_longer(self) -> None:
        for kind in ClockKind:
            plans = [POLICY.target(kind, plan, Priority.NORMAL) for plan in Plan]
            assert plans == sorted(plans, reverse=True)
            urgency = [POLICY.target(kind, Plan.PRO, priority) for priority in Priority]
            assert urgency == sorted(urgency, reverse=True)


def happened(kind: str, hours: float, **more: object) -> Happened:
    return Happened(NOW + hours * HOUR, kind, **more)  # type: ignore[arg-type]  # a table of entries


def clocks(*history: Happened) -> dict[ClockKind, Clock]:
    made = clocks_of(POLICY, Plan.PRO, Priority.NORMAL, Calendar(), NOW, history)
    return {clock.kind: clock for clock in made}


def test_history_drives_the_three_clocks() -> None:
    fresh = clocks()
    assert [c.due_at for c in fresh.values()] == [NOW + n * HOUR for n in (1, 2, 8)]
    told = clocks(happened("claimed", 0.5), happened("operator_message", 1), happened("waiting_for_customer", 1))
    assert [c.state(NOW + 99 * HOUR) for c in told.values()] == [ClockState.PAUSED, ClockState.MET, ClockState.PAUSED]
    back = clocks(happened("claimed", 0.5), happened("released", 5), happened("customer_answered", 6))
    assert back[ClockKind.CLAIM].due_at == NOW + 5.5 * HOUR
    ended = clocks(happened("claimed", 0.5), happened("resolved", 1))
    assert {c.state(NOW + 99 * HOUR) for c in ended.values()} == {ClockState.MET}


def test_another_priority_shortens_every_running_clock() -> None:
    urgent = clocks(happened("reprioritised", 0.1, priority=Priority.URGENT))
    assert urgent[ClockKind.RESOLUTION].due_at == NOW + 2 * HOUR


def test_the_ladder_is_climbed_step_by_step_each_once() -> None:
    done: set[str] = set()
    seen = []
    while step := next_step(POLICY, list(clocks().values()), done):
        assert step.name not in done
        done.add(step.name)
        seen.append((step.at, step.name))
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)
    assert [name for _, name in seen[:3]] == ["claim@0.8", "claim@1", "claim@1.5"]
    assert len(seen) == len(ClockKind) * len(POLICY.ladder)


def test_a_breach_nobody_noticed_before_the_end_is_still_owed() -> None:
    late = clocks(happened("resolved", 3))
    steps = {s.name for s in [next_step(POLICY, list(late.values()), ())] if s}
    assert steps == {"claim@1"}
    step = next_step(POLICY, list(late.values()), {"claim@1"})
    assert step is not None
    assert (step.name, step.at) == ("first_response@1", NOW + 2 * HOUR)
    assert next_step(POLICY, list(late.values()), {"claim@1", "first_response@1"}) is None
    assert SlaAction.BREACH in step.step.do
