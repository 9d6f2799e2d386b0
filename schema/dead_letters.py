"""What a person says about a dead letter: send it again, or let it be. One row change decides; the rest follows."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from domain.digest import digest
from domain.errors import Conflict
from domain.values import DeliveryId, Json
from schema.deliveries import DeliveryRepository
from schema.delivery_changes import change, event
from schema.delivery_rows import Delivery, read_delivery
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
    SELECT d.organisation, d.id, d.version, coalesce(CAST(:body AS varchar), before.body, d.body),
           coalesce(CAST(:recipient AS varchar), before.recipient), :actor, :at
    FROM deliveries d LEFT JOIN delivery_versions before
        ON before.organisation = d.organisation AND before.delivery_id = d.id AND before.version = d.version - 1
    WHERE d.organisation = :organisation AND d.id = :id
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
        words: Json = {"redrive": {"body": correction.body, "recipient": correction.recipient} if correction else None}
        said = event("redriven", at, actor=by, details={"corrected": correction is not None})
        row = await self._session.first(
            _REDRIVE, id=delivery_id, digest=digest(words), corrected=int(correction is not None), **said
        )
        if row is None:
            return await self._said_before(delivery_id, "redriven", by, digest(words))
        if correction is not None:
            await self._session.run(
                _CORRECT, id=delivery_id, body=correction.body, recipient=correction.recipient, actor=by, at=at
            )
        return Settled(True, read_delivery(row))

    async def discard(self, delivery_id: DeliveryId, note: str, by: str, at: datetime) -> Settled:
        """Let it be, for good, with a note that says why. Repeats and errors as for `redrive`."""
        said = event("discarded", at, actor=by, details={"note": note})
        words = digest({"discard": note})
        row = await self._session.first(_DISCARD, id=delivery_id, digest=words, **said)
        if row is None:
            return await self._said_before(delivery_id, "discarded", by, words)
        return Settled(True, read_delivery(row))

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
