"""What a dashboard says. `domain.tally` makes one of what was counted."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.values import Value

TIME_BOUNDS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200, 86_400, 259_200, 604_800)
"""Bounds between the buckets of a duration. Counts are kept per bucket: change them only together with a recount."""
CONFIDENCE_STEPS = 10
AGES = (("under 5 min", 300), ("under 1 h", 3_600), ("under 4 h", 14_400), ("under 1 d", 86_400), ("older", None))
"""How long something has been waiting, in words and seconds."""
LONGEST = timedelta(days=92)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Counted:
    """So many facts of one kind; of the whole window, or of one step of it."""

    metric: str
    words: tuple[str, ...]
    bucket: int
    count: int
    sum: float
    at: datetime | None = None
    """The beginning of the step."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many things that are open, of one kind and age."""

    what: str
    state: str
    age: int
    """An index into `AGES`."""
    count: int
    since: datetime


class Window(Value):
    """Whole hours; what is shown by the day begins with one."""

    begin: datetime
    end: datetime

    @classmethod
    def around(cls, begin: datetime, end: datetime) -> "Window":
        """Widened until it is one."""
        begin = begin.replace(minute=0, second=0, microsecond=0)
        end = (end + HOUR - datetime.resolution).replace(minute=0, second=0, microsecond=0)
        window = cls(begin=begin, end=end)
        return window if window.step < DAY else cls(begin=begin.replace(hour=0), end=end)

    @property
    def step(self) -> timedelta:
        """What one point of a series stands for: a hundred points say enough."""
        length = self.end - self.begin
        return next((s for s in (HOUR, 6 * HOUR) if length <= 100 * s), DAY)


class Durations(Value):
    count: int = 0
    mean: float | None = None
    p50: float | None = None
    """Percentiles are read off buckets: right within one of them."""
    p90: float | None = None
    p99: float | None = None


class Bar(Value):
    below: float | None = None
    """None: everything above."""
    count: int = 0


class Backlog(Value):
    what: str
    """`interactions`, `handoffs`, `handoffs_overdue`, `deliveries` or `effects`."""
    state: str
    count: int
    oldest_at: datetime
    ages: dict[str, int]


class Point(Value):
    at: datetime
    count: int


class Interactions(Value):
    """Live ones, except where it says otherwise."""

    received: int = 0
    answered: int = 0
    outcomes: dict[str, int] = {}
    intents: dict[str, int] = {}
    finished: dict[str, int] = {}
    shadow: int = 0
    replays: int = 0
    """Answers that were given again, in either mode."""
    escalation_rate: float | None = None
    """Answers that needed a person, of all answers."""
    replay_rate: float | None = None
    """Repeats, of all answers given."""


class Policy(Value):
    outcome: str
    rule: str
    code: str
    count: int


class Dashboard(Value):
    """One organisation's window. Times in it are seconds."""

    begin: datetime
    end: datetime
    counted_until: datetime | None = None
    """Rolled up until then; what came after was counted for this answer."""
    step_seconds: int = 3_600
    interactions: Interactions = Interactions()
    times: dict[str, Durations] = {}
    """`answer`, `resolution` of an interaction; `claim`, `response`, `decision` of a handoff; `delivery`."""
    confidence: tuple[Bar, ...] = ()
    unverified: dict[str, int] = {}
    """What verification found, by check."""
    policies: tuple[Policy, ...] = ()
    """The deciding rule of each decision, most frequent first."""
    handoffs: dict[str, int] = {}
    """Opened, by kind."""
    reasons: dict[str, int] = {}
    decided: dict[str, dict[str, int]] = {}
    """By kind and decision."""
    breaches: dict[str, int] = {}
    """By clock."""
    effects: dict[str, dict[str, int]] = {}
    """What the ledger recorded, by tool and state."""
    deliveries: dict[str, dict[str, int]] = {}
    """What happened to messages, by channel and event."""
    backlog: tuple[Backlog, ...] = ()
    """As it stands now, whatever the window."""
    series: dict[str, tuple[Point, ...]] = {}
