"""`GET /metrics/dashboard`: how an organisation is doing, for machines and for people."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import CallerDep, Scope
from api.dashboard_page import asks_for_page, page
from api.deps import ServicesDep
from api.fields import Instant
from api.strict_json import StrictRoute
from domain.dashboard import LONGEST, Dashboard, Window
from domain.errors import RequestInvalid
from schema.dashboards import DashboardRepository

router = APIRouter(prefix="/metrics", tags=["oversight"], route_class=StrictRoute)

USUAL = timedelta(days=1)


class DashboardQuery(BaseModel):
    """Bounds of the window, widened to whole hours, long ones to midnight. A parameter we do not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    begin: Instant | None = Field(None, alias="from", description="A day before `to` where it is left out.")
    end: Instant | None = Field(None, alias="to", description="Now where it is left out.")

    def window(self, now: datetime) -> Window:
        """At least an hour, at most 92 days."""
        end = self.end or now
        begin = self.begin or end - USUAL
        if not timedelta() < end - begin <= LONGEST:
            raise RequestInvalid(f"from must lie before to, by {LONGEST.days} days at most", fields=["from", "to"])
        return Window.around(begin, end)


PAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@router.get(
    "/dashboard",
    summary="How it is going: rates, times, backlog, deliveries, effects",
    response_model=Dashboard,
    responses=PAGE,
)
async def get_dashboard(
    query: Annotated[DashboardQuery, Query()],
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
) -> Dashboard | Response:
    """The last 24 hours, or the window between `from` and `to`; the backlog is always as it stands now. A page for a
    browser."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    now = services.now()
    async with services.db.transaction(caller.organisation, frozen=True) as session:
        shown = await DashboardRepository(session).show(query.window(now), now)
    if asks_for_page(request):
        return page(shown, caller.organisation, now)
    response.headers["Vary"] = "Accept"
    return shown
