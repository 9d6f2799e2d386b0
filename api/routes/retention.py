"""How long what was said is kept, class by class."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, Strict

from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Body, Instant, Revision
from api.strict_json import StrictRoute
from domain.retention import RULES, DataClass, Ending, checked, days_of, ends_before
from domain.values import Value
from schema.audit import AuditEvent, AuditRepository
from schema.retention import COUNTED, Retention, RetentionRepository

router = APIRouter(prefix="/retention", tags=["retention"], route_class=StrictRoute)

Days = Annotated[int, Strict(), Field(ge=1, le=36_500)]


class RetentionBody(Body):
    """The whole of it; a class that is left out has its default."""

    days: Annotated[dict[DataClass, Days], Field(max_length=len(DataClass))]
    """Between `least` and `most` of the class."""
    expected_version: Revision | None = None
    """The version you changed, 0 if there was none; 409 if there is a newer one."""


class ShownClass(Value):
    name: DataClass
    days: int
    """Since it was finished with."""
    default: int
    least: int
    most: int
    ending: Ending
    covers: str
    keeps: str


class ShownRetention(Value):
    version: int
    """0: nothing was published, everything has its default."""
    classes: tuple[ShownClass, ...]
    created_at: Instant | None = None
    created_by: str | None = None

    @classmethod
    def of(cls, found: Retention) -> "ShownRetention":
        shown = (ShownClass(name=each, days=found.days[each], **rule._asdict()) for each, rule in RULES.items())
        return cls(
            version=found.version, classes=tuple(shown), created_at=found.created_at, created_by=found.created_by
        )


class DueClass(Value):
    name: DataClass
    before: Instant
    """What was finished with before then goes."""
    rows: int
    is_more: bool
    """There are more: counting ends somewhere."""


class DueRows(Value):
    items: tuple[DueClass, ...]


@router.get("", summary="How long each class of data is kept")
async def get_retention(caller: CallerDep, services: ServicesDep) -> ShownRetention:
    caller.need(Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        return ShownRetention.of(await RetentionRepository(session).current())


@router.put("", summary="Publish how long each class of data is kept", responses={409: {}})
async def put_retention(body: RetentionBody, caller: CallerDep, services: ServicesDep) -> ShownRetention:
    """Counts from the next run on, within the hour. What has ended does not come back if the time gets longer. The
    same again is the same version. Look at `GET /retention/due` after."""
    caller.need(Scope.ADMIN)
    days, now = days_of(checked(body.days)), services.now()
    async with services.db.transaction(caller.organisation) as session:
        before, after = await RetentionRepository(session).publish(
            days, by=caller.name, at=now, expected=body.expected_version
        )
        if after.version != before.version:
            details = {"version": after.version, "before": _said(before), "after": _said(after)}
            await AuditRepository(session).append(AuditEvent(now, caller.name, "retention.changed", "days", details))
    return ShownRetention.of(after)


@router.get("/due", summary="How many rows would go if a run began now")
async def get_due_rows(caller: CallerDep, services: ServicesDep) -> DueRows:
    """Nothing is changed. What is open or held is not counted."""
    caller.need(Scope.AUDITOR)
    now, items = services.now(), list[DueClass]()
    async with services.db.transaction(caller.organisation) as session:
        retention = RetentionRepository(session)
        for each, days in (await retention.current()).days.items():
            before = ends_before(days, now)
            rows = await retention.due(each, before, now)
            items.append(DueClass(name=each, before=before, rows=rows, is_more=rows >= COUNTED))
    return DueRows(items=tuple(items))


def _said(retention: Retention) -> dict[str, int]:
    return {each.value: days for each, days in retention.days.items()}
