"""D-3, the whole product: everything Temporal keeps is sealed, and a worker believes nothing else."""

import asyncio
import base64
import json
import secrets
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowHistory,
)
from temporalio.worker import Replayer

from adapters.llm.embedded import EmbeddedIntentModel
from adapters.payload_codec import KEY_ID, PayloadKeys, SealingCodec, codec_of, key_id, new_payload_key
from domain.audit import SealInput
from tests.api.conftest import served
from tests.e2e.test_handoffs import asked, decide, digest_of
from tests.house import House
from tests.sealed import CODEC, PAYLOAD_KEY, is_sealed, payloads, unseal
from worker import Parts, build_worker
from workflows import ids
from workflows.runtime import WORKFLOWS, connect, temporal_plugin
from workflows.schedules import SCHEDULES, ensure_schedules

__all__ = ["asked"]

NUMBERING = {
    *("seq", "attempt", "activity_id", "activity_type"),
    *("complete_time", "backoff", "original_schedule_time", "activation_index"),
}
"""What the SDK notes about a local activity, beside its result and past the codec."""


async def other_client(house: House, codec: SealingCodec | None) -> Client:
    """A client on the house's namespace, with other keys or none."""
    config = {"target_host": house.temporal.service_client.config.target_host, "namespace": house.temporal.namespace}
    return await connect(config, codec=codec)


async def until_refused(handle: WorkflowHandle[Any, Any]) -> str:
    """The history of a workflow as soon as a task of it has failed, in clear where it can be opened."""
    async with asyncio.timeout(30):
        while True:
            history = await handle.fetch_history()
            failed = [e for e in history.events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
            if failed:
                unseal(WorkflowHistory(history.workflow_id, failed))
                return str(failed[0])
            await asyncio.sleep(0.05)


async def test_every_payload_of_every_workflow_is_sealed_but_search_attributes(
    house: House, asked: dict[str, Any]
) -> None:
    await decide(house, asked, "approve", digest=await digest_of(house, asked))
    await house.until_settled(asked["interactionId"])
    kinds = set[str]()
    async for found in house.temporal.list_workflows():
        history = await house.temporal.get_workflow_handle(found.id).fetch_history()
        clear, sealed = list[Payload](), list[Payload]()
        for event in history.events:
            for payload in payloads(event):
                (sealed if is_sealed(payload) else clear).append(payload)
        for payload in clear:  # search attributes carry their type; the SDK numbers local activities for itself
            assert "type" in payload.metadata or json.loads(payload.data).keys() <= NUMBERING, payload
        assert sealed
        kinds.add(found.workflow_type)
        await replayed(history, CODEC)
    assert kinds >= {"interaction", "handoff", "delivery"}


async def replayed(history: WorkflowHistory, codec: SealingCodec | None) -> None:
    await Replayer(workflows=list(WORKFLOWS), plugins=[temporal_plugin(codec)]).replay_workflow(history)


async def test_a_run_replays_after_a_rotation_and_not_without_the_key_it_was_sealed_with(house: House) -> None:
    await house.customer()
    answer = (await house.chat("hello")).json()
    await house.until_finished(answer["interactionId"])
    (found,) = [one async for one in house.temporal.list_workflows("WorkflowType = 'interaction'")]
    history = await house.temporal.get_workflow_handle(found.id).fetch_history()
    new = new_payload_key()
    await replayed(history, SealingCodec(PayloadKeys(f"{new},{PAYLOAD_KEY}")))
    for codec in (SealingCodec(PayloadKeys(new)), None):
        with pytest.raises(Exception, match=r"PayloadRefused|Unknown payload encoding"):
            await replayed(history, codec)
    moved = WorkflowHistory(found.id + "9", history.events)
    with pytest.raises(Exception, match="PayloadRefused"):
        await replayed(moved, CODEC)


@pytest.mark.parametrize(
    ("sealer", "says"),
    [
        (lambda: None, "a payload is not sealed"),
        (lambda: codec_of(new_payload_key()), "not known here"),
    ],
)
async def test_a_worker_does_not_run_what_is_not_sealed_by_a_key_it_has(
    house: House, sealer: Callable[[], SealingCodec | None], says: str
) -> None:
    stranger = await other_client(house, sealer())
    handle = await stranger.start_workflow(
        ids.AUDIT_SEAL_WORKFLOW, SealInput(), id="audit-seal-x", task_queue=house.settings.task_queue
    )
    assert says in await until_refused(handle)
    await handle.terminate()


async def test_in_a_change_over_what_was_recorded_in_clear_goes_on(house: House) -> None:
    stranger, lenient = await other_client(house, None), SealingCodec(PayloadKeys(PAYLOAD_KEY), accept_plaintext=True)
    queue = f"q-{secrets.token_hex(4)}"
    settings = house.settings.model_copy(update={"task_queue": queue})
    async with build_worker(settings, await other_client(house, lenient), house.db, Parts.of(settings)):
        handle = await stranger.start_workflow(
            ids.AUDIT_SEAL_WORKFLOW, SealInput(), id="audit-seal-x", task_queue=queue
        )
        async with asyncio.timeout(30):
            while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.05)
    history = await handle.fetch_history()
    sealed = [is_sealed(payload) for event in history.events for payload in payloads(event)]
    assert (sealed[0], sealed[-1]) == (False, True)


async def test_an_api_that_lacks_the_workers_key_says_so_and_answers_once_it_has_it(
    house: House, intents: EmbeddedIntentModel
) -> None:
    """Keys were rotated in the wrong order. 503 and a code, not a 500; nothing is lost."""
    await house.customer()
    new, body = new_payload_key(), {"customerId": "cust_123", "message": "hello", "requestId": "r1"}
    ahead = await other_client(house, SealingCodec(PayloadKeys(f"{new},{PAYLOAD_KEY}")))
    settings = house.settings.model_copy(update={"task_queue": f"q-{secrets.token_hex(4)}"})
    async with build_worker(settings, ahead, house.db, Parts.of(settings, intents=intents)):
        async with served(settings, house.temporal) as url, httpx2.AsyncClient(base_url=url, timeout=60) as http:
            refused = await http.post("/chat", json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "payload_refused"), refused.text
        async with served(settings, ahead) as url, httpx2.AsyncClient(base_url=url, timeout=60) as http:
            answered = await http.post("/chat", json=body)
            assert (answered.status_code, answered.json()["status"]) == (200, "completed"), answered.text


async def test_a_schedule_that_was_made_under_an_old_key_is_sealed_under_the_new_one(house: House) -> None:
    queue = house.settings.task_queue
    await ensure_schedules(await other_client(house, None), queue)  # from before there were keys
    new = new_payload_key()
    for codec, sealed_by in ((CODEC, CODEC.keys.sealing), (codec_of(f"{new},{PAYLOAD_KEY}"), _id_of(new))):
        await ensure_schedules(await other_client(house, codec), queue)
        for each in SCHEDULES:
            schedule = (await house.temporal.get_schedule_handle(each.id).describe()).schedule
            assert isinstance(schedule.action, ScheduleActionStartWorkflow)
            found: list[Payload] = list(schedule.action.args)
            assert [payload.metadata[KEY_ID].decode() for payload in found] == [sealed_by] * len(each.start)


def _id_of(key: str) -> str:
    return key_id(base64.b64decode(key))
