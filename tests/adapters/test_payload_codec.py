"""D-3: what Temporal keeps opens for its own workflow, under a key we have, unchanged; and in no other case."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    ActivitySerializationContext,
    NexusSerializationContext,
    SerializationContext,
    WorkflowSerializationContext,
)
from temporalio.exceptions import ApplicationError

from adapters.payload_codec import (
    KEY_ID,
    NONCE_BYTES,
    PayloadKeys,
    SealingCodec,
    codec_of,
    key_id,
    new_payload_key,
)
from domain.errors import PayloadRefused
from domain.payloads import WORKFLOW, organisation_of
from workflows.runtime import temporal_plugin

OLD, KEY = new_payload_key(), new_payload_key()
MINE = "interaction:acme:cust_1:req_1"
CANARY = "canary-7f3a"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=f'"{CANARY}"'.encode())
CODEC = SealingCodec(PayloadKeys(KEY))


def of(workflow_id: str, codec: SealingCodec = CODEC) -> SealingCodec:
    return codec.with_context(WorkflowSerializationContext("default", workflow_id))


async def sealed(workflow_id: str = MINE, codec: SealingCodec = CODEC) -> Payload:
    (found,) = await of(workflow_id, codec).encode([PLAIN])
    return found


async def opened(payload: Payload, workflow_id: str = MINE, codec: SealingCodec = CODEC) -> Payload:
    (found,) = await of(workflow_id, codec).decode([payload])
    return found


@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=9), st.binary(max_size=9), max_size=3), st.text())
async def test_what_was_sealed_opens_in_its_workflow(data: bytes, metadata: dict[str, bytes], workflow_id: str) -> None:
    codec = of(f"interaction:acme:{workflow_id}")
    payload = Payload(metadata=metadata, data=data)
    assert await codec.decode(await codec.encode([payload, payload])) == [payload, payload]


async def test_nothing_of_it_is_readable() -> None:
    found = await sealed()
    for part in (CANARY.encode(), b"json/plain", base64.b64encode(CANARY.encode())[:12]):
        assert part not in found.SerializeToString()
        assert part in PLAIN.SerializeToString() + base64.b64encode(PLAIN.data[1:]), "the control"


@pytest.mark.parametrize(
    "elsewhere",
    {
        "another organisation's": "interaction:globex:cust_1:req_1",
        "the same organisation's other customer's": "interaction:acme:cust_2:req_1",
        "another kind's": "handoff:acme:cust_1:req_1",
        "longer": MINE + ":x",
        "nobody's": "audit-seal",
    }.values(),
)
async def test_another_workflows_payload_is_refused(elsewhere: str) -> None:
    with pytest.raises(PayloadRefused, match="another workflow"):
        await opened(await sealed(elsewhere))
    renamed = await sealed(elsewhere)
    renamed.metadata[WORKFLOW] = MINE.encode()
    with pytest.raises(PayloadRefused, match="another workflow"):
        await opened(renamed)


async def test_a_border_between_organisation_and_workflow_cannot_be_moved() -> None:
    for one, other in (("x:a:b", "x:a:b:"), ("x:a::b", "x::a:b"), ("x:1:a", "x:11:a")):
        with pytest.raises(PayloadRefused):
            await opened(await sealed(one), other)


@pytest.mark.parametrize("payload", [PLAIN, Payload(), Payload(metadata={"encoding": b"binary/null"})])
async def test_what_is_not_sealed_is_refused(payload: Payload) -> None:
    with pytest.raises(PayloadRefused, match="not sealed"):
        await opened(payload)


async def test_one_changed_bit_anywhere_is_noticed() -> None:
    good = await sealed()
    for at in range(len(good.data) * 8):
        changed = bytearray(good.data)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(PayloadRefused):
            await opened(Payload(metadata=good.metadata, data=bytes(changed)))
    for short in (b"", good.data[:-1], good.data[:NONCE_BYTES], good.data[: NONCE_BYTES - 1], good.data + b"\0"):
        with pytest.raises(PayloadRefused):
            await opened(Payload(metadata=good.metadata, data=short))
    assert await opened(good) == PLAIN


@pytest.mark.parametrize("name", ["", "0" * 16, "\udcff".encode(errors="surrogateescape").decode("latin-1")])
async def test_an_unknown_key_is_refused(name: str) -> None:
    good = await sealed()
    good.metadata[KEY_ID] = name.encode()
    with pytest.raises(PayloadRefused, match="not known here"):
        await opened(good)
    with pytest.raises(PayloadRefused, match="not known here"):
        await opened(await sealed(codec=SealingCodec(PayloadKeys(new_payload_key()))))


async def test_a_key_that_is_known_but_did_not_seal_it_is_refused() -> None:
    both = SealingCodec(PayloadKeys(f"{KEY},{OLD}"))
    good = await sealed(codec=both)
    good.metadata[KEY_ID] = key_id(base64.b64decode(OLD)).encode()
    with pytest.raises(PayloadRefused, match="was changed"):
        await opened(good, codec=both)


async def test_after_a_rotation_the_new_key_seals_and_the_old_one_still_opens() -> None:
    before = await sealed(codec=SealingCodec(PayloadKeys(OLD)))
    rolling = SealingCodec(PayloadKeys(f"{OLD},{KEY}"))  # first everywhere opens both, then the new one seals
    rotated = SealingCodec(PayloadKeys(f"{KEY},{OLD}"))
    after = await sealed(codec=rotated)
    assert before.metadata[KEY_ID] != after.metadata[KEY_ID]
    for payload in (before, after):
        for codec in (rolling, rotated):
            assert await opened(payload, codec=codec) == PLAIN
    assert await opened(after) == PLAIN
    with pytest.raises(PayloadRefused, match="not known here"):
        await opened(before)


async def test_in_a_change_over_plaintext_is_read_and_never_written() -> None:
    lenient = SealingCodec(PayloadKeys(KEY), accept_plaintext=True)
    assert await opened(PLAIN, codec=lenient) == PLAIN
    assert CANARY.encode() not in (await sealed(codec=lenient)).SerializeToString()
    with pytest.raises(PayloadRefused):
        await opened(await sealed("interaction:globex:1:1"), codec=lenient)


@pytest.mark.parametrize("context", [None, NexusSerializationContext("e", "s", "o")])
async def test_what_belongs_to_no_workflow_is_neither_sealed_nor_opened(context: SerializationContext | None) -> None:
    codec = CODEC.with_context(context) if context else CODEC
    with pytest.raises(PayloadRefused, match="no workflow"):
        await codec.encode([PLAIN])
    with pytest.raises(PayloadRefused, match="no workflow"):
        await codec.decode([await sealed()])


async def test_an_activity_opens_what_its_workflow_sealed() -> None:
    activity = ActivitySerializationContext("default", "1", "judge", "q", MINE, "interaction", is_local=True)
    assert await CODEC.with_context(activity).decode([await sealed()]) == [PLAIN]


async def test_what_a_schedule_starts_with_opens_in_each_run_of_its() -> None:
    payload = await sealed("audit-seal")
    assert await opened(payload, "audit-seal-2026-11-21T12:45:00Z") == PLAIN
    with pytest.raises(PayloadRefused):
        await opened(payload, "rollups-2026-11-21T12:45:00Z")
    dated = "interaction:acme:cust_1:req-2026-11-21T12:45:00Z"
    with pytest.raises(PayloadRefused):
        await opened(await sealed("interaction:acme:cust_1:req"), dated)


async def test_sealing_twice_gives_two_different_seals() -> None:
    payloads = await of(MINE).encode([PLAIN] * 10_000)
    assert len({payload.data[:NONCE_BYTES] for payload in payloads}) == 10_000


async def test_who_has_checked_the_organisation_opens_what_a_payload_says_it_is() -> None:
    good = await sealed()
    assert CODEC.open_claimed(good) == PLAIN
    good.metadata[WORKFLOW] = b"interaction:globex:cust_1:req_1"
    with pytest.raises(PayloadRefused):
        CODEC.open_claimed(good)


async def test_messages_and_stack_traces_of_failures_are_sealed_and_their_codes_are_not() -> None:
    def failed() -> ApplicationError:
        try:
            raise ApplicationError(CANARY, {"detail": CANARY}, type="the_code")
        except ApplicationError as error:
            return error

    for codec, leaks in ((CODEC, False), (None, True)):  # without a codec it is all there
        converter = temporal_plugin(codec).data_converter
        assert converter is not None
        assert not callable(converter)
        bound = converter.with_context(WorkflowSerializationContext("default", MINE))
        failure = Failure()
        await bound.encode_failure(failed(), failure)
        written = failure.SerializeToString()
        assert (CANARY.encode() in written) is leaks
        assert (b"in failed" in written) is leaks
        assert failure.application_failure_info.type == "the_code"
        back = await bound.decode_failure(failure)
        assert isinstance(back, ApplicationError)
        assert back.message == CANARY
        assert back.details == ({"detail": CANARY},)


@pytest.mark.parametrize(
    "keys",
    ["x", "aHVudGVyMg==", f"{KEY},", f"{KEY},hunter2", base64.b64encode(b"k" * 33).decode()],
    ids=["letter", "short", "empty second", "bad second", "long"],
)
def test_what_is_no_key_is_refused_without_repeating_it(keys: str) -> None:
    with pytest.raises(ValueError, match="base64 of 32 bytes") as refusal:
        PayloadKeys(keys)
    assert "hunter2" not in str(refusal.value)
    assert KEY not in str(refusal.value)


def test_without_keys_there_is_no_codec() -> None:
    assert codec_of("") is None
    assert isinstance(codec_of(KEY), SealingCodec)
    converter = temporal_plugin(None).data_converter
    assert converter is pydantic_data_converter


@pytest.mark.parametrize(
    ("workflow_id", "organisation"),
    [
        (MINE, "acme"),
        ("audit-seal:acme:x", "acme"),
        ("audit-seal", ""),
        ("audit-seal-2026-11-21T12:45:00Z", ""),
        ("interaction:acme", ""),
        ("interaction::x", ""),
        ("", ""),
    ],
)
def test_an_id_says_whose_a_workflow_is(workflow_id: str, organisation: str) -> None:
    assert organisation_of(workflow_id) == organisation
