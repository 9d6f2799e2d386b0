"""Every committed history replays against today's workflows. `make histories` records them anew."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from activities.deliveries import DeliveryActivities
from domain.delivery import DeliveryRef, DeliveryResult, DeliveryStatus, SendInput
from domain.handoff import HandoffInput, Resolution
from domain.interaction import InteractionRef, InteractionResult
from workflows.attributes import ORGANISATION
from workflows.delivery import SENDING
from workflows.runtime import WORKFLOWS, temporal_plugin

HISTORIES = Path(__file__).parent / "histories"
EXPECTED = {
    "audit_sealed",
    "delivery_delivered",
    "delivery_discarded",
    "delivery_redriven",
    "delivery_retried",
    "erasure_held",
    "erasure_waiting",
    "handoff_approved",
    "handoff_rejected",
    "handoff_resolved",
    "handoff_waiting",
    "interaction_answered_without_action",
    "interaction_approved",
    "interaction_code_used_up",
    "interaction_corrected",
    "interaction_effect_unknown",
    "interaction_failed",
    "interaction_finished_by_a_person",
    "interaction_passed_on",
    "interaction_proceeded",
    "interaction_proven",
    "interaction_refused",
    "interaction_rejected",
    "interaction_resolved",
    "interaction_shadow",
    "interaction_waiting",
    "retention_ended",
    "interaction_waiting_for_code",
    "rollup_counted",
}


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())


def test_there_is_a_history_for_every_outcome() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
async def test_a_recorded_run_replays(name: str) -> None:
    await Replayer(workflows=list(WORKFLOWS), plugins=[temporal_plugin()]).replay_workflow(history(name))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_no_history_holds_what_a_customer_or_an_operator_wrote(name: str) -> None:
    text = (HISTORIES / f"{name}.json").read_text()
    payloads = " ".join(decoded(text))
    for private in (
        "refund please",
        "I want a human",
        "Test Person",
        "example.com",
        "this is Ana",
        "crashes whenever",
        "xyzzy",
    ):
        assert private not in payloads
    known = re.search('"(interaction|handoff|delivery|erasure)Id"|"everywhere"|count what|end what', payloads)
    assert known, "nothing was decoded: the check proves nothing"


@workflow.defn(name="interaction")
class ReorderedInteraction:
    """The interaction, but it waits before it understands: what a careless edit looks like."""

    @workflow.run
    async def run(self, start: InteractionRef) -> InteractionResult:
        await workflow.sleep(timedelta(seconds=1))
        return InteractionResult()


@workflow.defn(name="handoff")
class ImpatientHandoff:
    """The handoff without its clock."""

    @workflow.run
    async def run(self, start: HandoffInput) -> Resolution:
        return Resolution(handoff_id=start.handoff_id)


@workflow.defn(name="delivery")
class ForgetfulDelivery:
    """The delivery without a second attempt."""

    @workflow.run
    async def run(self, start: DeliveryRef) -> DeliveryResult:
        workflow.upsert_search_attributes([ORGANISATION.value_set(start.organisation)])
        await workflow.execute_activity_method(DeliveryActivities.send, SendInput(delivery=start, busy=0), **SENDING)
        return DeliveryResult(status=DeliveryStatus.DELIVERED)


@pytest.mark.parametrize("name", ["interaction_proceeded", "handoff_waiting", "delivery_retried"])
async def test_negative_control_a_breaking_edit_does_not_replay(name: str) -> None:
    replayer = Replayer(
        workflows=[ReorderedInteraction, ImpatientHandoff, ForgetfulDelivery],
        plugins=[temporal_plugin()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(history(name))


def decoded(text: str) -> Iterator[str]:
    """Every payload of a history in clear."""
    import base64
    import json

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            data = node.get("data")
            if isinstance(data, str) and "metadata" in node:
                yield base64.b64decode(data).decode(errors="replace")
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    yield from walk(json.loads(text))
