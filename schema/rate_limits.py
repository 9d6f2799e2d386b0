"""How much was asked lately. Written by the look-up of keys alone: see `Database.admit_api_key`."""

from datetime import datetime

from sqlmodel import Field

from schema.base import OrganisationRow, UtcTime


class RateLimitRow(OrganisationRow, table=True):
    __tablename__ = "rate_limits"

    id: str = Field(primary_key=True)
    """A key's, or nothing for the organisation as a whole."""
    spent_until: datetime = Field(sa_type=UtcTime)
