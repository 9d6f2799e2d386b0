"""What a person corrects so that the agent can go on: what the customer wants, about which invoice, how much.

A correction changes what was understood and nothing else. Rules, limits and approvals are those of any message."""

from typing import Annotated, Self

from pydantic import ConfigDict, StringConstraints, model_validator

from domain.interaction import InteractionRef
from domain.proposal import Source, Understanding
from domain.values import HandoffId, Intent, Json, Money, Value

MOST_CORRECTIONS = 3
"""Of one interaction. Who has corrected it so often answers it by hand."""
FIRST = "first"
"""The stage of the decision on the message as it came in."""
_CORRECTED = "corrected:"
_PROVEN = ":proven"


class Correction(Value):
    """What is left out stays as the message was understood."""

    model_config = ConfigDict(extra="forbid")

    intent: Intent | None = None
    invoice_id: (
        Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] | None
    ) = None
    amount: Money | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.intent is None and self.invoice_id is None and self.amount is None:
            raise ValueError("name what is to be corrected: intent, invoiceId or amount")
        return self


class CorrectInput(Value):
    """Judge again. What the correction says stays in Postgres, on the handoff."""

    interaction: InteractionRef
    handoff_id: HandoffId
    round: int
    """Counted from 1."""


def is_about_the_message(stage: str) -> bool:
    """Whether a decision of this stage judged what the customer asked for, at first or as corrected since."""
    return stage.removesuffix(_PROVEN) == FIRST or stage.startswith(_CORRECTED)


def stage_of_correction(number: int) -> str:
    """The stage of the decision a correction leads to."""
    return f"{_CORRECTED}{number}"


def stage_of_proof(corrections: int) -> str:
    """The stage of the decision after the customer proved who they are, so many corrections into it."""
    return (stage_of_correction(corrections) if corrections else FIRST) + _PROVEN


def correction_in(resolution: Json | None) -> Correction | None:
    """What a person's decision on a handoff tells the agent to go on with; nothing if it does not."""
    said = resolution or {}
    return Correction.model_validate(said["correction"]) if said.get("continue") is True else None


def continues(resolution: Json | None) -> bool:
    return (resolution or {}).get("continue") is True


def corrected(understanding: Understanding, correction: Correction) -> Understanding:
    """What the message means, as a person says. Certain, because a person vouches for it; certainty is no authority."""
    changes: Json = {"confidence": 1.0, "source": Source.PERSON, "wants_human": False}
    if correction.intent is not None:
        changes["intent"] = correction.intent
    if correction.invoice_id is not None:
        changes["invoice_id"] = correction.invoice_id
    if correction.amount is not None:
        changes |= {"amount": correction.amount.amount, "currency": correction.amount.currency}
    return understanding.model_copy(update=changes)
