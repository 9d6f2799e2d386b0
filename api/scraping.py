"""Looks at how everything stands when a scraper asks, and not more often than makes sense."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from api.deps import Services
from api.meters import Meters
from api.readiness import BEHIND, PROBE_S, what_is_missing
from domain.errors import HoldfastError
from domain.standing import Standing

FRESH_S = 2.0
"""Several scrapers, or one that asks again and again, cost one look in so many seconds."""


@dataclass
class Scrape:
    services: Services
    meters: Meters
    _looked: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> None:
        """Puts into the meters what is open and what is there. Never fails: what cannot be read is said to be away."""
        async with self._lock:
            if time.monotonic() - self._looked < FRESH_S:
                return
            missing, standing = await asyncio.gather(what_is_missing(self.services), self._standing())
            if standing is None:
                missing = (*missing, "postgres")
            self.meters.stands(standing or (), _ready(missing), self.services.now())
            self._looked = time.monotonic()

    async def _standing(self) -> tuple[Standing, ...] | None:
        try:
            async with asyncio.timeout(PROBE_S):
                return await self.services.db.standing_now()
        except (HoldfastError, TimeoutError):
            return None


def _ready(missing: Collection[str]) -> dict[str, bool]:
    """Each part that can be seen, and whether it is there."""
    ready = {}
    for part, behind in BEHIND.items():
        ready[part] = part not in missing
        if ready[part]:
            ready[behind] = behind not in missing
    return ready


async def get_scrape(request: Request) -> Scrape:
    state = request.app.state
    if not hasattr(state, "scrape"):
        state.scrape = Scrape(state.services, state.meters)
    scrape: Scrape = state.scrape
    return scrape


ScrapeDep = Annotated[Scrape, Depends(get_scrape)]
