"""How much is open at this moment, in the whole installation: what its operators are alerted by."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """So many things of one kind are open. No organisation is named."""

    measure: str
    """`interactions`, `handoffs`, `handoffs_overdue`, `untold`, `deliveries`, `unknown_effects`, `legal_holds`;
    `unsealed` and `rolled` count organisations, `retention` its unfinished runs."""
    kind: str
    count: int
    since: datetime | None
    """The oldest of them."""
