"""The six steps of the reference interaction with no product around them: what every floor does.

1 classify, 2 policy, 3 verification, 4 a ticket, 5 a delivery, 6 the interaction with its reply. Steps 1 to 3 are
pure; 4 to 6 are one row each, written once per key. The floors classify with the product's own model.
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adapters.llm.embedded import EmbeddedIntentModel
from domain.understanding.intents import EXAMPLES
from domain.understanding.understand import understand

MODELS = "BENCH_MODELS"
"""Names the folder in which the floors share one trained model."""
REPLY = "Thank you for telling us. We opened ticket {ticket} for it and will come back to you here."
_CLAIM = re.compile(r"\b(?:tkt_[0-9a-f]{8}|[A-Z]{3} \d+\.\d\d|https?://\S+)")


@dataclass(frozen=True)
class Asked:
    """One message, and the key under which it is done once."""

    organisation: str
    customer: str
    request: str
    message: str

    @property
    def key(self) -> str:
        return f"{self.organisation}:{self.customer}:{self.request}"


@dataclass(frozen=True)
class Understood:
    intent: str
    confidence: float
    wants_human: bool


@dataclass(frozen=True)
class Decided:
    outcome: str
    priority: str
    reasons: list[str]


@dataclass(frozen=True)
class TicketInput:
    asked: Asked
    topic: str
    priority: str


@dataclass(frozen=True)
class ReplyInput:
    reply: str
    backed_by: list[str]


@dataclass(frozen=True)
class DeliveryInput:
    asked: Asked
    reply: str


@dataclass(frozen=True)
class Answer:
    """What the caller is told."""

    status: str
    intent: str
    outcome: str
    ticket: str
    reply: str


@dataclass(frozen=True)
class StoreInput:
    asked: Asked
    answer: Answer


@cache
def model() -> EmbeddedIntentModel:
    """The trained model; call it once at start, so that no request waits for the training."""
    trained = EmbeddedIntentModel(EXAMPLES, Path(os.environ[MODELS]))
    trained.warm()
    return trained


def classify(message: str) -> Understood:
    """Step 1."""
    found = understand(message, model())
    return Understood(found.intent.value, found.confidence, found.wants_human)


def decide(understood: Understood) -> Decided:
    """Step 2. Everything but a clear technical issue would go to a person."""
    if understood.wants_human:
        return Decided("ask_human", "high", ["customer_asked_for_human"])
    if understood.intent != "technical_issue" or understood.confidence < 0.5:
        return Decided("ask_human", "normal", ["not_sure"])
    return Decided("proceed", "normal", ["within_limit"])


def compose(ticket: str) -> str:
    return REPLY.format(ticket=ticket)


def verify(draft: ReplyInput) -> list[str]:
    """Step 3. The claims of the reply that nothing backs."""
    return [claim for claim in _CLAIM.findall(draft.reply) if claim not in draft.backed_by]


def answer(understood: Understood, decided: Decided, ticket: str, reply: str, unbacked: list[str]) -> Answer:
    """The whole answer. Whatever is not clearly done waits for a person."""
    done = decided.outcome == "proceed" and not unbacked
    return Answer("completed" if done else "waiting_for_human", understood.intent, decided.outcome, ticket, reply)
