"""The codec endpoint: opens what is the caller's own, for the configured Web UI only, and puts it on record."""

import base64
from typing import Any

import httpx2
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import WorkflowSerializationContext

from adapters.payload_codec import PayloadKeys, SealingCodec, new_payload_key
from tests.api.conftest import Api
from tests.sealed import CODEC

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"what was said"')
MINE = "interaction:demo:cust_1:req_1"
UI = "http://temporal.test"


async def sealed(workflow_id: str, codec: SealingCodec = CODEC) -> Payload:
    (found,) = await codec.with_context(WorkflowSerializationContext("default", workflow_id)).encode([PLAIN])
    return found


def shown(payload: Payload) -> dict[str, Any]:
    metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}


async def decode(api: Api, *payloads: Payload, **headers: str) -> httpx2.Response:
    body = {"payloads": [shown(payload) for payload in payloads]}
    return await api.http.post("/codec/decode", json=body, headers={"X-Namespace": "default", **headers})


async def test_ones_own_is_opened_and_nothing_else(api: Api) -> None:
    own, foreign = await sealed(MINE), await sealed("interaction:other:cust_1:req_1")
    renamed, nobodys = await sealed("interaction:other:cust_1:req_1"), await sealed("audit-seal")
    renamed.metadata["encryption-workflow"] = MINE.encode()
    strange = await sealed(MINE, SealingCodec(PayloadKeys(new_payload_key())))
    kept = (foreign, renamed, nobodys, strange, PLAIN, Payload())
    answer = await decode(api, own, *kept)
    assert answer.status_code == 200, answer.text
    assert answer.json()["payloads"] == [shown(payload) for payload in (PLAIN, *kept)]
    assert answer.headers["cache-control"] == "no-store"


async def test_another_organisations_key_opens_only_its_own(api: Api) -> None:
    key = await api.house.key("auditor", organisation="other")
    own, foreign = await sealed("interaction:other:cust_1:req_1"), await sealed(MINE)
    answer = await decode(api, own, foreign, Authorization=f"Bearer {key}")
    assert answer.json()["payloads"] == [shown(PLAIN), shown(foreign)]


async def test_who_looked_is_on_record_once_a_minute(api: Api) -> None:
    workflow = "interaction:demo:cust_1:req_77"
    for _ in range(5):
        assert (await decode(api, *[await sealed(workflow)] * 3)).status_code == 200
    found = (await api.http.get("/audit?action=workflow.payloads_decoded")).json()["items"]
    mine = [event for event in found if event["subject"] == workflow]
    assert 1 <= len(mine) <= 2, "the minute may end in between"
    refused = await decode(api, await sealed("interaction:other:cust_1:req_78"))
    assert refused.status_code == 200
    found = (await api.http.get("/audit?action=workflow.payloads_decoded")).json()["items"]
    assert not [event for event in found if "req_78" in event["subject"]]


@pytest.mark.parametrize(
    "origin", ["http://evil.test", "http://temporal.test.evil.test", "null", "http://temporal.test:81"]
)
async def test_only_the_web_uis_pages_may_read_the_answer(api: Api, origin: str) -> None:
    key = await api.house.key("auditor")
    for page, allowed in ((UI, UI), (origin, None)):
        asked = await api.http.options(
            "/codec/decode", headers={"Origin": page, "Access-Control-Request-Method": "POST"}
        )
        answered = await decode(api, await sealed(MINE), Origin=page, Authorization=f"Bearer {key}")
        assert answered.status_code == 200
        assert asked.status_code == 204
        assert {a.headers.get("access-control-allow-origin") for a in (asked, answered)} == {allowed}
        assert "Origin" in answered.headers["vary"]


async def test_what_is_no_payload_is_refused(api: Api) -> None:
    for payload in ({"metadata": {}, "data": "***"}, {"metadata": {"encoding": "*"}, "data": ""}):
        answer = await api.http.post("/codec/decode", json={"payloads": [payload]})
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    many = await decode(api, *[Payload()] * 201)
    assert many.status_code == 422
