"""Calendars an organisation published. A change is the next version; the ones clocks were started under stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Column, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.calendar import ALWAYS, Calendar
from domain.digest import digest
from domain.errors import CalendarNotFound, Conflict
from domain.values import Json, Plan
from schema.base import OrganisationRow, UtcTime, json_values
from schema.session import Record, Session


class CalendarRow(OrganisationRow, table=True):
    __tablename__ = "calendars"

    id: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    body: Json = Field(sa_type=JSONB)
    plans: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    regions: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    retired: bool
    digest: str
    created_at: datetime = Field(sa_type=UtcTime)
    created_by: str


@dataclass(frozen=True, slots=True)
class NewCalendar:
    calendar: Calendar
    """Its version is given by `publish`."""
    plans: Sequence[Plan] = ()
    """Whose customers it serves; none means all."""
    regions: Sequence[str] = ()
    retired: bool = False
    """It serves nobody any more."""


@dataclass(frozen=True, slots=True)
class PublishedCalendar:
    calendar: Calendar
    plans: tuple[Plan, ...]
    regions: tuple[str, ...]
    retired: bool
    created_at: datetime
    created_by: str


_COLUMNS = "id, version, body, plans, regions, retired, digest, created_at, created_by"
_PUBLISH = text(
    f"""
    INSERT INTO calendars (organisation, {_COLUMNS})
    VALUES (:organisation, :id, :version, :body, CAST(:plans AS varchar[]), CAST(:regions AS varchar[]), :retired,
            :digest, :at, :by)
    ON CONFLICT DO NOTHING
    """
).bindparams(*json_values("body"))
_NEWEST = text(
    f"SELECT {_COLUMNS} FROM calendars WHERE organisation = :organisation AND id = :id ORDER BY version DESC LIMIT 1"
)
_VERSION = text(
    f"SELECT {_COLUMNS} FROM calendars WHERE organisation = :organisation AND id = :id AND version = :version"
)
_LATEST = f"""
    SELECT DISTINCT ON (id) {_COLUMNS} FROM calendars WHERE organisation = :organisation ORDER BY id, version DESC
"""
_LIST = text(_LATEST)
_FOR = text(
    f"""
    SELECT {_COLUMNS} FROM ({_LATEST}) latest
    WHERE NOT retired AND (plans = '{{}}' OR :plan = ANY(plans)) AND (regions = '{{}}' OR :region = ANY(regions))
    ORDER BY (regions <> '{{}}')::integer DESC, (plans <> '{{}}')::integer DESC, id LIMIT 1
    """
)


class CalendarRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def publish(
        self, new: NewCalendar, *, by: str, at: datetime, expected: int | None = None
    ) -> PublishedCalendar:
        """The next version, or the newest one if it says exactly this already. `Conflict` if somebody else published
        since `expected`, or at this very moment."""
        before = await self._session.first(_NEWEST, id=new.calendar.id)
        newest = before.version if before else 0
        body = new.calendar.model_copy(update={"version": 0}).model_dump(mode="json")
        said = digest({"body": body, "plans": list(new.plans), "regions": list(new.regions), "retired": new.retired})
        if before and before.digest == said:
            return _published(before)
        if expected is not None and expected != newest:
            raise Conflict("this calendar was changed meanwhile", version=newest)
        stored = await self._session.run(
            _PUBLISH, id=new.calendar.id, version=newest + 1, body=body, plans=[p.value for p in new.plans],
            regions=list(new.regions), retired=new.retired, digest=said, at=at, by=by,
        )  # fmt: skip
        if not stored:
            raise Conflict("this calendar was changed meanwhile")
        return await self.get(new.calendar.id)

    async def get(self, calendar_id: str, version: int | None = None) -> PublishedCalendar:
        """The newest version, or the one asked for; `CalendarNotFound`."""
        if version is None:
            row = await self._session.first(_NEWEST, id=calendar_id)
        else:
            row = await self._session.first(_VERSION, id=calendar_id, version=version)
        if row is None:
            raise CalendarNotFound("no such calendar")
        return _published(row)

    async def list(self) -> tuple[PublishedCalendar, ...]:
        """The newest version of each, by id."""
        return tuple(map(_published, await self._session.all(_LIST)))

    async def serving(self, plan: Plan, region: str | None) -> Calendar:
        """The one that counts for such a customer: for the region before for the plan, before for everybody. Without
        any, every second counts."""
        row = await self._session.first(_FOR, plan=plan.value, region=region or "")
        return _published(row).calendar if row else ALWAYS

    async def at_version(self, calendar_id: str, version: int) -> Calendar:
        """A calendar some clock was started under. The built-in one has version 0."""
        return ALWAYS if version == 0 else (await self.get(calendar_id, version)).calendar


def _published(row: Record) -> PublishedCalendar:
    return PublishedCalendar(
        calendar=Calendar.model_validate({**row.body, "id": row.id, "version": row.version}),
        plans=tuple(Plan(plan) for plan in row.plans),
        regions=tuple(row.regions),
        retired=row.retired,
        created_at=row.created_at,
        created_by=row.created_by,
    )
