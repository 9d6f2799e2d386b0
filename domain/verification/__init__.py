"""Checks what is to be done before it is done, and what is to be said before it is said.

`verify_action` runs before any effect, `verify_reply` before any outlet. One file per claim; a new rule adds its line
to `ALL_RULES`. Beside the rules stand what they share: `evidence` (what backs a claim), `reading` (a reply made ready),
`notation` (how amounts, dates and invoices are written), `spoken_actions` (how doing is spoken of) and `actions`.
"""

from collections.abc import Callable, Iterable

from domain.decision import Issue
from domain.verification.account_state import check_account_state
from domain.verification.actions import verify_action
from domain.verification.amounts import check_amounts
from domain.verification.claimed_actions import check_claimed_actions
from domain.verification.dates import check_dates
from domain.verification.evidence import DoneAction, Evidence
from domain.verification.links import check_links
from domain.verification.personal_data import check_personal_data
from domain.verification.promises import check_promises
from domain.verification.readable import check_readable
from domain.verification.reading import MAX_REPLY, Reading, read

Rule = Callable[[Reading, Evidence], Iterable[Issue]]

ALL_RULES: tuple[Rule, ...] = (
    check_readable,
    check_amounts,
    check_account_state,
    check_claimed_actions,
    check_promises,
    check_dates,
    check_personal_data,
    check_links,
)


def verify_reply(reply: str, evidence: Evidence) -> tuple[Issue, ...]:
    """Every claim of a reply that evidence does not back, each code once; empty if the reply may leave.

    Deterministic, never raises on any text, and bounded: an overlong reply is refused unread.
    """
    reading = read(reply[: MAX_REPLY + 1])
    rules: tuple[Rule, ...] = (check_readable,) if len(reply) > MAX_REPLY else ALL_RULES
    found = {(issue.check, issue.code): issue for rule in rules for issue in rule(reading, evidence)}
    return tuple(found.values())


__all__ = ["ALL_RULES", "DoneAction", "Evidence", "Rule", "verify_action", "verify_reply"]
