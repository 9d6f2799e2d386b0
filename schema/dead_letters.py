"""What a person says about a dead letter: send it again, or let it be. One row change decides; the rest follows."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.digest import digest
from domain.errors import Conflict
from domain.values import DeliveryId, Json
from schema.deliveries import CORRECTED, DeliveryRepository
from schema.delivery_changes import change, event
from schema.delivery_rows import Delivery, read_one
from schema.sealed import sealed
from schema.session import Session

_UNTOLD = "told_at = NULL, tell_at = NULL"
_DECIDED = f"decision = :event, decided_by = :actor, decided_at = :at, decision_digest = :digest, {_UNTOLD}"
_REDRIVE = change(
    f"""{_DECIDED}, status = 'pending', reason = NULL, owner = :actor, round = round + 1, attempts_before = attempts,
        version = version + CAST(:corrected AS integer)""",
    "status = 'dead_letter'",
)
_DISCARD = change(f"{_DECIDED}, status = 'discarded'", "status = 'dead_letter'")
_LOCK = text("SELECT FROM deliveries WHERE organisation = :organisation AND id = :id FOR NO KEY UPDATE")
_CORRECT = text(
    """
    INSERT INTO delivery_versions (organisation, delivery_id, version, body, recipient, actor, at)
    SELECT organisation, id, version, :body, :recipient, :actor, :at FROM deliveries
    WHERE organisation = :organisation AND id = :id
    """
)


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to be sent instead. None leaves it as it is."""

    body: str | None = None
    recipient: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    first: bool
    """False: the same person had said exactly this before."""
    record: Delivery


class DeadLetterRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def lock(self, delivery_id: DeliveryId) -> None:
        """Nobody else decides about it until the end of the transaction: what is said from here on was said later."""
        await self._session.run(_LOCK, id=delivery_id)

    async def redrive(
        self, delivery_id: DeliveryId, by: str, at: datetime, correction: Correction | None = None
    ) -> Settled:
        """Send it again, under the same ids, with the schedule begun anew. Of many at once one is first.

        Saying the same again as the same person returns the record as it stands, until it is a dead letter anew.
        `Conflict` (what, by whom, when) if somebody else was first, or if it is no dead letter; `NotFound`.
        """
        deliveries = DeliveryRepository(self._session)
        before = await deliveries.message(delivery_id) if correction is not None else None
        words: Json = {"redrive": {"body": correction.body, "recipient": correction.recipient} if correction else None}
        said = event("redriven", at, actor=by, details={"corrected": correction is not None})
        row = await self._session.first(
            _REDRIVE, id=delivery_id, digest=digest(words), corrected=int(correction is not None), **said
        )
        if row is None:
            return await self._said_before(delivery_id, "redriven", by, digest(words))
        redriven = await read_one(self._session, row)
        assert redriven is not None
        if correction is not None and before is not None:
            now = {
                CORRECTED["corrected"]: before.body if correction.body is None else correction.body,
                CORRECTED["recipient"]: before.recipient if correction.recipient is None else correction.recipient,
            }
            body, recipient = await sealed(self._session, redriven.customer_id, delivery_id, now)
            await self._session.run(_CORRECT, id=delivery_id, body=body, recipient=recipient, actor=by, at=at)
        return Settled(True, redriven)

    async def discard(self, delivery_id: DeliveryId, note: str, by: str, at: datetime) -> Settled:
        """Let it be, for good, with a note that says why. Repeats and errors as for `redrive`."""
        said = event("discarded", at, actor=by, details={"note": note})
        words = digest({"discard": note})
        row = await self._session.first(_DISCARD, id=delivery_id, digest=words, **said)
        if row is None:
            return await self._said_before(delivery_id, "discarded", by, words)
        discarded = await read_one(self._session, row)
        assert discarded is not None
        return Settled(True, discarded)

    async def _said_before(self, delivery_id: DeliveryId, decision: str, by: str, words: str) -> Settled:
        record = await DeliveryRepository(self._session).get(delivery_id)
        if (record.decision, record.decided_by, record.decision_digest) == (decision, by, words):
            return Settled(False, record)
        raise Conflict(
            "this is not a dead letter, or not any more",
            status=record.status,
            decision=record.decision,
            by=record.decided_by,
            at=record.decided_at,
        )
