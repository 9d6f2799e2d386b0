"""What this process counted, and what is open in the whole installation, for Prometheus."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Response

from api.meters import MetersDep
from api.scraping import ScrapeDep
from api.strict_json import StrictRoute

router = APIRouter(tags=["health"], route_class=StrictRoute, include_in_schema=False)


@router.get("/metrics", summary="Metrics as Prometheus reads them")
async def get_metrics(meters: MetersDep, scrape: ScrapeDep, accept: Annotated[str, Header()] = "") -> Response:
    """Needs no key, as `/healthz` does: keep it off the public ingress. No organisation or customer is named."""
    await scrape.look()
    text, content_type = await asyncio.to_thread(meters.exposition, accept)
    return Response(text, media_type=content_type)
