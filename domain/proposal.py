"""What is suggested, by rules, by the embedded model, by a language model or from outside. Always untrusted."""

from enum import StrEnum

from pydantic import Field

from domain.values import Intent, Json, MinorUnits, Value


class Source(StrEnum):
    """Who made the suggestion."""

    RULES = "rules"
    EMBEDDED = "embedded"
    MODEL = "model"
    EXTERNAL = "external"
    PERSON = "person"
    """An operator corrected what was understood."""


class Understanding(Value):
    """What one message seems to say. Small facts only: no free text, so it may stand in a workflow's history."""

    intent: Intent = Intent.OTHER
    confidence: float = Field(default=0.0, ge=0.0, le=1.0)
    """Calibrated share of cases in which this intent is right. Unknown is zero."""
    source: Source = Source.RULES
    invoice_id: str | None = None
    """The invoice the message names, as written by the customer: a claim, to be checked against facts."""
    amount: MinorUnits | None = None
    """The amount the message names, in minor units."""
    currency: str | None = None
    wants_human: bool = False
    """Found by rule, before any model: always honoured."""
    opts_out: bool = False
    """The customer asks not to be contacted."""
    suspicious: bool = False
    """The text carries markers of an attempt to instruct the agent. Changes no decision but the wish to be careful."""


class ProposedAction(Value):
    """One wanted tool call."""

    tool: str
    arguments: Json = {}


class Proposal(Value):
    """What somebody suggests we do. Defaults suggest nothing, with no confidence."""

    intent: Intent = Intent.OTHER
    confidence: float = Field(default=0.0, ge=0.0, le=1.0)
    actions: tuple[ProposedAction, ...] = ()
    reply: str | None = None
    """A draft. It leaves only if `domain.verification` finds every claim in it backed."""
    source: Source = Source.RULES
    confirmed: bool = False
    """The customer said yes to exactly these arguments."""
    wants_human: bool = False
