"""How sure it is that a message comes from the customer it names, and what that is enough for."""

from collections.abc import Iterable
from enum import StrEnum

from domain.values import Intent


class Assurance(StrEnum):
    """How it is known who writes. `is_enough` compares; the names say where it comes from."""

    NONE = "none"
    """Somebody says so: a page anybody can open, an address nobody verified."""
    CHANNEL = "channel"
    """The message came from an address that this customer once proved to read. Senders can be forged."""
    CODE = "code"
    """The customer gave back a code that was sent to a verified address, for this very request."""
    VOUCHED = "vouched"
    """The organisation says that it knows: its own program or operator passes the message on."""
    TOKEN = "token"
    """The customer's own token, which the organisation's server asked for."""

    def is_enough(self, needed: "Assurance") -> bool:
        return _STRENGTH[self] >= _STRENGTH[needed]


_STRENGTH = {Assurance.NONE: 0, Assurance.CHANNEL: 1, Assurance.CODE: 2, Assurance.VOUCHED: 3, Assurance.TOKEN: 3}

INTENTS: dict[Intent, Assurance] = {
    Intent.REFUND_REQUEST: Assurance.CODE,
    Intent.CANCELLATION: Assurance.CODE,
    Intent.BILLING_QUESTION: Assurance.CHANNEL,
    Intent.ACCOUNT_QUESTION: Assurance.CHANNEL,
    Intent.ORDER_STATUS: Assurance.CHANNEL,
    Intent.APPOINTMENT_BOOKING: Assurance.CHANNEL,
    Intent.APPOINTMENT_CHANGE: Assurance.CHANNEL,
    Intent.TECHNICAL_ISSUE: Assurance.NONE,
    Intent.COMPLAINT: Assurance.NONE,
    Intent.HUMAN_REQUEST: Assurance.NONE,
    Intent.GREETING: Assurance.NONE,
    Intent.OTHER: Assurance.NONE,
}
"""What a request of this kind needs, whatever comes of it: its answer tells of the account, even where it is no."""
TOOLS: dict[str, Assurance] = {
    "issue_refund": Assurance.CODE,
    "get_account": Assurance.CHANNEL,
    "get_billing": Assurance.CHANNEL,
    "create_ticket": Assurance.NONE,
    "send_email": Assurance.NONE,
    "handoff_to_human": Assurance.NONE,
}
"""What calling a tool needs, whatever it was asked as. The mail goes to the customer's own address only."""
UNLISTED = Assurance.CODE
"""What a tool needs that somebody added and nobody listed."""


def needed_for(intent: Intent, tools: Iterable[str]) -> Assurance:
    """The strongest of what intent and tools need."""
    needs = [INTENTS.get(intent, UNLISTED), *(TOOLS.get(name, UNLISTED) for name in tools)]
    return max(needs, key=_STRENGTH.__getitem__)
