"""The attempts of a delivery: each on record before it is made, numbered, and settled once."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, text

from domain.delivery import Failure, Receipt
from domain.values import DeliveryId, Json
from schema.delivery_changes import NOTED, change, event, milliseconds
from schema.delivery_rows import Delivery
from schema.session import Session

_IS_OPEN = text(
    """
    SELECT d.attempts FROM deliveries d WHERE d.organisation = :organisation AND d.id = :id AND d.attempts > 0
        AND NOT EXISTS (SELECT FROM delivery_events e WHERE e.organisation = d.organisation AND e.delivery_id = d.id
                        AND e.attempt = d.attempts AND e.status <> 'attempting')
    """
)
_CAME_BACK = text(
    """
    SELECT status = 'bounced' AS came_back FROM delivery_events
    WHERE organisation = :organisation AND delivery_id = :id AND status IN ('delivered', 'bounced')
    ORDER BY at DESC, id DESC LIMIT 1
    """
)
_MINE = "status = 'pending' AND attempts = :attempt"
_BEGIN = change(
    "attempts = attempts + 1, next_attempt_at = NULL, message_id = coalesce(message_id, :message_id)",
    "status = 'pending' AND attempts + 1 = :attempt",
)
_DELIVERED = change("status = 'delivered', delivered_at = :at, next_attempt_at = NULL", _MINE)
_RETRY = change("next_attempt_at = :next_at", _MINE)
_GIVE_UP = change("status = 'dead_letter', reason = :code, owner = :owner, next_attempt_at = NULL", _MINE)
_REFUSE = change("status = 'dead_letter', reason = :code, owner = :owner, next_attempt_at = NULL", "status = 'pending'")
_HOLD = change("next_attempt_at = :next_at", "status = 'pending'")


class AttemptRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin(self, delivery: Delivery, at: datetime, message_id: str | None = None) -> int:
        """Put an attempt on record; commit before sending. `delivery` must be locked and pending. The number fences the
        attempt: give it back to what settles it. An earlier one nobody reported on is recorded as `lost`."""
        attempt = delivery.attempts + 1
        if await self.is_open(delivery.id):
            await self._session.run(NOTED, id=delivery.id, **event("lost", at, attempt=delivery.attempts))
        began = event("attempting", at, attempt=attempt)
        if await self._session.first(_BEGIN, id=delivery.id, message_id=message_id, **began) is None:
            raise ValueError("an attempt needs a locked, pending delivery")
        return attempt

    async def is_open(self, delivery_id: DeliveryId) -> bool:
        """Whether the newest attempt has no outcome: it is under way, or its worker died."""
        return await self._session.first(_IS_OPEN, id=delivery_id) is not None

    async def came_back(self, delivery_id: DeliveryId) -> bool:
        """Whether it was taken, and a report said later that it did not arrive."""
        row = await self._session.first(_CAME_BACK, id=delivery_id)
        return row is not None and bool(row.came_back)

    async def deliver(
        self, delivery_id: DeliveryId, attempt: int, receipt: Receipt, at: datetime, took: timedelta
    ) -> bool:
        """It arrived. False if the attempt had been overtaken: then it is on record as `late` and nothing changed."""
        said = event(
            "delivered", at, attempt=attempt, response_status=receipt.response_status, took_ms=milliseconds(took)
        )
        return await self._settle(_DELIVERED, delivery_id, said)

    async def retry(
        self, delivery_id: DeliveryId, attempt: int, failure: Failure, at: datetime, took: timedelta, wait: timedelta
    ) -> bool:
        """It did not; another attempt follows after `wait`. False as above."""
        said = _failed("retry", attempt, failure, at, took)
        return await self._settle(_RETRY, delivery_id, said, next_at=at + wait)

    async def give_up(
        self,
        delivery_id: DeliveryId,
        attempt: int,
        reason: str,
        owner: str,
        failure: Failure,
        at: datetime,
        took: timedelta,
    ) -> bool:
        """To the dead letters; the event keeps what the attempt itself said. False as above."""
        said = _failed("dead_letter", attempt, failure, at, took)
        return await self._settle(
            _GIVE_UP, delivery_id, said | {"code": reason, "details": {"said": failure.code}}, owner=owner
        )

    async def refuse(self, delivery_id: DeliveryId, reason: str, owner: str, at: datetime) -> bool:
        """To the dead letters without an attempt. False if it is not pending."""
        said = event("dead_letter", at, code=reason)
        return await self._session.first(_REFUSE, id=delivery_id, owner=owner, **said) is not None

    async def hold(self, delivery_id: DeliveryId, code: str, at: datetime, until: datetime) -> None:
        """It waits without an attempt, for the quiet hours to end or for a place in the receiver's queue."""
        await self._session.first(_HOLD, id=delivery_id, next_at=until, **event("held", at, code=code))

    async def _settle(self, statement: TextClause, delivery_id: DeliveryId, said: Json, **values: Any) -> bool:
        changed = await self._session.first(statement, id=delivery_id, **said, **values)
        if changed is None:
            await self._session.run(NOTED, id=delivery_id, **said | {"event": "late"})
        return changed is not None


def _failed(kind: str, attempt: int, failure: Failure, at: datetime, took: timedelta) -> Json:
    return event(
        kind,
        at,
        attempt=attempt,
        code=failure.code,
        response_status=failure.response_status,
        took_ms=milliseconds(took),
    )
