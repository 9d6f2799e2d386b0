"""The examples are data: every intent has them, and a file that would teach nonsense is refused."""

from importlib.resources import files

import pytest
import yaml

from domain.understanding.intents import EXAMPLES, EXAMPLES_HASH, FEWEST, ExamplesInvalid, digest, distinct, parse
from domain.understanding.text import normal
from domain.values import Intent

FOLDER = files("domain.understanding.intents")


def file_of(examples: list[object], intent: str = "greeting") -> str:
    return yaml.safe_dump({"intent": intent, "examples": examples})


def test_every_intent_has_its_examples_and_every_file_its_intent() -> None:
    assert set(EXAMPLES) == set(Intent)
    named = {entry.name.removesuffix(".yaml") for entry in FOLDER.iterdir() if entry.name.endswith(".yaml")}
    assert named == {intent.value for intent in Intent} | {"heldout"}
    assert all(len(texts) >= FEWEST for texts in EXAMPLES.values())


def test_held_out_messages_are_of_every_intent_and_no_examples() -> None:
    held_out = yaml.safe_load((FOLDER / "heldout.yaml").read_text("utf-8"))
    assert set(held_out) == {intent.value for intent in Intent}
    assert all(len(texts) >= 10 for texts in held_out.values())
    learnt = {normal(text).casefold().strip(".!? ") for texts in EXAMPLES.values() for text in texts}
    assert [t for texts in held_out.values() for t in texts if normal(t).casefold().strip(".!? ") in learnt] == []


def test_the_hash_changes_with_any_example() -> None:
    assert digest(EXAMPLES) == EXAMPLES_HASH
    fewer = {**EXAMPLES, Intent.GREETING: EXAMPLES[Intent.GREETING][:-1]}
    assert digest(fewer) != EXAMPLES_HASH
    assert digest(dict(reversed(list(EXAMPLES.items())))) == EXAMPLES_HASH


def test_a_sound_file_is_read() -> None:
    texts: list[object] = [f"hello {n}" for n in range(FEWEST)]
    assert parse(Intent.GREETING, file_of(texts)) == tuple(texts)


@pytest.mark.parametrize(
    "source",
    [
        "intent: [",
        "",
        file_of(["hello"]),
        file_of([f"hello {n}" for n in range(FEWEST)], intent="complaint"),
        file_of([*(f"hello {n}" for n in range(FEWEST)), ""]),
        file_of([*(f"hello {n}" for n in range(FEWEST)), 7]),
        file_of([*(f"hello {n}" for n in range(FEWEST)), "x" * 301]),
        file_of([*(f"hello {n}" for n in range(FEWEST)), "\u200b"]),
        file_of([*(f"hello {n}" for n in range(FEWEST)), True]),
        "!!python/object/apply:builtins.list []",
    ],
)
def test_a_file_that_would_teach_nonsense_is_refused(source: str) -> None:
    with pytest.raises(ExamplesInvalid):
        parse(Intent.GREETING, source)


@pytest.mark.parametrize("other", [Intent.GREETING, Intent.COMPLAINT])
def test_one_text_cannot_be_an_example_twice(other: Intent) -> None:
    examples = {Intent.GREETING: ("hello",), Intent.COMPLAINT: ("bad",)}
    with pytest.raises(ExamplesInvalid):
        distinct({**examples, other: (*examples[other], "hello")})
