"""Ask for a person.

It is a tool so that a model, an outside agent or a graph can ask for a person the way it asks for anything else, and
so that policies, digests and the audit see the wish. It is carried out by the workflow, which opens the handoff with
its clock and waits: no port could do that, so `run` refuses.
"""

from typing import Annotated

from pydantic import ConfigDict, StringConstraints

from domain.errors import ToolRefused
from domain.facts import Facts
from domain.ports import Ports
from domain.tools.tool import EffectClass, Tool, ToolCall
from domain.values import Json, Value


class HandoffToHumanArguments(Value):
    """Why a person is wanted, as a short code or phrase without personal data."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


async def _run(arguments: HandoffToHumanArguments, call: ToolCall, ports: Ports) -> Json:
    raise ToolRefused("handled by the workflow", tool="handoff_to_human")


def _preview(arguments: HandoffToHumanArguments, facts: Facts) -> Json:
    return {"reason": arguments.reason}


handoff_to_human = Tool(
    name="handoff_to_human",
    summary="Pass the customer to a person.",
    arguments=HandoffToHumanArguments,
    run=_run,
    effect=EffectClass.WRITE,
    idempotent=True,
    atomic=True,
    preview=_preview,
)
"""Never reaches a port: the workflow opens the handoff. A preview shows `{reason}`."""
