"""What customers agreed to, channel by channel: a list of what they said; the last word counts. Insert-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from domain.consent import Consent
from domain.errors import Conflict, CustomerNotFound
from domain.values import CustomerId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Session


class ConsentRow(OrganisationRow, table=True):
    __tablename__ = "consents"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "customer_id"], ["customers.organisation", "customers.id"]),
        Index("consents_newest", "organisation", "customer_id", "channel", "at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    channel: str
    state: str
    actor: str
    at: datetime = Field(sa_type=UtcTime)
    note: str = Field(sa_column_kwargs={"server_default": ""})


_SAY = text(
    """
    INSERT INTO consents (organisation, id, customer_id, channel, state, actor, at, note)
    VALUES (:organisation, :id, :customer_id, :channel, :state, :actor, :at, :note)
    """
)
_NOW = text(
    """
    SELECT state FROM consents
    WHERE organisation = :organisation AND customer_id = :customer_id AND channel = :channel
    ORDER BY at DESC, id DESC LIMIT 1
    """
)
_LOCK_CUSTOMER = text("SELECT id FROM customers WHERE organisation = :organisation AND id = :customer_id FOR UPDATE")
_LAST_WORDS = text(
    """
    SELECT DISTINCT ON (channel) channel, state, note, actor, at, count(*) OVER (PARTITION BY channel) AS version
    FROM consents WHERE organisation = :organisation AND customer_id = :customer_id
        AND channel = coalesce(CAST(:channel AS varchar), channel)
    ORDER BY channel, at DESC, id DESC
    """
)


@dataclass(frozen=True, slots=True)
class LastWord:
    """What holds for a channel, and who wrote it down."""

    channel: str
    state: Consent
    note: str
    actor: str
    at: datetime
    version: int
    """How often something was said about this channel."""


class ConsentRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def say(
        self, customer_id: CustomerId, channel: str, state: Consent, actor: str, at: datetime, note: str = ""
    ) -> None:
        """The customer's newest word about a channel, and who wrote it down. The customer must be there."""
        await self._session.run(
            _SAY, id=new_id("cns"), customer_id=customer_id, channel=channel, state=state, actor=actor, at=at, note=note
        )

    async def change(
        self,
        customer_id: CustomerId,
        channel: str,
        state: Consent,
        actor: str,
        at: datetime,
        *,
        note: str = "",
        expected: int | None = None,
    ) -> tuple[LastWord, bool]:
        """The last word from now on, and whether it is new: the same again is not. `CustomerNotFound`; `Conflict` if
        something else was said since the version `expected`."""
        if await self._session.first(_LOCK_CUSTOMER, customer_id=customer_id) is None:
            raise CustomerNotFound("no such customer")
        before = next(iter(await self.last_words(customer_id, channel)), None)
        if before and (before.state, before.note) == (state, note):
            return before, False
        version = before.version if before else 0
        if expected is not None and expected != version:
            raise Conflict("something else was said meanwhile", version=version)
        # Two clocks may differ: the newest word is the one that was written last.
        at = max(at, before.at + timedelta(microseconds=1)) if before else at
        await self.say(customer_id, channel, state, actor, at, note)
        return LastWord(channel, state, note, actor, at, version + 1), True

    async def last_words(self, customer_id: CustomerId, channel: str | None = None) -> Sequence[LastWord]:
        """What holds, channel by channel; of one channel if it is named. Nothing was said about the others."""
        rows = await self._session.all(_LAST_WORDS, customer_id=customer_id, channel=channel)
        return tuple(LastWord(r.channel, Consent(r.state), r.note, r.actor, r.at, r.version) for r in rows)

    async def current(self, customer_id: CustomerId, channel: str) -> Consent | None:
        """The last word; None if there never was one."""
        row = await self._session.first(_NOW, customer_id=customer_id, channel=channel)
        return None if row is None else Consent(row.state)
