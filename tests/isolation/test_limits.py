"""X-12: each limit the contract names is the limit the server keeps: at it is fine, beyond it is refused, by name."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.test_auth import ALLOWED
from tests.isolation.conftest import Street
from tests.isolation.places import Place, places, resolved
from tests.isolation.test_matrix import Operation
from tests.isolation.test_parameters import ask, declared, usual

BEYOND = {"maxLength": 1, "maximum": 1, "maxItems": 1, "minLength": -1, "minimum": -1, "minItems": -1}
SPELLINGS = ("{a}", "{A}", "{0}", "int_{a}", "cal-{a}", "https://a.example/{a}", "{a}@example.com", "1{0}", "Mo-Fr {0}")
"""Ways to be as long as one likes and still be what a pattern asks for."""


def word(length: int, pattern: str) -> str | None:
    """A text of this length that fits the pattern, if one of our spellings does."""
    for spelling in SPELLINGS:
        filler = spelling[spelling.index("{") + 1]
        room = max(length - len(spelling) + 3, 0)
        made = spelling.replace(f"{{{filler}}}", filler * room)
        if len(made) == length and re.search(pattern, made):
            return made
    return None


def value(schema: dict[str, Any], limit: str, size: int, street: Street) -> Any:
    """A value exactly so large, otherwise as the schema wants it; None where there is none."""
    if limit in {"maximum", "minimum"}:
        return size
    if limit in {"maxLength", "minLength"}:
        return word(size, schema.get("pattern", "")) if size >= 0 else None
    item = resolved(schema.get("items", {}), street.document)
    one = item["enum"][0] if "enum" in item else "UTC" if item.get("type") == "string" else None
    return None if one is None or size < 0 else [one] * size


def beyond(place: Place, limit: str, size: int, street: Street) -> Any:
    """A value one too large or one too small. Its size is looked at before its pattern, so any letters do."""
    over = value(place.schema, limit, size + BEYOND[limit], street)
    if over is None and place.schema.get("type") == "string":
        over = "a" * (size + BEYOND[limit])
    return None if over == "" and place.kind != "body" else over  # elsewhere nothing is as good as left out


def limits(street: Street, operation: Operation) -> Iterator[tuple[Place, str, int]]:
    for place in places(declared(street, operation), street.document):
        for limit in BEYOND:
            if isinstance(place.schema.get(limit), int):
                yield place, limit, place.schema[limit]


OF_SIZE = re.compile(r"too_(long|short)|(less|greater)_than")


async def complaints(street: Street, operation: Operation, place: Place, sent: Any) -> tuple[int, set[str]]:
    """The status, and what is said about the size of what stands in this place."""
    told = sent if place.kind == "body" or isinstance(sent, str) else str(sent)
    answer = await ask(street, usual(street, operation).having(place, told))
    errors = answer.json().get("errors", []) if answer.status_code in {400, 422} else []
    name = ".".join(map(str, place.at))
    return answer.status_code, {
        e["code"] for e in errors if e["field"] in {name, f"{name}.0"} and OF_SIZE.search(e["code"])
    }


@pytest.mark.parametrize("operation", ALLOWED, ids=lambda o: f"{o[0]} {o[1]}")
async def test_X12_every_limit_of_the_contract_is_kept_exactly(street: Street, operation: Operation) -> None:
    for place, limit, size in limits(street, operation):
        fits = value(place.schema, limit, size, street)
        if fits is not None and fits != "":
            status, said = await complaints(street, operation, place, fits)
            assert status < 500, (str(place), limit)
            assert said == set(), (str(place), limit, size)
        over = beyond(place, limit, size, street)
        if over is not None:
            status, said = await complaints(street, operation, place, over)
            assert status in {400, 413, 422}, (str(place), limit, size)
            assert said, (str(place), limit, size)


def test_X12_nearly_every_limit_can_be_tried(street: Street) -> None:
    """Negative control of the one above: what cannot be tried is counted, and is little."""
    tried = untried = 0
    for operation in ALLOWED:
        for place, limit, size in limits(street, operation):
            over = beyond(place, limit, size, street)
            tried, untried = tried + (over is not None), untried + (over is None)
    assert tried > 150
    assert untried < tried / 4


BOUNDED = {"enum", "const", "format", "maxLength"}
BOUNDED_BY_ITS_PATTERN = re.compile(r"\^(?:[^*+]|\\\+|\+\]|\[[^\]]*\])*\$")


def unbounded(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    if kind == "string":
        return not BOUNDED & schema.keys() and not BOUNDED_BY_ITS_PATTERN.fullmatch(schema.get("pattern", ""))
    if kind == "integer":
        return not {"maximum", "exclusiveMaximum", "enum", "const"} & schema.keys()
    return kind == "array" and "maxItems" not in schema


def test_X12_nothing_a_caller_sends_is_without_a_limit(street: Street) -> None:
    found = {
        f"{operation[0]} {operation[1]}: {place}"
        for operation in ALLOWED
        for place in places(declared(street, operation), street.document)
        if unbounded(place.schema)
    }
    # A preference that cannot be understood is ignored, as RFC 7240 asks; the server bounds headers as a whole.
    takes = ("/chat", "/proposals", "/interactions/{interactionId}/verify")
    assert found == {f"post {path}: header prefer" for path in takes}


@pytest.mark.parametrize(
    "schema", [{"type": "string"}, {"type": "string", "pattern": "^a+$"}, {"type": "integer"}, {"type": "array"}]
)
def test_X12_negative_control_what_has_no_limit_is_noticed(schema: dict[str, Any]) -> None:
    assert unbounded(schema)
    assert not unbounded({**schema, "maxLength": 1, "maximum": 1, "maxItems": 1})
