"""What customers write, by intent: `<intent>.yaml`, one file each. Data, read once at import and checked.

`heldout.yaml` is for tests: it measures what a model learnt from the examples, so nothing here loads it.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

import yaml

from domain.understanding.text import normal
from domain.values import Intent

FEWEST = 25
LONGEST = 300

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same safe subset in C where it is built in: every process that imports this reads the files."""


class ExamplesInvalid(ValueError):
    """An example file that would teach nonsense. The message names file and fault, and is meant for its author."""


def parse(intent: Intent, source: str) -> tuple[str, ...]:
    """The examples in the text of one file. Raises `ExamplesInvalid`."""
    try:
        document = yaml.load(source, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ExamplesInvalid(f"{intent.value}.yaml is not YAML") from error
    if (
        not isinstance(document, dict)
        or document.keys() != {"intent", "examples"}
        or document["intent"] != intent.value
    ):
        raise ExamplesInvalid(f"{intent.value}.yaml needs `intent: {intent.value}` and `examples:`, nothing else")
    examples = document["examples"]
    if not isinstance(examples, list) or len(examples) < FEWEST:
        raise ExamplesInvalid(f"{intent.value}.yaml needs a list of at least {FEWEST} examples")
    for number, example in enumerate(examples, 1):
        if not isinstance(example, str) or not 0 < len(example) <= LONGEST or not normal(example):
            raise ExamplesInvalid(f"{intent.value}.yaml: example {number} must be 1 to {LONGEST} characters of text")
    return tuple(examples)


def distinct(examples: Mapping[Intent, tuple[str, ...]]) -> Mapping[Intent, tuple[str, ...]]:
    """The same examples, read-only. Raises `ExamplesInvalid` if one text is an example twice, of one intent or two."""
    seen: dict[str, Intent] = {}
    for intent, texts in examples.items():
        for text in texts:
            first = seen.setdefault(normal(text).casefold(), intent)
            if first is not intent or texts.count(text) > 1:
                raise ExamplesInvalid(f"{intent.value}.yaml repeats an example of {first.value}.yaml: {text!r}")
    return MappingProxyType(dict(examples))


def digest(examples: Mapping[Intent, tuple[str, ...]]) -> str:
    """SHA-256 over intents and examples, in hexadecimal. The order of examples matters, that of intents does not."""
    canonical = json.dumps({intent.value: texts for intent, texts in examples.items()}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


_FOLDER = files(__name__)

EXAMPLES: Mapping[Intent, tuple[str, ...]] = distinct(
    {intent: parse(intent, (_FOLDER / f"{intent.value}.yaml").read_text(encoding="utf-8")) for intent in Intent}
)
EXAMPLES_HASH = digest(EXAMPLES)
