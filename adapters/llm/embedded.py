"""The intent model that needs no key: TF-IDF over words and character runs, logistic regression, calibrated.

Training needs scikit-learn and a few seconds; answering needs numpy and a fraction of a millisecond. What was learnt is
kept as numbers and a vocabulary, never as a pickle, under a name that covers everything it depends on.

Calibration: out-of-fold decision values of every example are divided by one temperature, the one under which the
examples' own intents are likeliest. Folding the temperature into the weights makes `predict_proba` of the trained
pipeline calibrated itself, and our own arithmetic equal to it.
"""

import hashlib
import io
import json
import logging
import re
import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.ports import IntentScores
from domain.understanding.text import normal
from domain.values import Intent

Examples = Mapping[Intent, Sequence[str]]
Floats = NDArray[np.float64]

_FORMAT = 1
_PARAMETERS: dict[str, Any] = {
    "words": [1, 2],
    "characters": [2, 5],
    "C": 12.0,
    "folds": 5,
    "seed": 17,
    "head": 700,
    "tail": 300,
}
_FEWEST_INTENTS = 3
_TEMPERATURES = tuple(0.30 + 0.02 * step for step in range(86))
_TOKEN = re.compile(r"\w+")
_DIGITS = re.compile(r"\d{1,40}")
_STEPS = 10**10
"""Answers are whole multiples of 1/_STEPS, rounded down: below lies noise of the order of addition."""

log = logging.getLogger(__name__)


class EmbeddedIntentModel:
    """`domain.ports.IntentModel` over examples.

    Trained at the first `classify` (or `warm`) and kept in `directory` if there is one, where every later process of
    the same release finds it. A file there that is damaged, foreign or outdated is ignored and written anew; a
    directory that cannot be written costs a training per process and nothing else. Safe to share between threads.
    """

    def __init__(self, examples: Examples, directory: Path | None = None) -> None:
        """Raises `ValueError` for fewer than three intents or an intent of fewer than five examples."""
        if len(examples) < _FEWEST_INTENTS or any(len(texts) < _PARAMETERS["folds"] for texts in examples.values()):
            raise ValueError("three intents of five examples each are the least that can be learnt from")
        self._examples = {intent: tuple(texts) for intent, texts in sorted(examples.items())}
        self._directory = directory
        self._lock = threading.Lock()
        self._weights: _Weights | None = None

    def classify(self, text: str) -> IntentScores:
        """Calibrated probabilities of all intents; they add up to one, short of rounding. Of a text over 1,000
        characters the first 700 and the last 300 are read. A text without anything known in it has no scores."""
        weights = self._weights or self._load()
        probabilities = weights.probabilities(text)
        if probabilities is None:
            return IntentScores()
        pairs = zip(weights.intents, probabilities.tolist(), strict=True)
        return IntentScores(scores={intent: int(p * _STEPS) / _STEPS for intent, p in pairs})

    def warm(self) -> None:
        """Be ready: load what was learnt, or learn it now. For a worker's start, before it takes work."""
        if self._weights is None:
            self._load()

    @property
    def name(self) -> str:
        """Hash over examples, parameters and the libraries that learn: equal names answer alike."""
        covered = {
            "format": _FORMAT,
            "parameters": _PARAMETERS,
            "scikit-learn": version("scikit-learn"),
            "numpy": version("numpy"),
            "examples": {intent.value: texts for intent, texts in self._examples.items()},
        }
        return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()

    def _load(self) -> "_Weights":
        with self._lock:
            if self._weights is None:
                path = self._directory / f"{self.name}.intents" if self._directory else None
                weights = _read(path) if path else None
                if weights is None:
                    weights = _weights_of(train(self._examples))
                    if path:
                        _write(path, weights)
                self._weights = weights
            return self._weights


def prepare(text: str) -> str:
    """What both the pipeline and our arithmetic read: normal text, lower case, numbers as `0`, bounded."""
    head, tail = _PARAMETERS["head"], _PARAMETERS["tail"]
    bounded = text if len(text) <= head + tail else f"{text[:head]} {text[-tail:]}"
    return _DIGITS.sub("0", normal(bounded).lower())


def train(examples: Examples) -> Any:
    """A fitted scikit-learn pipeline whose `predict_proba` is calibrated. The same examples in the same process or
    another give the same numbers: seeded, single-threaded, in sorted order."""
    # Imported for training only, here and below: a worker with a warm cache loads none of it.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    intents = sorted(examples)
    texts = [text for intent in intents for text in examples[intent]]
    labels = np.array([index for index, intent in enumerate(intents) for _ in examples[intent]])
    with threadpool_limits(limits=1):
        temperature = _temperature(texts, labels)
        pipeline = _pipeline().fit(texts, labels)
    classifier = pipeline[-1]
    classifier.coef_ /= temperature
    classifier.intercept_ /= temperature
    classifier.classes_ = np.array([intent.value for intent in intents])
    return pipeline


def _pipeline() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    common = {"preprocessor": prepare, "sublinear_tf": True, "dtype": np.float64}
    words = TfidfVectorizer(ngram_range=tuple(_PARAMETERS["words"]), token_pattern=_TOKEN.pattern, **common)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=tuple(_PARAMETERS["characters"]), **common)
    return make_pipeline(make_union(words, characters), LogisticRegression(C=_PARAMETERS["C"], max_iter=1000))


def _temperature(texts: Sequence[str], labels: NDArray[np.int64]) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(_PARAMETERS["folds"], shuffle=True, random_state=_PARAMETERS["seed"])
    values: Any = cross_val_predict(_pipeline(), texts, labels, cv=folds, method="decision_function")
    own = np.arange(len(labels)), labels
    return min(_TEMPERATURES, key=lambda t: -float(np.log(_softmax(values / t)[own]).mean()))


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


@dataclass(frozen=True)
class _Weights:
    """What was learnt. Features are words first, character runs after them; `weights` has a row for each."""

    intents: tuple[Intent, ...]
    words: Mapping[str, int]
    characters: Mapping[str, int]
    rarity: Floats
    weights: Floats
    intercept: Floats

    def probabilities(self, text: str) -> Floats | None:
        prepared = prepare(text)
        blocks = self._block(self.words, _word_runs(prepared)), self._block(self.characters, _character_runs(prepared))
        sums = [values @ self.weights[rows] for rows, values in blocks if len(rows)]
        return _softmax(sum(sums, start=self.intercept)) if sums else None

    def _block(self, vocabulary: Mapping[str, int], terms: Iterator[str]) -> tuple[NDArray[np.intp], Floats]:
        known = Counter(row for term in terms if (row := vocabulary.get(term)) is not None)
        rows = np.fromiter(known, dtype=np.intp, count=len(known))
        values = (1.0 + np.log(np.fromiter(known.values(), dtype=np.float64, count=len(known)))) * self.rarity[rows]
        return rows, values / (np.sqrt(values @ values) or 1.0)

    def check(self) -> "_Weights":
        """Itself, if the parts fit each other; else `ValueError`."""
        features = len(self.words) + len(self.characters)
        rows = sorted((*self.words.values(), *self.characters.values()))
        shapes = self.weights.shape == (features, len(self.intents)) and self.intercept.shape == (len(self.intents),)
        numbers = all(
            a.dtype == np.float64 and np.isfinite(a).all() for a in (self.rarity, self.weights, self.intercept)
        )
        if not shapes or not numbers or self.rarity.shape != (features,) or rows != list(range(features)):
            raise ValueError("the parts do not fit each other")
        return self


def _word_runs(prepared: str) -> Iterator[str]:
    tokens = _TOKEN.findall(prepared)
    yield from tokens
    yield from (f"{first} {second}" for first, second in pairwise(tokens))


def _character_runs(prepared: str) -> Iterator[str]:
    shortest, longest = _PARAMETERS["characters"]
    for word in prepared.split():
        padded = f" {word} "
        for length in range(shortest, min(longest, len(padded)) + 1):
            for start in range(len(padded) - length + 1):
                yield padded[start : start + length]


def _weights_of(pipeline: Any) -> _Weights:
    (_, words), (_, characters) = pipeline[0].transformer_list
    classifier, offset = pipeline[-1], len(words.vocabulary_)
    return _Weights(
        intents=tuple(Intent(label) for label in classifier.classes_),
        words={term: int(row) for term, row in words.vocabulary_.items()},
        characters={term: int(row) + offset for term, row in characters.vocabulary_.items()},
        rarity=np.concatenate([words.idf_, characters.idf_]),
        weights=np.ascontiguousarray(classifier.coef_.T),
        intercept=classifier.intercept_,
    ).check()


def _read(path: Path) -> _Weights | None:
    """What is there, if it is whole and ours. The file begins with the SHA-256 of the rest."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise ValueError("damaged")
        with np.load(io.BytesIO(content[32:]), allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            return _Weights(
                intents=tuple(Intent(value) for value in about["intents"]),
                words={term: row for row, term in enumerate(about["words"])},
                characters={term: row for row, term in enumerate(about["characters"], len(about["words"]))},
                rarity=stored["rarity"],
                weights=stored["weights"],
                intercept=stored["intercept"],
            ).check()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        log.warning("intent_cache_ignored")
        return None


def _write(path: Path, learnt: _Weights) -> None:
    """All or nothing, whoever else writes at the same time: a file in a folder of one's own, then renamed."""
    about = {
        "intents": [intent.value for intent in learnt.intents],
        "words": sorted(learnt.words, key=learnt.words.__getitem__),
        "characters": sorted(learnt.characters, key=learnt.characters.__getitem__),
    }
    stored = io.BytesIO()
    np.savez(
        stored,
        allow_pickle=False,
        about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
        rarity=learnt.rarity,
        weights=learnt.weights,
        intercept=learnt.intercept,
    )
    content = stored.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as own:
            whole = Path(own) / path.name
            whole.write_bytes(hashlib.sha256(content).digest() + content)
            whole.replace(path)
    except OSError:
        log.warning("intent_cache_not_written")
