"""How sure is sure enough. Confidence can only hold back: no value of it raises a limit or opens a tool."""

import math
from enum import StrEnum

from pydantic import Field, model_validator

from domain.tools.tool import Risk
from domain.values import Value


class Band(StrEnum):
    """What a confidence allows."""

    ASK = "ask"
    """Not sure enough: a person decides."""
    ACT = "act"
    """Sure enough for the other rules to decide."""


class Bands(Value):
    """The confidence from which an agent may act by itself, by risk. What is not listed needs a person."""

    act_from: dict[Risk, float] = {Risk.LOW: 0.5, Risk.MEDIUM: 0.6, Risk.HIGH: 0.7}
    """Inclusive, between 0 and 1."""
    large_amount: int = Field(default=10_000, ge=0)
    """Minor units above which `act_from_large` is needed as well."""
    act_from_large: float = Field(default=0.8, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _within_one(self) -> "Bands":
        if not all(0.0 <= needed <= 1.0 for needed in self.act_from.values()):
            raise ValueError("a confidence is between 0 and 1")
        return self

    def needed(self, risk: Risk, amount: int = 0) -> float:
        """The least confidence that may act. Infinite, hence out of reach, for a risk that is not listed."""
        needed = self.act_from.get(risk, math.inf)
        return max(needed, self.act_from_large) if amount > self.large_amount else needed

    def band(self, confidence: object, risk: Risk, amount: int = 0) -> Band:
        """Whether `confidence` is enough. Anything that is not a number from 0 to 1 counts as zero."""
        return Band.ACT if certainty(confidence) >= self.needed(risk, amount) else Band.ASK


def certainty(confidence: object) -> float:
    """`confidence` if it is a number from 0 to 1, otherwise 0: `None`, `NaN`, `2`, `"1.0"` and `True` say nothing."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float):
        return 0.0
    return float(confidence) if 0.0 <= confidence <= 1.0 else 0.0
