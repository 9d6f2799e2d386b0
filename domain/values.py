"""The small values every layer shares: money, ids, modes, and the frozen base they are made of."""

from enum import StrEnum
from typing import Annotated, Any, NewType

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints
from pydantic.alias_generators import to_camel

Json = dict[str, Any]
"""A JSON object. What is inside is checked by the model that reads it."""

OrganisationId = NewType("OrganisationId", str)
"""A tenant. Never taken from a request body: it comes from the credential."""
CustomerId = NewType("CustomerId", str)
"""The caller's own name for the person served."""
RequestId = NewType("RequestId", str)
"""The caller's idempotency key, unique per organisation and customer."""
InteractionId = NewType("InteractionId", str)
ConversationId = NewType("ConversationId", str)
DecisionId = NewType("DecisionId", str)
EffectId = NewType("EffectId", str)
HandoffId = NewType("HandoffId", str)
DeliveryId = NewType("DeliveryId", str)


class Value(BaseModel):
    """Frozen; JSON is camelCase, Python is snake_case, both are read. Unknown fields are ignored, so that
    an old payload and a newer one both decode; every default must therefore be the safe one."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )


MAX_MINOR_UNITS = 10**12
"""Ten billion in a currency with cents. Far above any invoice, far below where arithmetic could overflow a bigint."""

_NO_DECIMALS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_THREE_DECIMALS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])

MinorUnits = Annotated[StrictInt, Field(ge=0, le=MAX_MINOR_UNITS)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Money(Value):
    """An amount in integer minor units (cents) of an ISO 4217 currency. Never a float, never a bool, never negative."""

    amount: MinorUnits
    currency: Currency

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))

    def __str__(self) -> str:
        """For people: `EUR 49.00`, `JPY 4900`, `KWD 4.900`, by the currency's minor unit (ISO 4217)."""
        places = 0 if self.currency in _NO_DECIMALS else 3 if self.currency in _THREE_DECIMALS else 2
        if not places:
            return f"{self.currency} {self.amount}"
        whole, part = divmod(self.amount, 10**places)
        return f"{self.currency} {whole}.{part:0{places}d}"


class Mode(StrEnum):
    """Whether consequences are real."""

    LIVE = "live"
    SHADOW = "shadow"


class Channel(StrEnum):
    """How a message reached us."""

    CHAT = "chat"
    API = "api"


class Plan(StrEnum):
    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class AccountStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class InvoiceStatus(StrEnum):
    PAID = "paid"
    OPEN = "open"
    VOID = "void"


class Priority(StrEnum):
    """How soon a person should look. Ordered: `rank` grows with urgency."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        return list(Priority).index(self)


class Intent(StrEnum):
    """What the customer wants, as far as we can tell. `other` is the honest answer when we cannot."""

    REFUND_REQUEST = "refund_request"
    BILLING_QUESTION = "billing_question"
    ACCOUNT_QUESTION = "account_question"
    ORDER_STATUS = "order_status"
    APPOINTMENT_BOOKING = "appointment_booking"
    APPOINTMENT_CHANGE = "appointment_change"
    TECHNICAL_ISSUE = "technical_issue"
    COMPLAINT = "complaint"
    CANCELLATION = "cancellation"
    HUMAN_REQUEST = "human_request"
    GREETING = "greeting"
    OTHER = "other"
