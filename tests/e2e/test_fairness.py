"""A backlog of one organisation does not make another wait for all of it."""

import asyncio
import secrets

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import Priority
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from domain.values import OrganisationId
from tests.api.test_auth import bearer
from tests.house import House
from tests.temporal import DevServer
from workflows.options import fair_share

FLOOD, STEADY = OrganisationId("flood"), OrganisationId("steady")
BACKLOG, FEW = 60, 6
_served: list[str] = []


@workflow.defn(name="test-served")
class Served:
    """Writes down whose turn it is."""

    @workflow.run
    async def run(self, organisation: str) -> None:
        _served.append(organisation)


async def turns(client: Client, *, fair: bool) -> list[int]:
    """Whose turn it is when one worker comes back to a long backlog of one and a few of another that came last: the
    turns of the other."""
    queue, handles = f"q-{secrets.token_hex(4)}", []
    for organisation, count in ((FLOOD, BACKLOG), (STEADY, FEW)):
        for number in range(count):
            handles.append(
                await client.start_workflow(
                    Served.run, organisation, id=f"{queue}-{organisation}-{number}", task_queue=queue,
                    priority=fair_share(organisation) if fair else Priority.default,
                )
            )  # fmt: skip
    _served.clear()
    async with Worker(
        client, task_queue=queue, workflows=[Served], workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=2, max_concurrent_workflow_task_polls=2,
    ):  # fmt: skip
        await asyncio.gather(*[handle.result() for handle in handles])
    return [turn for turn, organisation in enumerate(_served) if organisation == STEADY]


async def test_T8_who_came_last_with_little_does_not_wait_for_a_backlog_of_somebody_else(temporal: DevServer) -> None:
    found = await turns(await temporal.connect(), fair=True)
    assert len(found) == FEW
    assert max(found) < BACKLOG / 2


async def test_T8_negative_control_without_the_key_it_waits_for_all_of_it(temporal: DevServer) -> None:
    found = await turns(await temporal.connect(), fair=False)
    assert min(found) > BACKLOG / 2


@pytest.mark.parametrize("organisation", ["short", "o" * 200, "ü" * 40], ids=len)
async def test_T8_every_workflow_queues_as_its_organisation_whatever_that_is_called(
    house: House, organisation: str
) -> None:
    key = bearer(await house.key("admin", organisation=organisation))
    body = {"name": "N", "plan": "pro", "status": "active"}
    await house.http.put("/customers/cust_1", json=body, headers=key)
    message = {"customerId": "cust_1", "message": "I want to talk to a human"}
    asked = await house.http.post("/chat", json=message, headers=key)
    assert asked.status_code in {200, 202}, asked.text
    keys = set()
    async for found in house.temporal.list_workflows():
        described = await house.temporal.get_workflow_handle(found.id).describe()
        keys.add(described.raw_description.workflow_execution_info.priority.fairness_key)
    assert keys == {fair_share(OrganisationId(organisation)).fairness_key}
    assert all(len(key.encode()) <= 64 for key in keys)
