"""A person's own answer to what was handed to them: words for the customer, or a correction for the agent."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from api.fields import Body, Flag, MoneyBody, Note, Reply
from domain.correction import Correction
from domain.values import Json


class CorrectionWord(Correction):
    """What was meant. A member of the amount that we do not know is refused like any other."""

    amount: MoneyBody | None = None  # type: ignore[assignment]  # the same two members, and no third


class ResolveBody(Body):
    """Either `reply`: your words, which go out as written. Or `continue` with a `correction`: the agent goes on from
    what you say was meant, under the same rules; what needs approval still needs it."""

    reply: Reply | None = None
    continue_: Annotated[Flag, Field(alias="continue")] = False
    correction: CorrectionWord | None = None
    keep: Flag = False
    """Keep the conversation that came with your claim: the agent stays silent until you give it back."""
    note: Note | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.reply is None) is not self.continue_ or (self.correction is None) is self.continue_:
            raise ValueError("send reply, or continue: true with a correction")
        return self

    @property
    def words(self) -> Json:
        """As it is kept with the decision."""
        said: Json = self.model_dump(mode="json", exclude_none=True, include={"reply", "note"})
        if self.correction is not None:
            correction = self.correction.model_dump(mode="json", exclude_none=True)
            said |= {"continue": True, "correction": correction}
        return said | ({"keep": True} if self.keep else {})
