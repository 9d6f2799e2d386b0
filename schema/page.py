"""Lists, newest first or nearest first: a page and an opaque cursor to the next one. No OFFSET, so a deep page costs
what the first one does."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeVar

from domain.errors import RequestInvalid
from schema.session import Record

T = TypeVar("T")
MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    next_cursor: str | None
    """Give it back to continue; none at the end."""


class Position(NamedTuple):
    """Where a page ended: the sort key of its last row."""

    at: datetime
    id: str


END_OF_TIME = Position(datetime.max.replace(tzinfo=UTC), "")
"""Where the first page of a newest-first list starts."""


def encode(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps([position.at.isoformat(), position.id]).encode()).decode().rstrip("=")


def decode(cursor: str) -> Position:
    """The position, or `RequestInvalid` for anything that did not come from `encode`."""
    try:
        at, row_id = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        position = Position(datetime.fromisoformat(at), row_id)
        if position.at.tzinfo and row_id.isascii() and row_id.isprintable() and encode(position) == cursor:
            return position
    except (ValueError, TypeError, AttributeError):
        pass
    raise RequestInvalid("the cursor is not one of ours", fields=["cursor"])


def checked_limit(limit: int) -> int:
    """How many rows to ask for: one more than the page, to know whether there is a next one."""
    if not 1 <= limit <= MAX_PAGE:
        raise RequestInvalid(f"limit is 1 to {MAX_PAGE}", fields=["limit"])
    return limit + 1


def page(
    rows: Sequence[Record], limit: int, item: Callable[[Record], T], position: Callable[[Record], Position]
) -> Page[T]:
    """The page in these rows, which hold one more than `limit` if there is a next page."""
    shown = rows[:limit]
    more = encode(position(shown[-1])) if len(rows) > limit else None
    return Page(tuple(item(row) for row in shown), more)
