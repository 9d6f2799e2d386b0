"""A proposal as it comes in over HTTP: somebody else's agent names the calls, our rules say what may happen."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from api.auth import Caller
from api.deps import Services
from api.fields import Body, Flag, Key, ObjectId, Reply, SenderBody
from api.idempotency import new_interaction
from domain.proposal import Proposal, ProposedAction, Source
from domain.values import Channel, Json, Mode, RequestId
from schema.interactions import NewInteraction

MOST_ACTIONS = 10
"""As many as one interaction may have."""


class WantedCall(Body):
    """One tool call, with all of its arguments."""

    tool: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
    arguments: Json = {}

    def action(self) -> ProposedAction:
        return ProposedAction(tool=self.tool, arguments=self.arguments)


class ProposalRequest(Body):
    """What an agent of yours wants to do for a customer, and would like to say."""

    customer_id: Key
    actions: Annotated[tuple[WantedCall, ...], Field(max_length=MOST_ACTIONS)] = ()
    """In the order in which they are to happen."""
    reply: Reply | None = None
    """A draft. It leaves only if every claim in it is backed by what really happened; else a person is asked."""
    confirmed: Literal[True] | None = None
    """The customer said yes to exactly these arguments. Without it nothing that moves money happens by itself."""
    mode: Mode = Mode.LIVE
    request_id: Key | None = None
    conversation_id: ObjectId | None = None
    sender: SenderBody | None = None
    """Where the customer is known by an address only: then the proposal counts for what that address is worth."""

    @model_validator(mode="after")
    def _proposes_something(self) -> "ProposalRequest":
        if not self.actions and self.reply is None:
            raise ValueError("a proposal names actions, or a reply, or both")
        return self

    @property
    def message(self) -> str:
        """Nobody wrote one."""
        return ""

    def meaning(self) -> Json:
        # Told apart from a message of the same request id: it is another thing to ask for.
        return {**self.model_dump(mode="json", by_alias=True, exclude={"request_id"}), "kind": "proposal"}

    def proposal(self) -> Proposal:
        return proposal_of(self.actions, confirmed=bool(self.confirmed), reply=self.reply)


def proposal_of(calls: tuple[WantedCall, ...], *, confirmed: bool | Flag, reply: str | None = None) -> Proposal:
    """As untrusted as any: whoever sent it says nothing about how sure we may be."""
    return Proposal(
        actions=tuple(call.action() for call in calls), reply=reply, source=Source.EXTERNAL, confirmed=bool(confirmed)
    )


def new_proposal(services: Services, caller: Caller, request: ProposalRequest, key: RequestId) -> NewInteraction:
    """The row of a proposal: an interaction without a message."""
    new = new_interaction(services, caller, request, key)
    return replace(new, channel=Channel.API, proposal=request.proposal())
