"""How a delivery changes: one conditional row change and the event that tells of it, in one statement."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, text

from domain.values import Json
from schema.base import json_values, new_id
from schema.delivery_rows import COLUMNS, keys_in

THIS = "organisation = :organisation AND id = :id"
EVENT = """
    INSERT INTO delivery_events (organisation, id, delivery_id, status, code, at, attempt, response_status, took_ms,
                                 actor, details)
    SELECT organisation, :event_id, id, :event, CAST(:code AS varchar), :at, CAST(:attempt AS integer),
           CAST(:response_status AS integer), CAST(:took_ms AS integer), CAST(:actor AS varchar), :details
    FROM changed
"""
NOTED = text(f"WITH changed AS (SELECT organisation, id FROM deliveries WHERE {THIS}) {EVENT}").bindparams(
    *json_values("details")
)
"""An event that changes nothing."""


def change(assignments: str, condition: str, which: str = THIS) -> TextClause:
    """Returns the changed delivery, or no row if `condition` did not hold."""
    return text(
        f"""
        WITH changed AS (UPDATE deliveries SET {assignments} WHERE {which} AND {condition} RETURNING *),
        event AS ({EVENT})
        SELECT {COLUMNS}, {keys_in("changed")} FROM changed
        """
    ).bindparams(*json_values("details"))


def event(kind: str, at: datetime, **known: Any) -> Json:
    """The values of `EVENT`."""
    nothing = dict.fromkeys(("code", "attempt", "response_status", "took_ms", "actor", "details"))
    return {**nothing, "event_id": new_id("dev"), "event": kind, "at": at, **known}


def milliseconds(took: timedelta) -> int:
    return int(took.total_seconds() * 1000)
