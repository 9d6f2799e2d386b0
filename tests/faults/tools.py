"""What the agent of a fault run can do outside: a complaint desk that recognises keys, and a parcel tracer that does
everything it is told again. Both are what a careful adapter looks like: a failure says what is known of the effect."""

import os
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
from pydantic import ConfigDict

from domain.agents.agent import AgentSpec, Grant
from domain.agents.support import SUPPORT, propose
from domain.errors import ToolOutcomeUnknown, ToolRefused, ToolUnavailable
from domain.facts import Facts
from domain.ports import Ports
from domain.proposal import Proposal, ProposedAction, Understanding
from domain.tools import TOOLS
from domain.tools.tool import AnyTool, EffectClass, Tool, ToolCall
from domain.values import Intent, Json, Value

WORLD = "FAULTS_WORLD"
"""The variable that names the world's URL."""
TIMEOUT_S = "FAULTS_TOOL_TIMEOUT_S"
"""The variable that says how long a tool waits for the world."""


class NoArguments(Value):
    """Whom it concerns comes from the call."""

    model_config = ConfigDict(extra="forbid")


async def _post(system: str, _: NoArguments, call: ToolCall, ports: Ports) -> Json:
    async with httpx2.AsyncClient(timeout=30) as http:
        try:
            answer = await http.post(
                f"{os.environ[WORLD]}/{system}",
                json={"customer": call.customer_id},
                headers={"Idempotency-Key": call.key},
            )
        except httpx2.ConnectError as error:
            raise ToolUnavailable("not reached") from error
        except httpx2.HTTPError as error:
            raise ToolOutcomeUnknown("no answer") from error
    if answer.status_code == 503 and "retry-after" in answer.headers:
        raise ToolUnavailable("not now")
    if answer.status_code == 422:
        raise ToolRefused("refused")
    try:
        return {"reference": str(answer.json()["reference"])}
    except (ValueError, KeyError) as error:
        raise ToolOutcomeUnknown("an answer nobody can read") from error


def _tool(name: str, system: str, *, idempotent: bool) -> AnyTool:
    run: Any = partial(_post, system)
    return Tool(
        name=name,
        summary="Somebody else's system.",
        arguments=NoArguments,
        run=run,
        effect=EffectClass.WRITE,
        idempotent=idempotent,
        timeout=timedelta(seconds=float(os.environ.get(TIMEOUT_S, "1.5"))),
    )


ALL: dict[str, AnyTool] = {
    **TOOLS,
    "file_complaint": _tool("file_complaint", "keyed", idempotent=True),
    "trace_parcel": _tool("trace_parcel", "keyless", idempotent=False),
}
OUTSIDE = {Intent.COMPLAINT: "file_complaint", Intent.ORDER_STATUS: "trace_parcel"}


def _propose(understanding: Understanding, facts: Facts) -> Proposal:
    own = propose(understanding, facts)
    tool = OUTSIDE.get(understanding.intent)
    if tool is None or understanding.wants_human:
        return own
    return own.model_copy(update={"actions": (ProposedAction(tool=tool, arguments={}),)})


AGENT: AgentSpec = replace(
    SUPPORT,
    propose=_propose,
    grants={**SUPPORT.grants, **{intent: Grant(write=frozenset({tool})) for intent, tool in OUTSIDE.items()}},
)
