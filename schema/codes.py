"""Codes that were sent to customers: what each is for, how long it is good, and how it ended. The code itself stands
nowhere: `domain.step_up` computes it while the nonce is there."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Column, ForeignKeyConstraint, Index, String, UniqueConstraint, text
from sqlmodel import Field

from domain.step_up import CodeState
from domain.values import CustomerId, InteractionId
from schema.base import OrganisationRow, UtcTime, new_id
from schema.session import Record, Session


class CustomerCodeRow(OrganisationRow, table=True):
    __tablename__ = "customer_codes"
    __table_args__ = (
        UniqueConstraint("organisation", "interaction_id"),
        ForeignKeyConstraint(
            ["organisation", "customer_id"], ["customers.organisation", "customers.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["organisation", "channel_id"], ["customer_channels.organisation", "customer_channels.id"],
            ondelete="CASCADE",
        ),
        Index("customer_codes_by_customer", "organisation", "customer_id", "created_at"),
        Index("customer_codes_by_channel", "organisation", "channel_id", "created_at"),
    )  # fmt: skip

    id: str = Field(primary_key=True)
    customer_id: str
    channel_id: str
    interaction_id: str | None
    bound: str
    nonce: bytes | None
    state: str
    tried: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    sends: int
    sent_at: datetime = Field(sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    ended_at: datetime | None = Field(sa_type=UtcTime)


@dataclass(frozen=True, slots=True)
class SentCode:
    id: str
    customer_id: CustomerId
    channel_id: str
    interaction_id: InteractionId | None
    """None: it verifies the channel itself."""
    bound: str
    """The digest of what it is good for."""
    nonce: bytes | None
    """None: it is over, and nobody can compute it any more."""
    state: CodeState
    tried: tuple[str, ...]
    """Keyed hashes of the different wrong answers; of a proven one the last is the right one's."""
    sends: int
    sent_at: datetime
    created_at: datetime
    expires_at: datetime


_COLUMNS = ", ".join(SentCode.__dataclass_fields__)
_ADD = text(
    f"""
    INSERT INTO customer_codes (organisation, {_COLUMNS})
    VALUES (:organisation, :id, :customer_id, :channel_id, :interaction_id, :bound, :nonce, 'open', '{{}}', 1, :at, :at,
            :expires_at)
    ON CONFLICT (organisation, interaction_id) DO NOTHING
    """
)
_FIND = text(
    f"""
    SELECT {_COLUMNS} FROM customer_codes
    WHERE organisation = :organisation AND interaction_id = :interaction_id FOR UPDATE
    """
)
_OF_CHANNEL = text(
    f"""
    SELECT {_COLUMNS} FROM customer_codes
    WHERE organisation = :organisation AND channel_id = :channel_id AND interaction_id IS NULL
    ORDER BY created_at DESC, id DESC LIMIT 1 FOR UPDATE
    """
)
_GET = text(f"SELECT {_COLUMNS} FROM customer_codes WHERE organisation = :organisation AND id = :id")
_LATELY = text(
    """
    SELECT count(*) AS n FROM customer_codes
    WHERE organisation = :organisation AND customer_id = :customer_id AND created_at > :since AND state <> 'proven'
    """
)
_LATELY_SENT = text(
    f"""
    SELECT {_COLUMNS} FROM customer_codes
    WHERE organisation = :organisation AND customer_id = :customer_id AND interaction_id IS NOT NULL
        AND expires_at > :at
    ORDER BY created_at DESC, id DESC
    """
)
# Whoever asks for codes at once for one customer is counted one after the other.
_LOCK = text("SELECT 1 FROM customers WHERE organisation = :organisation AND id = :customer_id FOR NO KEY UPDATE")
_TRIED = text(
    "UPDATE customer_codes SET tried = tried || CAST(:answer AS varchar)"
    " WHERE organisation = :organisation AND id = :id"
)
_END = text(
    """
    UPDATE customer_codes SET state = :state, nonce = NULL, ended_at = :at
    WHERE organisation = :organisation AND id = :id AND state = 'open'
    """
)
_SENT = text(
    "UPDATE customer_codes SET sends = sends + 1, sent_at = :at WHERE organisation = :organisation AND id = :id"
)
_RAISE = text("UPDATE interactions SET assurance = 'code' WHERE organisation = :organisation AND id = :interaction_id")


class CodeRepository:
    """What it finds is locked until the transaction ends: answers are heard one after the other."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ask(
        self, customer_id: CustomerId, channel_id: str, interaction_id: InteractionId | None, *,
        bound: str, nonce: bytes, at: datetime, expires_at: datetime,
    ) -> SentCode:  # fmt: skip
        """A new code; an interaction has one, and asking again finds it."""
        values = {"bound": bound, "nonce": nonce, "at": at, "expires_at": expires_at}
        await self._session.run(
            _ADD,
            id=new_id("cod"),
            customer_id=customer_id,
            channel_id=channel_id,
            interaction_id=interaction_id,
            **values,
        )
        found = await (self.find(interaction_id) if interaction_id else self.of_channel(channel_id))
        assert found is not None
        return found

    async def find(self, interaction_id: InteractionId) -> SentCode | None:
        row = await self._session.first(_FIND, interaction_id=interaction_id)
        return None if row is None else _code(row)

    async def of_channel(self, channel_id: str) -> SentCode | None:
        """The last one that was to verify it."""
        row = await self._session.first(_OF_CHANNEL, channel_id=channel_id)
        return None if row is None else _code(row)

    async def get(self, code_id: str) -> SentCode | None:
        """Not locked."""
        row = await self._session.first(_GET, id=code_id)
        return None if row is None else _code(row)

    async def lately(self, customer_id: CustomerId, at: datetime) -> tuple[SentCode, ...]:
        """Those for requests whose time is not over, newest first; not locked."""
        return tuple(_code(row) for row in await self._session.all(_LATELY_SENT, customer_id=customer_id, at=at))

    async def unproven_since(self, customer_id: CustomerId, since: datetime) -> int:
        """How many were sent and not given back. Others who ask for this customer wait until the transaction ends."""
        await self._session.first(_LOCK, customer_id=customer_id)
        row = await self._session.first(_LATELY, customer_id=customer_id, since=since)
        return int(row.n) if row else 0

    async def tried(self, code: SentCode, answer: str) -> None:
        await self._session.run(_TRIED, id=code.id, answer=answer)

    async def end(self, code: SentCode, state: CodeState, at: datetime) -> bool:
        """It is over, and its nonce gone. False if it was before."""
        return await self._session.run(_END, id=code.id, state=state, at=at) == 1

    async def sent_again(self, code: SentCode, at: datetime) -> None:
        await self._session.run(_SENT, id=code.id, at=at)

    async def proves(self, interaction_id: InteractionId) -> None:
        """The customer asks: from now on the interaction says so."""
        await self._session.run(_RAISE, interaction_id=interaction_id)


def _code(row: Record) -> SentCode:
    values = {name: getattr(row, name) for name in SentCode.__dataclass_fields__}
    nonce = None if row.nonce is None else bytes(row.nonce)
    return SentCode(**{**values, "nonce": nonce, "state": CodeState(row.state), "tried": tuple(row.tried)})
