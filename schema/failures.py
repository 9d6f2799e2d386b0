"""Database errors → domain errors, in one place. The database's own words never travel: they may quote a row."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from domain.errors import DependencyDown, HoldfastError, RequestInvalid

NOT_MIGRATED = {
    "22023",  # the application role does not exist
    "42P01",  # undefined table
    "42703",  # undefined column
    "42883",  # undefined function
}
"""SQLSTATEs of a database whose tables are not the ones this code was written for."""

DOWN = NOT_MIGRATED | {
    "25006",  # read-only transaction: a standby, or an operator's switch
    "42501",  # insufficient privilege: writes were revoked
    "3D000",  # no such database
}
"""SQLSTATEs that mean *this database cannot serve us now*, beside every operational error."""


def down(reason: str) -> DependencyDown:
    return DependencyDown("Postgres is not available", dependency="postgres", reason=reason)


def sqlstate(error: BaseException | None) -> str:
    return (error.sqlstate if isinstance(error, psycopg.Error) else None) or "no_answer"


def translate(error: BaseException | None) -> HoldfastError:
    """Operational errors (gone, full, shutting down, deadlock) may be repeated; bad data may not; the rest is a bug."""
    state = sqlstate(error)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or state in DOWN:
        return down(state)
    if isinstance(error, psycopg.DataError):
        return RequestInvalid("a value cannot be stored", sqlstate=state)
    return HoldfastError("the database refused a statement", sqlstate=state)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of statements inside leave as domain errors, without the driver's text."""
    try:
        yield
    except PoolExhausted:
        raise down("pool_exhausted") from None
    except DBAPIError as error:
        raise translate(error.orig) from None
    except psycopg.Error as error:
        raise translate(error) from None
    except UnicodeEncodeError:
        raise RequestInvalid("a value cannot be stored", sqlstate="no_answer") from None
