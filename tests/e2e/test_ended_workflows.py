"""Somebody ends workflows behind the product's back, or Temporal loses them: what people decide still happens, once."""

from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.e2e.test_handoffs import asked, decide, digest_of
from tests.house import DEMO, ID_KEY, House
from workflows import ids

__all__ = ["asked"]

KEY = ID_KEY.encode()


def interaction_id(request_id: str) -> str:
    return ids.interaction(DEMO, "cust_456", request_id, KEY)


@pytest.mark.parametrize("verb", ["terminate", "cancel"])
@pytest.mark.parametrize(
    "ended", [("interaction",), ("handoff",), ("interaction", "handoff"), ("handoff", "interaction")]
)
async def test_an_approval_is_acted_on_whichever_workflow_was_ended(
    house: House, asked: dict[str, Any], ended: tuple[str, ...], verb: str
) -> None:
    names = {"interaction": interaction_id("r1"), "handoff": ids.handoff(DEMO, asked["handoff"]["id"])}
    await house.until_started(names["handoff"])
    for name in ended:
        await getattr(house.temporal.get_workflow_handle(names[name]), verb)()
    approved = await decide(house, asked, "approve", digest=await digest_of(house, asked))
    ended_as = await house.until_finished(asked["interactionId"])
    assert (approved.status_code, ended_as["status"]) == (200, "completed")
    assert [r.amount for r in await house.refunds()] == [48_000]


async def test_a_reset_interaction_waits_for_the_same_handoff_again(house: House, asked: dict[str, Any]) -> None:
    """Temporal's reset runs the interaction again from its first task, beside the handoff the first run started."""
    handle = house.temporal.get_workflow_handle(interaction_id("r1"))
    described = await handle.describe()
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

    await house.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=house.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=described.id, run_id=described.run_id),
            workflow_task_finish_event_id=4,
            request_id="reset-1",
            reason="a test",
        )
    )
    await decide(house, asked, "approve", digest=await digest_of(house, asked))
    ended = await house.until_finished(asked["interactionId"])
    assert ended["status"] == "completed"
    assert len(await house.refunds()) == 1
    assert (await handle.describe()).status in {WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED}


async def test_P7_a_yes_does_not_cover_an_account_that_was_closed_meanwhile(
    house: House, asked: dict[str, Any]
) -> None:
    await house.customer("cust_456", plan="enterprise", email="c456@example.com", status="closed")
    await decide(house, asked, "approve", digest=await digest_of(house, asked))
    shown = await house.until(asked["interactionId"], lambda i: i["handoff"]["kind"] == "takeover")
    takeover = (await house.http.get(f"/handoffs/{shown['handoff']['id']}")).json()
    assert (takeover["reason"], await house.refunds()) == ("approval_no_longer_possible", [])
