"""How long an organisation keeps what was said, and ending what has had its time, batch by batch."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from domain.errors import Conflict
from domain.retention import DataClass, days_of, ends_before
from domain.values import Json
from schema.audit import AuditEvent, AuditRepository
from schema.base import OrganisationRow, UtcTime, json_values, new_id
from schema.expired import COUNT, FIND, PARTS
from schema.legal_holds import LegalHoldRepository
from schema.session import Record, Session


class RetentionPolicyRow(OrganisationRow, table=True):
    __tablename__ = "retention_policies"

    version: int = Field(primary_key=True)
    days: Json = Field(sa_type=JSONB)
    created_at: datetime = Field(sa_type=UtcTime)
    created_by: str


class RetentionRunRow(OrganisationRow, table=True):
    """What one run ended of one class. Who finds one unfinished goes on with it."""

    __tablename__ = "retention_runs"
    __table_args__ = (
        Index(
            "retention_runs_open", "organisation", "data_class", unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    data_class: str
    before: datetime = Field(sa_type=UtcTime)
    rows: int = Field(sa_type=BigInteger)
    begun_at: datetime = Field(sa_type=UtcTime)
    finished_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class Retention:
    """One published version; 0 if nothing was: every class has its default."""

    version: int
    days: dict[DataClass, int]
    created_at: datetime | None = None
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    rows: int
    done: bool
    """Nothing of this class is left that goes now."""


@dataclass(frozen=True, slots=True)
class _Run:
    id: str
    before: datetime
    rows: int


COUNTED = 100_000
"""A dry run counts no further, of each table."""
_NEWEST = text(
    """
    SELECT version, days, created_at, created_by FROM retention_policies
    WHERE organisation = :organisation ORDER BY version DESC LIMIT 1
    """
)
_PUBLISH = text(
    """
    INSERT INTO retention_policies (organisation, version, days, created_at, created_by)
    VALUES (:organisation, :version, :days, :at, :by) ON CONFLICT DO NOTHING
    """
).bindparams(*json_values("days"))
_OPEN = text(
    """
    SELECT id, before, rows FROM retention_runs
    WHERE organisation = :organisation AND data_class = :each AND finished_at IS NULL
    """
)
_BEGIN = text(
    """
    INSERT INTO retention_runs (organisation, id, data_class, before, rows, begun_at)
    VALUES (:organisation, :id, :each, :before, :rows, :at)
    """
)
_GO_ON = text("UPDATE retention_runs SET rows = rows + :rows WHERE organisation = :organisation AND id = :id")
_FINISH = text("UPDATE retention_runs SET finished_at = :at WHERE organisation = :organisation AND id = :id")
_END = text("SELECT end_rows(:part, CAST(:ids AS varchar[]), :at) AS n")


class RetentionRepository:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._audit = AuditRepository(session)

    async def current(self) -> Retention:
        row = await self._session.first(_NEWEST)
        return _retention(row) if row else Retention(0, days_of({}))

    async def publish(
        self, days: dict[DataClass, int], *, by: str, at: datetime, expected: int | None = None
    ) -> tuple[Retention, Retention]:
        """What was and what is: the next version, or the newest one if it says exactly this already. `Conflict` if
        somebody else published since `expected`, or at this very moment."""
        before = await self.current()
        if expected is not None and expected != before.version:
            raise Conflict("retention was changed meanwhile", version=before.version)
        if before.version and before.days == days:
            return before, before
        said = {each.value: n for each, n in days.items()}
        if not await self._session.run(_PUBLISH, version=before.version + 1, days=said, at=at, by=by):
            raise Conflict("retention was changed meanwhile")
        return before, await self.current()

    async def due(self, each: DataClass, before: datetime, at: datetime) -> int:
        """How many rows would go now; counts no further than `COUNTED` in each table."""
        row = await self._session.first(COUNT[each], before=before, at=at, most=COUNTED)
        assert row is not None
        return int(row.n)

    async def end_some(self, each: DataClass, at: datetime, most: int) -> Batch:
        """One batch of what has had its time by the newest version, `most` rows of each table at most; the audit says
        when a run begins and, with the count, when it is done. All of it, or nothing: safe to repeat."""
        await LegalHoldRepository(self._session).alone()
        before = ends_before((await self.current()).days[each], at)
        run = await self._open_run(each)
        if run:  # what was on record when it began is what it may end, and no more than is asked for today
            before = min(before, run.before)
        ended = [await self._end(part.name, before, at, most) for part in PARTS[each]]
        rows, done = sum(ended), max(ended) < most
        run = await self._counted(run, each, before, rows, at)
        if run and done:
            await self._session.run(_FINISH, id=run.id, at=at)
            await self._say("done", each, run, at, rows=run.rows)
        return Batch(rows, done)

    async def _end(self, part: str, before: datetime, at: datetime, most: int) -> int:
        found = await self._session.all(FIND[part], before=before, at=at, most=most)
        if not found:
            return 0
        row = await self._session.first(_END, part=part, ids=[each.id for each in found], at=at)
        assert row is not None
        return len(found)

    async def _open_run(self, each: DataClass) -> _Run | None:
        row = await self._session.first(_OPEN, each=each.value)
        return _Run(row.id, row.before, row.rows) if row else None

    async def _counted(
        self, run: _Run | None, each: DataClass, before: datetime, rows: int, at: datetime
    ) -> _Run | None:
        """The run with these rows in it; none if there is none and nothing to do."""
        if run:
            await self._session.run(_GO_ON, id=run.id, rows=rows)
            return _Run(run.id, run.before, run.rows + rows)
        if not rows:
            return None
        run = _Run(new_id("ret"), before, rows)
        await self._session.run(_BEGIN, id=run.id, each=each.value, before=before, rows=rows, at=at)
        await self._say("begun", each, run, at)
        return run

    async def _say(self, what: str, each: DataClass, run: _Run, at: datetime, **more: int) -> None:
        details = {"run": run.id, "before": run.before.isoformat(), **more}
        await self._audit.append(AuditEvent(at, "system", f"retention.{what}", each.value, details))


def _retention(row: Record) -> Retention:
    said = {DataClass(each): n for each, n in row.days.items()}
    return Retention(row.version, days_of(said), row.created_at, row.created_by)
