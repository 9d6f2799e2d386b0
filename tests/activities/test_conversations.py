"""What a takeover costs where there is none: nothing."""

from typing import Any, cast

import pytest

from activities.conversations import in_its_conversation, kept_still
from activities.record import Record
from domain.decision import Decision, Outcome
from domain.facts import ConversationFacts, Facts
from domain.interaction import InteractionRef, InteractionStatus
from domain.values import Channel, ConversationId, InteractionId, Mode, RequestId
from schema.interactions import Interaction
from schema.session import Session
from tests.schema.given import ACME, ANNA, NOW, account

OUT_OF_REACH = Session(ACME, cast(Any, None))
"""A transaction that cannot run a statement."""
REF = InteractionRef(organisation=ACME, interaction_id=InteractionId("int_1"), mode=Mode.LIVE)


def interaction(message: str) -> Interaction:
    return Interaction(
        organisation=ACME, id=REF.interaction_id, customer_id=ANNA, request_id=RequestId("r"),
        conversation_id=ConversationId("cnv_1"), channel=Channel.CHAT, mode=Mode.LIVE, message=message,
        workflow_id="w", status=InteractionStatus.RUNNING, intent=None, confidence=None, outcome=None, reply=None,
        answer=None, handoff_id=None, created_at=NOW, answered_at=None, finished_at=None,
    )  # fmt: skip


def facts(**conversation: bool) -> Facts:
    return Facts(now=NOW, account=account(), conversation=ConversationFacts(**conversation))


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("message", ["refund please", "hello", "I want a human"])
async def test_a_message_in_a_conversation_nobody_holds_costs_no_statement(outcome: Outcome, message: str) -> None:
    decision, asked = Decision(outcome=outcome), interaction(message)
    assert await in_its_conversation(OUT_OF_REACH, REF, asked, decision, facts()) is decision
    record = Record(interaction=asked, facts=facts(), decision_id=None, decision=decision, effects=())
    assert await kept_still(OUT_OF_REACH, record, NOW) is None


@pytest.mark.parametrize("state", ["held", "closed", "awaited"])
async def test_negative_control_any_other_state_needs_the_database(state: str) -> None:
    with pytest.raises(AttributeError):
        await in_its_conversation(OUT_OF_REACH, REF, interaction("refund please"), Decision(), facts(**{state: True}))


@pytest.mark.parametrize("state", ["held", "closed", "awaited"])
async def test_shadow_looks_and_touches_nothing(state: str) -> None:
    shadow = REF.model_copy(update={"mode": Mode.SHADOW})
    decision = await in_its_conversation(
        OUT_OF_REACH, shadow, interaction("refund please"), Decision(), facts(**{state: True})
    )
    assert (decision.reasons[0].code == "conversation_taken_over" if decision.reasons else False) is (state == "held")
