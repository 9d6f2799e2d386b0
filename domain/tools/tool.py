"""What a tool is. One file per tool; `domain.tools.ALL_TOOLS` lists them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from domain.errors import RequestInvalid
from domain.facts import Account, Facts
from domain.ports import Ports
from domain.values import CustomerId, Json, Money, Value

A = TypeVar("A", bound=Value)


class EffectClass(StrEnum):
    """What a call does to the world."""

    READ = "read"
    """Nothing. Not in the effect ledger."""
    WRITE = "write"
    MONEY = "money"


class Risk(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True)
class ToolCall:
    """Who is calling, for whom, and under which key. The key is the effect's own: the same on every attempt."""

    key: str
    interaction_id: str
    customer_id: CustomerId
    account: Account
    reply: str = ""
    """The verified reply, for outlet tools; empty for all others."""


@dataclass(frozen=True)
class Tool(Generic[A]):
    """A thing the system can do, with everything the ledger, the rules and a person must know about it.

    `run` gets its validated arguments, the call and the ports, and returns a small JSON object without personal
    data. It raises only `ToolFailure`s.
    """

    name: str
    """verb_noun; the same string for module, tool and docs."""
    summary: str
    arguments: type[A]
    run: Callable[[A, ToolCall, Ports], Awaitable[Json]]
    effect: EffectClass = EffectClass.WRITE
    idempotent: bool = False
    """Calling again with the same key has no second effect: an ambiguous outcome may be retried."""
    atomic: bool = False
    """Its port writes in our own database, in the transaction that confirms the effect: never ambiguous."""
    outlet: bool = False
    """It carries the reply to the customer: it runs after the reply was checked, never before."""
    undo: str | None = None
    """The tool that takes it back, if one does."""
    find: Callable[[str, Mapping[str, object]], Awaitable[Json | None]] | None = None
    """What `run` returned under a key, or None if nothing ever happened under it; for systems that can tell. Gets the
    key and `Ports.extra`. Asked when our own record of a call may be missing. Raises `ToolFailure` if it cannot
    tell."""
    timeout: timedelta = timedelta(seconds=10)
    risk: Risk = Risk.LOW
    money: Callable[[A], Money | None] = lambda _: None
    """The amount that counts against limits."""
    subject: Callable[[A], str | None] = lambda _: None
    """The object it concerns, e.g. the invoice id; conservation is kept per subject."""
    preview: Callable[[A, Facts], Json] = lambda _a, _f: {}
    """What `run` would return, as far as facts tell: shadow mode and approval screens show it."""

    def parse(self, arguments: Json) -> A:
        """The arguments, typed. Raises `RequestInvalid`: a tool is never called with arguments that do not fit."""
        try:
            return self.arguments.model_validate(arguments)
        except ValidationError as error:
            raise RequestInvalid(f"the arguments of {self.name} do not fit", tool=self.name) from error

    @property
    def has_consequences(self) -> bool:
        return self.effect is not EffectClass.READ


AnyTool = Tool[Any]
