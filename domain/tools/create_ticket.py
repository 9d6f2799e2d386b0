"""Open a support ticket."""

from typing import Annotated

from pydantic import ConfigDict, StringConstraints

from domain.facts import Facts
from domain.ports import Ports
from domain.tools.tool import EffectClass, Tool, ToolCall
from domain.values import Json, Priority, Value


class CreateTicketArguments(Value):
    """What it is about, in a word or two (usually the intent), and how soon somebody should look."""

    model_config = ConfigDict(extra="forbid")

    topic: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    priority: Priority = Priority.NORMAL


async def _run(arguments: CreateTicketArguments, call: ToolCall, ports: Ports) -> Json:
    receipt = await ports.tickets.create_ticket(
        call.key, call.customer_id, arguments.topic, arguments.priority, call.interaction_id
    )
    return {"ticketId": receipt.ticket_id}


def _preview(arguments: CreateTicketArguments, facts: Facts) -> Json:
    return {"topic": arguments.topic, "priority": arguments.priority.value}


create_ticket = Tool(
    name="create_ticket",
    summary="Open a ticket so that a colleague follows up.",
    arguments=CreateTicketArguments,
    run=_run,
    effect=EffectClass.WRITE,
    idempotent=True,
    atomic=True,
    preview=_preview,
)
"""Result: `{ticketId}`; a preview has no ticket yet and shows `{topic, priority}`."""
