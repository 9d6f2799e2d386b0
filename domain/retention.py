"""How long what was said is kept, by class of data, and what keeps it longer: a legal hold."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.errors import Conflict, NotFound, RequestInvalid
from domain.values import Value


class HoldNotFound(NotFound):
    code = "hold_not_found"


class LegalHold(Conflict):
    """Somebody's data must be kept. `details["hold"]` is the id of what says so."""

    code = "legal_hold"


class DataClass(StrEnum):
    """What has a time of its own. Nothing that is still open is of any class, however old it is."""

    MESSAGES = "messages"
    INTERACTIONS = "interactions"
    HANDOFFS = "handoffs"
    DELIVERIES = "deliveries"
    NOTIFICATIONS = "notifications"
    SIGN_INS = "sign_ins"


class Ending(StrEnum):
    DELETED = "deleted"
    """The rows are gone."""
    EMPTIED = "emptied"
    """Every word in them is overwritten; ids, codes, numbers and times stay."""


class Rule(NamedTuple):
    """What holds for one class. Days count from the moment a row was finished with."""

    default: int
    least: int
    most: int
    ending: Ending
    covers: str
    keeps: str
    """What stays when its time is over."""


YEARS = 3_650
RULES: Mapping[DataClass, Rule] = {
    DataClass.MESSAGES: Rule(
        365, 30, YEARS, Ending.DELETED,
        "What people wrote to customers, and what happened to the conversation, once nothing in it is open.",
        "The conversation itself, which has no words.",
    ),
    DataClass.INTERACTIONS: Rule(
        365, 30, YEARS, Ending.EMPTIED,
        "What customers asked and were answered, by request id; what was known, suggested and decided; what tools were"
        " given and gave back.",
        "Who, when, the outcome, codes of reasons, amounts, the ledger. A repeat of the request is a new request.",
    ),
    DataClass.HANDOFFS: Rule(
        365, 30, YEARS, Ending.EMPTIED,
        "What people were shown, answered, changed and noted; links and presence are deleted.",
        "Who decided what, and when.",
    ),
    DataClass.DELIVERIES: Rule(
        180, 30, YEARS, Ending.EMPTIED,
        "What was sent, and where to.",
        "That it was sent, each attempt, and what became of it.",
    ),
    DataClass.NOTIFICATIONS: Rule(
        90, 7, YEARS, Ending.DELETED, "What operators were told in the console, and who read it.", "Nothing."
    ),
    DataClass.SIGN_INS: Rule(
        90, 1, YEARS, Ending.DELETED,
        "Sessions and customers' tokens that are over, and counts of failed sign-ins.",
        "Who signed in when is in the audit.",
    ),
}  # fmt: skip
"""All there are. The audit is of no class: it holds nothing personal, and its chain must stay whole. Neither are the
ledger, consents, rollups and receipts of erasures: they end with the customer, or say nothing of anybody."""


class RetentionResult(Value):
    """What one run of the schedule did."""

    rows: int
    done: bool
    """Nothing whose time is over is left, but for what is held."""


def checked(days: Mapping[DataClass, int]) -> dict[DataClass, int]:
    """The days, if every class may be kept so long; else `RequestInvalid` names those that may not."""
    wrong = [each.value for each, n in days.items() if not RULES[each].least <= n <= RULES[each].most]
    if wrong:
        raise RequestInvalid("these classes may not be kept so long, or so short", fields=[f"days.{w}" for w in wrong])
    return dict(days)


def days_of(said: Mapping[DataClass, int]) -> dict[DataClass, int]:
    """For every class what was said, or its default."""
    return {each: said.get(each, rule.default) for each, rule in RULES.items()}


def ends_before(days: int, now: datetime) -> datetime:
    """What was finished with before this moment has had its time."""
    return now - timedelta(days=days)
