"""What customers agreed to, channel by channel: a list of what they said; the last word counts. Insert-only."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from domain.consent import Consent
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


_SAY = text(
    """
    INSERT INTO consents (organisation, id, customer_id, channel, state, actor, at)
    VALUES (:organisation, :id, :customer_id, :channel, :state, :actor, :at)
    """
)
_NOW = text(
    """
    SELECT state FROM consents
    WHERE organisation = :organisation AND customer_id = :customer_id AND channel = :channel
    ORDER BY at DESC, id DESC LIMIT 1
    """
)


class ConsentRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def say(self, customer_id: CustomerId, channel: str, state: Consent, actor: str, at: datetime) -> None:
        """The customer's newest word about a channel, and who wrote it down. The customer must be there."""
        await self._session.run(
            _SAY, id=new_id("cns"), customer_id=customer_id, channel=channel, state=state, actor=actor, at=at
        )

    async def current(self, customer_id: CustomerId, channel: str) -> Consent | None:
        """The last word; None if there never was one."""
        row = await self._session.first(_NOW, customer_id=customer_id, channel=channel)
        return None if row is None else Consent(row.state)
