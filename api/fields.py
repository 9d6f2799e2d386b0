"""The fields of requests, with their limits. A limit documented here is a limit enforced."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

from domain.currencies import CURRENCIES
from domain.values import MinorUnits, Money, Value

_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]+$"
MAX_KEY = 255
MAX_MESSAGE = 8_000

Key = Annotated[str, StringConstraints(min_length=1, max_length=MAX_KEY, pattern=_NO_CONTROLS)]
"""The caller's own string: a customer id, a request id. 1 to 255 characters, none of them a control character."""
ObjectId = Annotated[str, StringConstraints(min_length=5, max_length=64, pattern=r"^[a-z]{3}_[A-Za-z0-9]+$")]
"""One of our ids: a prefix and an opaque part."""
Message = Annotated[str, StringConstraints(min_length=1, max_length=MAX_MESSAGE, pattern=r"\S")]
"""What a customer wrote: 1 to 8,000 characters, not only white space."""
_NO_TRICKS = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
"""Neither control characters but tab and line ends, nor what turns the direction of writing: nobody is to read
something else than was written."""
_WORDS = rf"^{_NO_TRICKS}*[^\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]{_NO_TRICKS}*$"
Reply = Annotated[str, StringConstraints(min_length=1, max_length=MAX_MESSAGE, pattern=_WORDS)]
"""What a person writes to a customer: as a message, without control characters but tab and line ends."""
Note = Annotated[str, StringConstraints(max_length=2_000, pattern=rf"^{_NO_TRICKS}*$")]
NewNote = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=_WORDS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_CONTROLS)]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f<>,;:\"]+@[^@\s\x00-\x1f<>,;:\"]+$")]
Login = Annotated[
    str, StringConstraints(min_length=3, max_length=254, to_lower=True, pattern=r"^[^\s\x00-\x1f\x7f-\x9f]+$")
]
"""What an operator signs in with, an e-mail address for one. Capitals do not matter."""
Phone = Annotated[str, StringConstraints(max_length=32, pattern=r"^\+?[0-9][0-9 ()./-]{2,30}$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_/+-]+$")]
"""A language, a region, a time zone."""
Flag = Annotated[bool, Strict()]
"""In a body: `true` or `false`. Neither 0 nor `"no"` is."""
Revision = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]
"""In a body: which version a caller last saw; 0 for "there is none yet". `false` is not 0."""
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
"""Six digits that were sent to a customer."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _spelt_out(value: object) -> object:
    """A number is no time: seconds or milliseconds, since when? Neither is a date without an offset."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        return value
    raise ValueError("a time is RFC 3339 with an offset, such as 2026-01-31T09:30:00Z")


def _in_our_time(at: datetime) -> datetime:
    if not 1970 <= at.year <= 2200:
        raise ValueError("the year must lie between 1970 and 2200")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, BeforeValidator(_spelt_out), AfterValidator(_in_our_time)]
"""RFC 3339 with an offset, from 1970 to 2200."""


class Body(Value):
    """A request body. A field we do not know is refused: a typing error must not change a meaning silently."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class MoneyBody(Body):
    """An amount a caller sends: an integer number of minor units, and nothing else beside the currency, which people
    pay with: ISO 4217."""

    amount: MinorUnits
    currency: Annotated[str, StringConstraints(pattern=f"^({'|'.join(sorted(CURRENCIES))})$")]

    def money(self) -> Money:
        return Money(amount=self.amount, currency=self.currency)


class SenderBody(Body):
    """The address a message came from, as the channel says."""

    kind: Literal["email"]
    address: Email


Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str, StringConstraints(max_length=500, pattern=r"^[A-Za-z0-9_-]+$")]


class Page(BaseModel):
    """The query of every list. A parameter we do not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)

    limit: Limit = 50
    cursor: Cursor | None = None
