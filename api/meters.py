"""What routes count. The entry point plugs in where it goes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request

from domain.handoff import HandoffDecision
from domain.standing import Standing
from domain.values import Mode


class Meters(Protocol):
    """Counts, without I/O. No argument may name a person: every value becomes a label, and labels are few."""

    def answered(self, outcome: str, mode: Mode, *, replayed: bool, waited_s: float) -> None:
        """A request with a message has its answer, or its 202 (`pending`)."""
        ...

    def decided(self, decision: HandoffDecision) -> None:
        """A person decided a handoff, for the first time."""
        ...

    def conflicted(self) -> None:
        """A request id came again with another body."""
        ...

    def shed(self) -> None:
        """A request was one too many for this process."""
        ...

    def verified(self, *, whole: bool) -> None:
        """An audit chain was verified, and is as it was written, or not."""
        ...

    def stands(self, standing: Sequence[Standing], ready: Mapping[str, bool], now: datetime) -> None:
        """How much is open, and which parts of what this process needs are there, until said anew."""
        ...

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Every metric of this process and the content type, for a scraper that accepts `accept`."""
        ...


async def get_meters(request: Request) -> Meters:
    meters: Meters = request.app.state.meters
    return meters


MetersDep = Annotated[Meters, Depends(get_meters)]
