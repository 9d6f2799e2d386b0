"""What happened: every interaction, and each one's timeline."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api.answers import Links, current_answer, links
from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Instant, Key, ObjectId, Page
from api.strict_json import StrictRoute
from domain.answer import Answer
from domain.interaction import InteractionStatus
from domain.values import ConversationId, CustomerId, Intent, InteractionId, Json, Mode, Value
from schema.interactions import InteractionFilters, InteractionRepository

router = APIRouter(prefix="/interactions", tags=["interactions"], route_class=StrictRoute)


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
    caller.need(Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        page = await InteractionRepository(session).list(query.filters(), limit=query.limit, cursor=query.cursor)
    items = tuple(InteractionSummary.model_validate(i, from_attributes=True) for i in page.items)
    return InteractionList(items=items, next_cursor=page.next_cursor)


@router.get("/{interactionId}", summary="One interaction, with everything that led to its answer")
async def get_interaction(
    interaction_id: Annotated[ObjectId, Path(alias="interactionId")], caller: CallerDep, services: ServicesDep
) -> InteractionDetail:
    """A key that only sends in reads what it sent by the id it was given, which cannot be guessed; it lists nothing."""
    caller.need(Scope.OPERATOR, Scope.AUDITOR, Scope.INGEST)
    async with services.db.transaction(caller.organisation) as session:
        interactions = InteractionRepository(session)
        interaction = await interactions.get(InteractionId(interaction_id))
        answer = await current_answer(session, interaction)
        timeline = await interactions.timeline(interaction.id)
    return InteractionDetail(
        **answer.model_dump(by_alias=False),
        message=interaction.message,
        created_at=interaction.created_at,
        answered_at=interaction.answered_at,
        finished_at=interaction.finished_at,
        timeline=tuple(Moment.model_validate(entry, from_attributes=True) for entry in timeline),
        links=links(services, interaction),
    )
