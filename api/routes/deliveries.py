"""What goes out: every message, its attempts, and the dead letters that wait for a person."""

from collections.abc import Sequence
from typing import Annotated, Self

from fastapi import APIRouter, Path, Query

from api.auth import CallerDep, Scope
from api.deps import Services, ServicesDep
from api.fields import Body, Email, Flag, Instant, Key, Name, ObjectId, Page, Reply
from api.redriving import discard, find_dead_letters, redrive, redrive_all
from api.strict_json import StrictRoute
from domain.delivery import DeliveryStatus
from domain.values import CustomerId, DeliveryId, InteractionId, Json, OrganisationId, Value
from schema.dead_letters import Correction
from schema.deliveries import Delivery, DeliveryEvent, DeliveryFilters, DeliveryRepository
from schema.deliveries import Message as Sent
from schema.delivery_list import last_failures
from schema.session import Session

router = APIRouter(tags=["deliveries"], route_class=StrictRoute)

DeliveryPath = Annotated[ObjectId, Path(alias="deliveryId")]


class DeadLetterQuery(Page):
    channel: Key | None = None
    reason: Key | None = None
    customer_id: Key | None = None
    interaction_id: ObjectId | None = None
    endpoint_id: ObjectId | None = None

    def filters(self, status: DeliveryStatus | None) -> DeliveryFilters:
        return DeliveryFilters(
            status=status,
            channel=self.channel,
            reason=self.reason,
            customer_id=CustomerId(self.customer_id) if self.customer_id else None,
            interaction_id=InteractionId(self.interaction_id) if self.interaction_id else None,
            endpoint_id=self.endpoint_id,
        )


class DeliveryQuery(DeadLetterQuery):
    status: DeliveryStatus | None = None


class CorrectionBody(Body):
    """What is sent instead. What is left out stays."""

    to: Email | None = None
    text: Reply | None = None


class RedriveBody(Body):
    """Send it again, under the same ids."""

    correct: CorrectionBody | None = None

    def correction(self) -> Correction | None:
        correct = self.correct
        changed = correct is not None and (correct.to or correct.text)
        return Correction(body=correct.text, recipient=correct.to) if correct and changed else None


class DiscardBody(Body):
    """Let it be, and say why."""

    note: Name


class RedriveFilter(Body):
    """Which dead letters. All of these must fit; without any, all dead letters."""

    channel: Key | None = None
    reason: Key | None = None
    customer_id: Key | None = None
    interaction_id: ObjectId | None = None
    endpoint_id: ObjectId | None = None


class BulkRedriveBody(Body):
    filter: RedriveFilter
    dry_run: Flag = True
    """Only say which ones. Nothing is sent again unless this is false."""


class BulkRedriven(Value):
    dry_run: bool
    count: int
    ids: tuple[str, ...]
    more: bool
    """There are more than one call takes; repeat it."""


class DeliverySummary(Value):
    """One row of the list: not what it says, nor to whom."""

    id: str
    channel: str
    purpose: str
    status: DeliveryStatus
    attempts: int
    reason: str | None = None
    """Of a dead letter: a code."""
    last_failure: str | None = None
    """What went wrong last: a code. None if it arrived, or nothing went wrong yet."""
    owner: str | None = None
    interaction_id: str | None = None
    customer_id: str | None = None
    effect_id: str | None = None
    endpoint_id: str | None = None
    created_at: Instant
    next_attempt_at: Instant | None = None
    delivered_at: Instant | None = None


class DeliveryList(Value):
    items: tuple[DeliverySummary, ...]
    next_cursor: str | None = None


class Attempt(Value):
    """One thing that happened to it: an attempt begins, ends, or a person decides."""

    at: Instant
    status: str
    attempt: int | None = None
    code: str | None = None
    response_status: int | None = None
    took_ms: int | None = None
    actor: str | None = None
    details: Json | None = None


class DeliveryDetail(DeliverySummary):
    """With everything that happened to it, and what is sent now."""

    payload: str
    recipient: str | None = None
    """Where a person corrected the customer's own address."""
    version: int
    round: int
    """How often it was redriven."""
    message_id: str | None = None
    webhook_id: str | None = None
    decision: str | None = None
    decided_by: str | None = None
    decided_at: Instant | None = None
    history: tuple[Attempt, ...] = ()

    @classmethod
    def of(cls, shown: DeliverySummary, delivery: Delivery, sent: Sent, history: tuple[DeliveryEvent, ...]) -> Self:
        return cls(
            **shown.model_dump(by_alias=False),
            payload=sent.body,
            recipient=sent.recipient,
            version=delivery.version,
            round=delivery.round,
            message_id=delivery.message_id,
            webhook_id=delivery.source_id,
            decision=delivery.decision,
            decided_by=delivery.decided_by,
            decided_at=delivery.decided_at,
            history=tuple(_attempt(event) for event in history),
        )


@router.get("/deliveries", summary="Everything that goes out, newest first")
async def list_deliveries(
    caller: CallerDep, services: ServicesDep, query: Annotated[DeliveryQuery, Query()]
) -> DeliveryList:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    return await _list(services, caller.organisation, query.filters(query.status), query)


@router.get("/dead-letters", summary="What could not be delivered and waits for a person, newest first")
async def list_dead_letters(
    caller: CallerDep, services: ServicesDep, query: Annotated[DeadLetterQuery, Query()]
) -> DeliveryList:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    return await _list(services, caller.organisation, query.filters(DeliveryStatus.DEAD_LETTER), query)


@router.post("/dead-letters/redrive", summary="Send many dead letters again", responses={409: {}})
async def redrive_deliveries(body: BulkRedriveBody, caller: CallerDep, services: ServicesDep) -> BulkRedriven:
    """200 at most in one call. What may have arrived is left out unless `filter.reason` is `outcome_unknown`."""
    caller.need(Scope.OPERATOR)
    chosen = DeadLetterQuery.model_validate(body.filter.model_dump(by_alias=False, exclude_none=True))
    found, more = await find_dead_letters(services, caller, chosen.filters(DeliveryStatus.DEAD_LETTER))
    named = [d.id for d in found] if body.dry_run else await redrive_all(services, caller, found)
    return BulkRedriven(dry_run=body.dry_run, count=len(named), ids=tuple(named), more=more)


@router.get("/deliveries/{deliveryId}", summary="One delivery, with its attempts")
async def get_delivery(delivery_id: DeliveryPath, caller: CallerDep, services: ServicesDep) -> DeliveryDetail:
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    return await _detail(services, caller.organisation, DeliveryId(delivery_id))


@router.post("/deliveries/{deliveryId}/redrive", summary="Send a dead letter again", responses={409: {}})
async def redrive_delivery(
    delivery_id: DeliveryPath, body: RedriveBody, caller: CallerDep, services: ServicesDep
) -> DeliveryDetail:
    """Under the same effect, webhook-id and Message-ID. Of two people one is first; the other hears who, with 409."""
    caller.need(Scope.OPERATOR)
    await redrive(services, caller, DeliveryId(delivery_id), body.correction())
    return await _detail(services, caller.organisation, DeliveryId(delivery_id))


@router.post("/deliveries/{deliveryId}/discard", summary="Let a dead letter be, for good", responses={409: {}})
async def discard_delivery(
    delivery_id: DeliveryPath, body: DiscardBody, caller: CallerDep, services: ServicesDep
) -> DeliveryDetail:
    caller.need(Scope.OPERATOR)
    await discard(services, caller, DeliveryId(delivery_id), body.note)
    return await _detail(services, caller.organisation, DeliveryId(delivery_id))


async def _list(
    services: Services, organisation: OrganisationId, filters: DeliveryFilters, query: Page
) -> DeliveryList:
    async with services.db.transaction(organisation) as session:
        page = await DeliveryRepository(session).list(filters=filters, limit=query.limit, cursor=query.cursor)
        return DeliveryList(items=await summaries(session, page.items), next_cursor=page.next_cursor)


async def _detail(services: Services, organisation: OrganisationId, delivery_id: DeliveryId) -> DeliveryDetail:
    async with services.db.transaction(organisation) as session:
        deliveries = DeliveryRepository(session)
        delivery = await deliveries.get(delivery_id)
        message = await deliveries.message(delivery_id)
        (shown,) = await summaries(session, [delivery])
        return DeliveryDetail.of(shown, delivery, message, await deliveries.events(delivery_id))


async def summaries(session: Session, found: Sequence[Delivery]) -> tuple[DeliverySummary, ...]:
    failed = await last_failures(session, found)
    summaries = (DeliverySummary.model_validate(delivery, from_attributes=True) for delivery in found)
    return tuple(shown.model_copy(update={"last_failure": failed.get(DeliveryId(shown.id))}) for shown in summaries)


def _attempt(event: DeliveryEvent) -> Attempt:
    return Attempt.model_validate(event, from_attributes=True)
