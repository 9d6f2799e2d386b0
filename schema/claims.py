"""A request is taken in: one statement, whatever must be stored for it beside the request itself."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text

from domain.assurance import Assurance
from domain.errors import ConversationNotFound, CustomerNotFound, RequestIdReused
from domain.proposal import Proposal
from domain.values import Channel, ConversationId, CustomerId, InteractionId, Mode, OrganisationId, RequestId
from schema.base import json_values
from schema.customer_keys import ADD, STANDS
from schema.interaction_rows import COLUMNS, KEYS, SEALED, Interaction, read_interaction, read_interactions
from schema.sealed import Place, sealed_with
from schema.seals import CustomerKey
from schema.session import Session


@dataclass(frozen=True, slots=True)
class NewInteraction:
    organisation: OrganisationId
    """The session's own; anything else is refused."""
    id: InteractionId
    customer_id: CustomerId
    request_id: RequestId
    conversation_id: ConversationId | None
    """None means the customer's own chat conversation."""
    channel: Channel
    mode: Mode
    message: str
    fingerprint: str
    """SHA-256 of the canonical body: equal meaning, equal fingerprint."""
    body_fields: dict[str, str]
    """SHA-256 per field, to name what differs without keeping the body."""
    workflow_id: str
    created_at: datetime
    assurance: Assurance = Assurance.NONE
    """How the caller knows that the customer asks."""
    sender: str | None = None
    """The keyed hash of the address it came from, where that is all that is known: then a verified address of this
    customer counts for `channel`, and any other for nothing."""
    proposal: Proposal | None = None
    """Given by somebody else's agent; then there is no message."""


@dataclass(frozen=True, slots=True)
class Claimed:
    interaction: Interaction
    created: bool
    """False: this request was here before, with the same body."""


_CLAIM = text(
    f"""
    WITH place AS (
        SELECT c.organisation, c.id AS customer_id, coalesce(v.id, c.conversation_id) AS conversation_id
        FROM customers c LEFT JOIN conversations v
            ON v.organisation = c.organisation AND v.customer_id = c.id AND v.id = :conversation_id
        WHERE c.organisation = :organisation AND c.id = :customer_id
            AND (CAST(:conversation_id AS varchar) IS NULL OR v.id IS NOT NULL)
            AND NOT EXISTS (
                SELECT FROM interactions x
                WHERE x.organisation = :organisation AND x.customer_id = c.id AND x.request_id = :request_id)
    ), made AS ({ADD})
    INSERT INTO interactions (organisation, id, customer_id, request_id, conversation_id, channel, mode, message,
                              fingerprint, body_fields, workflow_id, status, created_at, proposal, blocked_by,
                              assurance)
    SELECT p.organisation, :id, p.customer_id, :request_id, p.conversation_id, :channel, :mode, :message,
           :fingerprint, :body_fields, CAST(:workflow_id AS varchar), 'running', :created_at,
           CAST(:proposal AS jsonb),
           (SELECT 'restored' FROM lost_requests l
            WHERE l.organisation = :organisation AND l.workflow_id = CAST(:workflow_id AS varchar) AND l.acted),
           CASE WHEN CAST(:sender AS varchar) IS NULL THEN :assurance
                WHEN EXISTS (SELECT FROM customer_channels h
                    WHERE h.organisation = :organisation AND h.customer_id = :customer_id
                        AND h.address_hash = :sender AND h.verified_at IS NOT NULL) THEN 'channel'
                ELSE 'none' END
    FROM place p WHERE {STANDS}
    ON CONFLICT (organisation, customer_id, request_id) DO NOTHING
    RETURNING {COLUMNS}
    """
).bindparams(*json_values("body_fields"))
_CLAIMED_BEFORE = text(
    f"""
    SELECT {COLUMNS}, fingerprint, body_fields, {KEYS} AS keys FROM interactions
    WHERE organisation = :organisation AND customer_id = :customer_id AND request_id = :request_id
    """
)
_CUSTOMER_EXISTS = text("SELECT 1 FROM customers WHERE organisation = :organisation AND id = :customer_id")


class Claiming:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, new: NewInteraction) -> Claimed:
        """As `InteractionRepository.claim` says."""
        if new.organisation != self._session.organisation:
            raise ValueError("an interaction is claimed in its own organisation's transaction")
        seals = self._session.seals
        if seals is None or not seals.writes:
            return await self._store(new, None) or await self._claimed_before(new)
        if key := seals.at_hand(new.organisation, new.customer_id):
            if claimed := await self._store(new, key):
                seals.keep(key)
                return claimed
            # Known already, or the key was destroyed since.
            seals.forget(key)
            with suppress(CustomerNotFound, ConversationNotFound):
                return await self._claimed_before(new)
        key = seals.new(new.organisation, new.customer_id)
        if claimed := await self._store(new, key, is_new=True):
            seals.keep(key)
            return claimed
        return await self._claimed_before(new)

    async def _store(self, new: NewInteraction, key: CustomerKey | None, *, is_new: bool = False) -> Claimed | None:
        """One statement: no question for a key goes before it."""
        row = await self._session.first(
            _CLAIM,
            id=new.id,
            customer_id=new.customer_id,
            request_id=new.request_id,
            conversation_id=new.conversation_id,
            channel=new.channel,
            mode=new.mode,
            message=sealed_with(self._session, key, Place(SEALED["message"], new.id), new.message),
            fingerprint=new.fingerprint,
            body_fields=new.body_fields,
            workflow_id=new.workflow_id,
            created_at=new.created_at,
            assurance=new.assurance,
            sender=new.sender,
            proposal=None if new.proposal is None else new.proposal.model_dump_json(),
            key_id=key and key.id,
            wrapped=key.wrapped if key and is_new else None,
        )
        return Claimed(replace(read_interaction(row), message=new.message), created=True) if row else None

    async def _claimed_before(self, new: NewInteraction) -> Claimed:
        row = await self._session.first(_CLAIMED_BEFORE, customer_id=new.customer_id, request_id=new.request_id)
        if row is None:
            if await self._session.first(_CUSTOMER_EXISTS, customer_id=new.customer_id):
                raise ConversationNotFound("this customer has no such conversation")
            raise CustomerNotFound("no such customer")
        if row.fingerprint != new.fingerprint:
            raise RequestIdReused(
                "this request id was used for another body", fields=_differing(row.body_fields, new.body_fields)
            )
        return Claimed((await read_interactions(self._session, [row]))[0], created=False)


def _differing(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)) or ["body"]
