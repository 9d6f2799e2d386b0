"""Mail that came back."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import StringConstraints

from api.auth import CallerDep, Scope
from api.bounces import MAX_REPORT_BYTES, readable, take_report
from api.deps import ServicesDep
from api.fields import Body
from api.strict_json import StrictRoute
from domain.values import Value


class ReportRoute(StrictRoute):
    """A report is larger than what else is posted; as JSON each of its characters may take six."""

    larger_body = 6 * MAX_REPORT_BYTES + 1_000


router = APIRouter(tags=["deliveries"], route_class=ReportRoute)


class ReportBody(Body):
    report: Annotated[str, StringConstraints(min_length=1, max_length=MAX_REPORT_BYTES)]
    """A delivery status notification (RFC 3464) as it came, headers and all; at most 256,000 bytes."""


class Taken(Value):
    recognised: bool
    """It is about a mail of this organisation."""
    delivery_id: str | None = None


@router.post("/delivery-reports", status_code=202, summary="Hand in a report about a mail that had been sent")
async def post_report(body: ReportBody, caller: CallerDep, services: ServicesDep) -> Taken:
    """A delivered mail that did not arrive becomes a dead letter, `bounced`. A delay, a repeat, or a mail that is no
    report change nothing."""
    caller.need(Scope.INGEST, Scope.BUILDER)
    delivery_id = await take_report(services, caller, readable(body.report))
    return Taken(recognised=delivery_id is not None, delivery_id=delivery_id)
