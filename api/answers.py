"""How an answer looks over HTTP: the recorded one, with what only this request knows."""

from api.deps import Services
from domain.answer import Answer, Asked, ShownAction, ShownHandoff, answer_of
from domain.correction import is_about_the_message
from domain.interaction import InteractionStatus
from domain.values import Json, Value
from schema.decisions import DecisionRepository
from schema.effects import EffectRepository, EffectStanding
from schema.handoffs import Handoff, HandoffFilters, HandoffRepository
from schema.interactions import Interaction
from schema.session import Session


class Links(Value):
    self: str
    temporal: str | None = None
    """The workflow in Temporal's Web UI, where one is known."""


class ChatAnswer(Answer):
    replayed: bool = False
    """This answer was given before; nothing was done again."""
    links: Links


class PendingAnswer(Value):
    """202: the request is safe and being worked on."""

    interaction_id: str
    request_id: str
    customer_id: str
    status: InteractionStatus = InteractionStatus.RUNNING
    links: Links

    @classmethod
    def of(cls, interaction: Interaction, links: Links) -> "PendingAnswer":
        return cls(
            interaction_id=interaction.id,
            request_id=interaction.request_id,
            customer_id=interaction.customer_id,
            links=links,
        )


FOR_CUSTOMERS = frozenset({
    "interactionId", "conversationId", "requestId", "customerId", "mode", "status", "reply", "replayed",
    "message", "createdAt", "answeredAt", "finishedAt",
})  # fmt: skip
"""What a customer is shown of an answer: why it was decided so, and by whom, is not theirs."""


def for_customer(answer: Json) -> Json:
    """The members a customer is shown, and where to look again."""
    shown = {name: value for name, value in answer.items() if name in FOR_CUSTOMERS}
    return {**shown, "links": {"self": answer["links"]["self"]}}


def links(services: Services, interaction: Interaction) -> Links:
    """Where to look: our own timeline, and the workflow in Temporal's Web UI."""
    web_ui = services.temporal_ui_url
    workflow = f"{web_ui}/namespaces/{services.temporal.namespace}/workflows/{interaction.workflow_id}"
    return Links(self=f"/interactions/{interaction.id}", temporal=workflow if web_ui else None)


async def current_answer(session: Session, interaction: Interaction) -> Answer:
    """The answer as it stands now: the first one, with what became of status, reply, effects and handoff since."""
    asked = Asked.model_validate(interaction, from_attributes=True)
    decisions = await DecisionRepository(session).list(interaction.id)
    standings = await EffectRepository(session).list_for_interaction(interaction.id)
    handoffs = await HandoffRepository(session).list(HandoffFilters(interaction_id=interaction.id))
    first = Answer.model_validate(interaction.answer) if interaction.answer else None
    now = answer_of(
        asked,
        status=interaction.status,
        reply=interaction.reply,
        decision=next((d.decision for d in reversed(decisions) if is_about_the_message(d.stage)), None),
        actions=[shown_effect(s) for s in standings] or (first.actions if first else ()),
        handoff=shown_handoff(max(handoffs.items, key=lambda h: h.opened_at)) if handoffs.items else None,
    )
    return now.model_copy(update={"verification": first.verification}) if first else now


def shown_effect(standing: EffectStanding) -> ShownAction:
    return ShownAction.of(standing.effect.tool, standing.effect.arguments, standing.state, standing.result)


def shown_handoff(handoff: Handoff) -> ShownHandoff:
    return ShownHandoff(id=handoff.id, kind=handoff.kind, priority=handoff.priority, sla_due_at=handoff.sla_due_at)
