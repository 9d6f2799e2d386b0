"""The intent model: equal to what scikit-learn learnt, the same everywhere, and its cache never trusted blindly."""

import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import adapters.llm.embedded
from adapters.llm.embedded import EmbeddedIntentModel, train
from domain.ports import IntentModel, IntentScores
from domain.understanding.intents import EXAMPLES
from domain.values import Intent

ROOT = Path(adapters.llm.embedded.__file__).parents[2]
HELD_OUT: dict[str, list[str]] = yaml.safe_load(
    (files("domain.understanding.intents") / "heldout.yaml").read_text("utf-8")
)
CASES = [(Intent(intent), text) for intent, texts in HELD_OUT.items() for text in texts]
FEW = {intent: EXAMPLES[intent][:12] for intent in (Intent.REFUND_REQUEST, Intent.ORDER_STATUS, Intent.GREETING)}
MODEL = EmbeddedIntentModel(EXAMPLES)


def probabilities(scores: IntentScores) -> Mapping[str, float]:
    return {intent.value: score for intent, score in scores.scores.items()}


@functools.cache
def pipeline() -> Any:
    """Trained when a test first asks: whoever only collects tests need not wait for it."""
    return train(EXAMPLES)


def learnt_by_sklearn(text: str) -> Mapping[str, float]:
    return dict(zip(pipeline().classes_, pipeline().predict_proba([text])[0], strict=True))


def test_it_is_an_intent_model() -> None:
    model: IntentModel = MODEL
    assert model.classify("refund please").best[0] is Intent.REFUND_REQUEST


@pytest.mark.parametrize("text", [*(text for _, text in CASES), "A", "é ß 1234 $5.00!", "word " * 150])
def test_our_arithmetic_equals_the_pipeline(text: str) -> None:
    ours, theirs = probabilities(MODEL.classify(text)), learnt_by_sklearn(text)
    assert ours == pytest.approx(theirs, abs=1e-9, rel=0)


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_our_arithmetic_equals_the_pipeline_on_any_text(text: str) -> None:
    scores = MODEL.classify(text)
    assert not scores.scores or probabilities(scores) == pytest.approx(learnt_by_sklearn(text), abs=1e-9, rel=0)
    assert sum(scores.scores.values()) <= 1.0


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\ud800", "漢字"])
def test_a_text_without_anything_known_has_no_scores(text: str) -> None:
    assert MODEL.classify(text).best == (Intent.OTHER, 0.0)


def test_a_long_text_is_read_at_both_ends_only() -> None:
    ends = "refund please " * 50, " where is my parcel" * 15
    middle = "x" * 50_000
    assert MODEL.classify(ends[0] + middle + ends[1]) == MODEL.classify(ends[0] + middle * 2 + ends[1])


def test_held_out_messages_are_classified() -> None:
    answers = [(intent, *MODEL.classify(text).best) for intent, text in CASES]
    sure = [intent is answer for intent, answer, confidence in answers if confidence >= 0.6]
    assert sum(intent is answer for intent, answer, _ in answers) / len(answers) >= 0.85
    assert sum(sure) / len(sure) >= 0.95


def test_confidence_means_what_it_says() -> None:
    answers = [(intent, *MODEL.classify(text).best) for intent, text in CASES]
    claimed = sum(confidence for *_, confidence in answers) / len(answers)
    kept = sum(intent is answer for intent, answer, _ in answers) / len(answers)
    assert abs(claimed - kept) <= 0.1


def test_shuffled_labels_are_not_learnt() -> None:
    """The accuracy test would see a model that learnt nothing."""
    texts = [text for texts in EXAMPLES.values() for text in texts]
    nonsense = {intent: tuple(texts[n :: len(EXAMPLES)]) for n, intent in enumerate(EXAMPLES)}
    model = EmbeddedIntentModel(nonsense)
    right = [intent is model.classify(text).best[0] for intent, text in CASES]
    assert sum(right) / len(right) < 0.5


@pytest.mark.parametrize(
    "examples", [{}, dict(list(FEW.items())[:2]), {**FEW, Intent.GREETING: ("hi", "hello", "hey", "yo")}]
)
def test_too_little_to_learn_from_is_refused_at_once(examples: Mapping[Intent, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="least"):
        EmbeddedIntentModel(examples)


def only_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def answers(model: EmbeddedIntentModel) -> list[IntentScores]:
    return [model.classify(text) for _, text in CASES]


def in_a_process(code: str, *arguments: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


CLASSIFY = """
import sys
from pathlib import Path
from adapters.llm.embedded import EmbeddedIntentModel
from domain.understanding.intents import EXAMPLES
model = EmbeddedIntentModel(EXAMPLES, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
print(*(model.classify(text).model_dump_json() for text in ("refund please", "my parcel never came", "hm")))
print("sklearn" in sys.modules)
"""


def test_two_processes_learn_the_same_whatever_their_hash_seed() -> None:
    first, second = in_a_process(CLASSIFY, PYTHONHASHSEED="1"), in_a_process(CLASSIFY, PYTHONHASHSEED="2")
    assert first == second
    assert first.startswith(MODEL.classify("refund please").model_dump_json())


def test_a_warm_cache_needs_no_scikit_learn(tmp_path: Path) -> None:
    cold, warm = in_a_process(CLASSIFY, str(tmp_path)), in_a_process(CLASSIFY, str(tmp_path))
    assert cold.endswith("True")
    assert warm.endswith("False")
    assert cold.removesuffix("True") == warm.removesuffix("False")


def test_what_was_learnt_is_kept_and_found_again(tmp_path: Path) -> None:
    first = EmbeddedIntentModel(FEW, tmp_path / "models")
    first.warm()
    path = only_file(tmp_path / "models")
    written = path.stat().st_mtime_ns, path.read_bytes()
    assert path.name == f"{first.name}.intents"
    assert answers(EmbeddedIntentModel(FEW, tmp_path / "models")) == answers(first)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == written


def test_other_examples_have_another_file(tmp_path: Path) -> None:
    EmbeddedIntentModel(FEW, tmp_path).warm()
    EmbeddedIntentModel({**FEW, Intent.GREETING: EXAMPLES[Intent.GREETING][:11]}, tmp_path).warm()
    assert len(list(tmp_path.iterdir())) == 2


def npz(**arrays: Any) -> bytes:
    stored = io.BytesIO()
    np.savez(stored, **arrays)
    return hashlib.sha256(stored.getvalue()).digest() + stored.getvalue()


def about(**parts: Any) -> Any:
    return np.frombuffer(json.dumps(parts).encode(), dtype=np.uint8)


WELL_SIGNED = {
    "no archive": hashlib.sha256(b"no archive").digest() + b"no archive",
    "no parts": npz(other=np.zeros(1)),
    "a pickle": npz(about=np.array([{"a": 1}], dtype=object)),
    "an intent nobody knows": npz(
        about=about(intents=["x"], words=[], characters=[]),
        rarity=np.zeros(0),
        weights=np.zeros((0, 1)),
        intercept=np.zeros(1),
    ),
    "parts that do not fit": npz(
        about=about(intents=["other"], words=["a"], characters=[]),
        rarity=np.ones(1),
        weights=np.ones((2, 1)),
        intercept=np.zeros(1),
    ),
    "numbers that are none": npz(
        about=about(intents=["other"], words=["a"], characters=[]),
        rarity=np.ones(1),
        weights=np.full((1, 1), np.nan),
        intercept=np.zeros(1),
    ),
    "a list for a document": npz(about=np.frombuffer(b"[]", dtype=np.uint8)),
}


@pytest.mark.parametrize("damage", ["empty", "cut", "one bit", *WELL_SIGNED])
def test_a_damaged_or_foreign_file_is_ignored_and_written_anew(tmp_path: Path, damage: str) -> None:
    model = EmbeddedIntentModel(FEW, tmp_path)
    model.warm()
    path, sound = only_file(tmp_path), answers(model)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    bad = {"empty": b"", "cut": content[: len(content) // 2], "one bit": bytes(flipped), **WELL_SIGNED}[damage]
    path.write_bytes(bad)
    assert answers(EmbeddedIntentModel(FEW, tmp_path)) == sound
    assert only_file(tmp_path).read_bytes() != bad
    assert answers(EmbeddedIntentModel(FEW, tmp_path)) == sound


def test_a_directory_that_cannot_be_written_costs_a_training_only(tmp_path: Path) -> None:
    occupied = tmp_path / "a file"
    occupied.write_text("in the way")
    assert answers(EmbeddedIntentModel(FEW, occupied)) == answers(EmbeddedIntentModel(FEW))


def test_many_writers_at_once_leave_one_sound_file(tmp_path: Path) -> None:
    models = [EmbeddedIntentModel(FEW, tmp_path) for _ in range(4)]
    threads = [threading.Thread(target=model.warm) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    only_file(tmp_path)
    assert answers(EmbeddedIntentModel(FEW, tmp_path)) == answers(models[0])
