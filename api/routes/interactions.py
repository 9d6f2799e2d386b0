"""What happened: every interaction, and each one's timeline."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from api.answers import Links, current_answer, for_customer, links
from api.auth import Caller, CallerDep, Scope
from api.deps import Services, ServicesDep
from api.fields import Body, Code, Instant, Key, ObjectId, Page
from api.proving import prove, send_again, visible
from api.strict_json import StrictRoute
from api.waiting import wait_of
from domain.answer import Answer
from domain.assurance import Assurance
from domain.interaction import InteractionStatus
from domain.values import ConversationId, CustomerId, Intent, InteractionId, Json, Mode, Value
from schema.interactions import Interaction, InteractionFilters, InteractionRepository
from schema.session import Session

router = APIRouter(prefix="/interactions", tags=["interactions"], route_class=StrictRoute)

InteractionPath = Annotated[ObjectId, Path(alias="interactionId")]


class InteractionSummary(Value):
    """One row of the list: no message, no reply."""

    id: str
    conversation_id: str
    request_id: str
    customer_id: str
    mode: Mode
    status: InteractionStatus
    intent: Intent | None = None
    confidence: float | None = None
    outcome: str | None = None
    created_at: Instant
    finished_at: Instant | None = None


class InteractionList(Value):
    items: tuple[InteractionSummary, ...]
    next_cursor: str | None = None


class Moment(Value):
    """One entry of a timeline."""

    at: Instant
    kind: str
    """`message`, `decision`, `effect`, `handoff`, `delivery` or `audit`."""
    what: str
    """An outcome, a state, an event."""
    id: str
    data: Json = {}


class InteractionDetail(Answer):
    """The answer as it stands now, with everything that led to it, in order."""

    message: str
    created_at: Instant
    answered_at: Instant | None = None
    finished_at: Instant | None = None
    assurance: Assurance
    """How it is known that the customer asks."""
    timeline: tuple[Moment, ...] = ()
    links: Links


class InteractionQuery(Page):
    customer_id: Key | None = None
    conversation_id: ObjectId | None = None
    status: InteractionStatus | None = None
    intent: Intent | None = None
    mode: Mode | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None

    def filters(self) -> InteractionFilters:
        return InteractionFilters(
            customer_id=CustomerId(self.customer_id) if self.customer_id else None,
            conversation_id=ConversationId(self.conversation_id) if self.conversation_id else None,
            status=self.status,
            intent=self.intent,
            mode=self.mode,
            since=self.from_,
            until=self.to,
        )


@router.get("", summary="Interactions, newest first")
async def list_interactions(
    caller: CallerDep, services: ServicesDep, query: Annotated[InteractionQuery, Query()]
) -> InteractionList:
    """A customer sees their own, without what was made of them."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR, Scope.CUSTOMER)
    if query.customer_id is not None and caller.is_other(query.customer_id):
        return InteractionList(items=())
    filters = query.filters() if caller.customer_id is None else _own(query.filters(), caller.customer_id)
    async with services.db.transaction(caller.organisation) as session:
        page = await InteractionRepository(session).list(filters, limit=query.limit, cursor=query.cursor)
    items = tuple(_summary(interaction, caller) for interaction in page.items)
    return InteractionList(items=items, next_cursor=page.next_cursor)


@router.get(
    "/{interactionId}",
    response_model=InteractionDetail,
    summary="One interaction, with everything that led to its answer",
)
async def get_interaction(
    interaction_id: InteractionPath, caller: CallerDep, services: ServicesDep
) -> InteractionDetail | JSONResponse:
    """A key that only sends in reads what it sent by the id it was given, which cannot be guessed; it lists nothing. A
    customer reads what was said, and how it stands."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR, Scope.INGEST, Scope.CUSTOMER)
    async with services.db.transaction(caller.organisation) as session:
        detail = await _detail(services, session, caller, InteractionId(interaction_id))
    if not caller.sees_as_customer:
        return detail
    return JSONResponse(for_customer(detail.model_dump(mode="json")))


async def _detail(
    services: Services, session: Session, caller: Caller, interaction_id: InteractionId
) -> InteractionDetail:
    interactions = InteractionRepository(session)
    interaction = await visible(session, caller, interaction_id)
    answer = await current_answer(session, interaction)
    timeline = await interactions.timeline(interaction.id)
    return InteractionDetail(
        **answer.model_dump(by_alias=False),
        message=interaction.message,
        created_at=interaction.created_at,
        answered_at=interaction.answered_at,
        finished_at=interaction.finished_at,
        assurance=interaction.assurance,
        timeline=tuple(Moment.model_validate(entry, from_attributes=True) for entry in timeline),
        links=links(services, interaction),
    )


class VerifyBody(Body):
    """What the customer gives back."""

    code: Code


class SentAgain(Value):
    """The same code is on its way once more."""

    interaction_id: str
    sends_left: int


@router.post(
    "/{interactionId}/verify",
    response_model=InteractionDetail,
    summary="Give back the code that proves who asks",
    responses={404: {}, 409: {}},
)
async def verify_interaction(
    interaction_id: InteractionPath,
    body: VerifyBody,
    caller: CallerDep,
    services: ServicesDep,
    prefer: Annotated[str | None, Header()] = None,
) -> InteractionDetail | JSONResponse:
    """The request then goes on by itself; waits for what becomes of it up to `Prefer: wait=N` seconds. The right code
    again answers again, the same wrong one counts once, and five different wrong ones end it."""
    caller.need(Scope.INGEST, Scope.CUSTOMER)
    wait = wait_of(prefer, services.chat_wait)
    await prove(services, caller, InteractionId(interaction_id), body.code, wait=wait)
    return await get_interaction(interaction_id, caller, services)


@router.post("/{interactionId}/code", status_code=202, summary="Send the code again", responses={404: {}, 409: {}})
async def send_code_again(interaction_id: InteractionPath, caller: CallerDep, services: ServicesDep) -> SentAgain:
    """The same code, good for as long as before; after 30 seconds, and twice at most."""
    caller.need(Scope.INGEST, Scope.CUSTOMER)
    left = await send_again(services, caller, InteractionId(interaction_id))
    return SentAgain(interaction_id=interaction_id, sends_left=left)


def _own(filters: InteractionFilters, customer_id: CustomerId) -> InteractionFilters:
    """Of this customer only, and nothing that was a rehearsal; what was made of them is no filter either."""
    return replace(filters, customer_id=customer_id, mode=Mode.LIVE, intent=None)


def _summary(interaction: Interaction, caller: Caller) -> InteractionSummary:
    summary = InteractionSummary.model_validate(interaction, from_attributes=True)
    if caller.customer_id is None:
        return summary
    return summary.model_copy(update={"intent": None, "confidence": None, "outcome": None})
