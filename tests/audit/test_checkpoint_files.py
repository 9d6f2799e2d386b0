"""Whatever happens to the file checkpoints are kept in, both checks give an answer, and the same one."""

import asyncio
import base64
import importlib.util
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from adapters.gateways.checkpoint_file import LONGEST_LINE
from domain.audit import Flaw
from domain.checkpoint import Checkpoint, OutsideCheck
from tests.audit.chain import Chain
from tests.audit.test_export import SCRIPT, exported, judged
from tests.schema.given import ACME

Lines = list[bytes]
"""Of the file, without their line ends."""


@pytest.fixture
async def sealed(chain: Chain) -> Chain:
    """Forty events in four batches, with a checkpoint about each."""
    for part in range(1, 5):
        await chain.write(10)
        while (await chain.verify()).checked_to < part * 10:
            await chain.seal()
    return chain


def file_of(chain: Chain) -> Path:
    (file,) = chain.folder.iterdir()
    return file


def lines_of(chain: Chain) -> Lines:
    return file_of(chain).read_bytes().splitlines()


def again(chain: Chain, line: bytes, **changed: object) -> bytes:
    """The same with other words, signed by us."""
    unsigned = Checkpoint.model_validate_json(line).model_copy(update={**changed, "signature": ""})
    signature = chain.keys.sign(unsigned.signed_bytes())
    return unsigned.model_copy(update={"signature": signature}).model_dump_json().encode()


def edited(line: bytes, **changed: object) -> bytes:
    return json.dumps({**json.loads(line), **changed}, separators=(",", ":")).encode()


def without(line: bytes, name: str) -> bytes:
    return json.dumps({n: v for n, v in json.loads(line).items() if n != name}, separators=(",", ":")).encode()


GARBAGE = b'{"nothing": "that anybody signed"}'
SPOILT: dict[str, Callable[[Chain, Lines], Lines]] = {
    "a member more": lambda _, it: [it[0], edited(it[1], extra=1), *it[2:]],
    "a member less": lambda _, it: [it[0], without(it[1], "previous"), *it[2:]],
    "no signature": lambda _, it: [it[0], edited(it[1], signature=""), *it[2:]],
    "a signature that is a number": lambda _, it: [it[0], edited(it[1], signature=5), *it[2:]],
    "a signature that is no base64": lambda _, it: [it[0], edited(it[1], signature="é!"), *it[2:]],
    "another's signature": lambda _, it: [it[0], edited(it[1], signature=json.loads(it[2])["signature"]), *it[2:]],
    "a key nobody knows": lambda _, it: [it[0], edited(it[1], keyId="0" * 16), *it[2:]],
    "another organisation": lambda _, it: [it[0], edited(it[1], organisation="globex"), *it[2:]],
    "another head": lambda _, it: [*it[:3], edited(it[3], head="0" * 64)],
    "a number spelt as text": lambda _, it: [it[0], edited(it[1], batch="2"), *it[2:]],
    "a number spelt otherwise": lambda _, it: [it[0], it[1].replace(b'"batch":2', b'"batch":2.0'), *it[2:]],
    "a number no computer keeps": lambda _, it: [it[0], it[1].replace(b'"batch":2', b'"batch":' + b"9" * 5_000)],
    "a truth for a number": lambda _, it: [it[0].replace(b'"batch":1', b'"batch":true'), *it[1:]],
    "names as Python has them": lambda _, it: [it[0].replace(b"sealedAt", b"sealed_at"), *it[1:]],
    "a name twice": lambda _, it: [it[0].replace(b'"batch":1', b'"batch":9,"batch":1'), *it[1:]],
    "spaces": lambda _, it: [it[0], it[1].replace(b",", b", "), *it[2:]],
    "escaped letters": lambda _, it: [it[0].replace(b'"acme"', b'"\\u0061cme"'), *it[1:]],
    "half a character": lambda _, it: [it[0].replace(b'"acme"', b'"\\ud800"'), *it[1:]],
    "no unicode": lambda _, it: [it[0].replace(b'"acme"', b'"\xff"'), *it[1:]],
    "another encoding": lambda _, it: [it[0], it[1].decode().encode("utf-16-le"), *it[2:]],
    "a byte-order mark": lambda _, it: [b"\xef\xbb\xbf" + it[0], *it[1:]],
    "line ends of another system": lambda _, it: [line + b"\r" for line in it],
    "no value": lambda _, it: [it[0], b"{}", b"null", b"[]", b"5", b'"}', *it[1:]],
    "very deep": lambda _, it: [*it, b"[" * 60_000, b"{" * 60_000 + b"}"],
    "a line that is too long": lambda _, it: [it[0], edited(it[1], signature="A" * LONGEST_LINE), *it[2:]],
    "much too long, and looks whole": lambda _, it: [it[0] + b" " * 3 * LONGEST_LINE, *it[1:]],
    "much too long, and looks torn": lambda _, it: [it[0] + b"x" * 3 * LONGEST_LINE, *it[1:]],
    "just as long as may be": lambda _, it: [
        it[0],
        edited(it[1], signature="A" * (LONGEST_LINE - len(it[1]))),
        *it[2:],
    ],
    "the first is gone": lambda _, it: it[1:],
    "one is gone": lambda _, it: [it[0], *it[2:]],
    "all are gone": lambda _, __: [],
    "twice": lambda _, it: [it[0], it[1], it[1], *it[2:]],
    "all twice": lambda _, it: it * 2,
    "an old one at the end": lambda _, it: [*it, it[1]],
    "in another order": lambda _, it: it[::-1],
    "signed anew, with another head": lambda chain, it: [*it[:3], again(chain, it[3], head="0" * 64)],
    "signed anew, before the last": lambda chain, it: [it[0], again(chain, it[1], head="0" * 64), *it[2:]],
    "two about one place": lambda chain, it: [*it, again(chain, it[3], head="0" * 64)],
    "of a longer chain": lambda chain, it: [*it, again(chain, it[3], sequence=50, batch=5)],
    "garbage behind the last": lambda _, it: [*it, GARBAGE],
    "garbage that does not end": lambda _, it: [*it, b"nothing at all"],
    "garbage before the first": lambda _, it: [GARBAGE, *it],
    "much garbage behind the last": lambda _, it: [*it, *[GARBAGE + b" " * 500 + b"}"] * 2_000],
    "garbage and no line end": lambda _, it: [*it, b"\x01" * 600_000],
}


@pytest.mark.parametrize("name", SPOILT)
async def test_both_checks_say_the_same_of_a_file_that_is_not_as_it_was_kept(
    sealed: Chain, tmp_path: Path, name: str
) -> None:
    file_of(sealed).write_bytes(b"".join(line + b"\n" for line in SPOILT[name](sealed, lines_of(sealed))))
    ours = await sealed.verify()
    theirs = await asyncio.to_thread(judged, tmp_path, await exported(sealed), sealed)
    assert sorted((f["problem"], f["sequence"]) for f in theirs["findings"]) == sorted(
        (f.problem.value, f.sequence) for f in ours.findings
    )
    told = (theirs["ok"], theirs["outside_proof"], theirs["confirmed_to"])
    assert told == (ours.ok, ours.outside_proof, ours.confirmed_to)
    assert not ours.ok or (name == "all are gone" and not ours.outside_proof)


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "untouched": lambda whole: whole,
    "no line end": lambda whole: whole[:-1],
    "torn in the middle": lambda whole: whole + whole[:200],
    "torn at once": lambda whole: whole + b'{"org',
    "torn, and then blocks that were never written": lambda whole: whole + whole[:100] + b"\0" * 4096,
    "empty lines": lambda whole: b"\n" + whole + b"\n\n",
}


@pytest.mark.parametrize("name", HARMLESS)
async def test_what_a_power_cut_leaves_is_no_finding(sealed: Chain, tmp_path: Path, name: str) -> None:
    """Negative control; and the next checkpoint is kept behind it."""
    file = file_of(sealed)
    file.write_bytes(HARMLESS[name](file.read_bytes()))
    for length in (40, 45):
        ours = await sealed.verify()
        theirs = await asyncio.to_thread(judged, tmp_path, await exported(sealed), sealed)
        assert (ours.ok, ours.confirmed_to, theirs["ok"], theirs["confirmed_to"]) == (True, length, True, length)
        await sealed.write(5)
        while (await sealed.verify()).confirmed_to < 45:
            await sealed.seal()


@pytest.mark.parametrize(
    "tail", [GARBAGE + b"\n", (GARBAGE + b"\n") * 20_000, b"x" * 600_000, b"\0" * 5 * LONGEST_LINE]
)
async def test_sealing_goes_on_behind_what_cannot_be_read_and_it_stays_on_record(sealed: Chain, tail: bytes) -> None:
    file = file_of(sealed)
    file.write_bytes(file.read_bytes() + tail)
    assert (sealed.files.latest(ACME) or pytest.fail("the last one is there")).sequence == 40
    await sealed.write(5)
    while (verdict := await sealed.verify()).confirmed_to < 45:
        await sealed.seal()
    assert {f.problem for f in verdict.findings} == {Flaw.SIGNATURE_BAD}


async def test_a_file_that_cannot_be_opened_is_a_dependency_that_is_down_and_none_is_none(sealed: Chain) -> None:
    file = file_of(sealed)
    file.unlink()
    assert (await sealed.verify()).outside_proof is False
    file.mkdir()
    with pytest.raises(Exception, match="checkpoints cannot be read"):
        await sealed.verify()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mutated(dice: random.Random, whole: bytes) -> bytes:
    spoilt = bytearray(whole)
    for _ in range(dice.choice([1, 1, 2, 5])):
        place = dice.randrange(len(spoilt))
        kind = dice.randrange(4)
        if kind == 0:
            spoilt[place] = dice.randrange(256)
        elif kind == 1:
            spoilt.insert(place, dice.choice(b'{}[]":,\\0 \n\r\x00e1'))
        elif kind == 2:
            del spoilt[place : place + dice.choice([1, 3, 100, 700])]
        else:
            there = dice.randrange(len(spoilt))
            spoilt[place:place] = spoilt[there : there + dice.choice([1, 20, 400])]
        spoilt = spoilt or bytearray(b"\n")
    return bytes(spoilt)


async def test_both_say_the_same_of_2000_files_spoilt_at_random(
    sealed: Chain, script: ModuleType, tmp_path: Path
) -> None:
    dice, file, differ, believed = random.Random(20_261_121), file_of(sealed), [], set()
    whole = file.read_bytes()
    (tmp_path / "key.pem").write_text(sealed.keys.public_pem())
    keys = script.keys_of(str(tmp_path / "key.pem"))
    for _ in range(2_000):
        spoilt = mutated(dice, whole)
        file.write_bytes(spoilt)
        ours = OutsideCheck(ACME, sealed.files.all(ACME), sealed.keys.verifies)
        ours.finish(10**6)
        theirs = script.Check()
        count = len(theirs.checkpoints(str(file), ACME, keys))
        found = [(f.problem.value, f.sequence) for f in ours.findings if f.problem is not Flaw.TAIL_MISSING]
        if (ours.count, found) != (count, [(f["problem"], f["sequence"]) for f in theirs.findings]):
            differ.append(base64.b64encode(spoilt))
        believed.add(count)
    assert differ == []
    assert believed >= {0, 1, 2, 3, 4}, "the dice spoil some and not all"
