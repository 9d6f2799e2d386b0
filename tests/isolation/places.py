"""Where a request takes words, read from the contract: every parameter and every member of a body."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Step = str | int


def resolved(schema: Document, document: Document) -> Document:
    """The schema itself, behind references and `or null`."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif kinds := [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]:
            schema = {**{k: v for k, v in schema.items() if k != "anyOf"}, **kinds[0]}
        else:
            return schema


def body_schema(operation: Document, document: Document) -> Document | None:
    """The schema of the JSON body, if there is one."""
    content = operation.get("requestBody", {}).get("content", {})
    return resolved(content["application/json"]["schema"], document) if "application/json" in content else None


def members(
    schema: Document, document: Document, at: tuple[Step, ...] = ()
) -> Iterator[tuple[tuple[Step, ...], Document]]:
    """Every member of a body with the way to it, objects and lists themselves included."""
    schema = resolved(schema, document)
    yield at, schema
    for name, part in schema.get("properties", {}).items():
        yield from members(part, document, (*at, name))
    if isinstance(schema.get("items"), dict):
        yield from members(schema["items"], document, (*at, 0))


def takes(schema: Document, word: str) -> bool:
    """Whether this is a free text that may be this word."""
    if schema.get("type") != "string" or "enum" in schema or "const" in schema or "format" in schema:
        return False
    return (
        schema.get("minLength", 0) <= len(word) <= schema.get("maxLength", len(word))
        and re.search(schema.get("pattern", ""), word) is not None
    )


def with_value(body: Any, at: tuple[Step, ...], value: Any) -> Any:
    """The body with this value there; what leads to it is made."""
    if not at:
        return value
    step, rest = at[0], at[1:]
    changed = deepcopy(body) if isinstance(body, dict | list) else ({} if isinstance(step, str) else [])
    if isinstance(changed, list):
        return [with_value(changed[0] if changed else None, rest, value)]
    changed[step] = with_value(changed.get(step), rest, value)
    return changed


@dataclass(frozen=True)
class Place:
    """One place of a request: a parameter, or a member of the body."""

    kind: str
    """`path`, `query`, `header` or `body`."""
    at: tuple[Step, ...]
    schema: Any

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.at))}"


@dataclass(frozen=True)
class Asked:
    """A request, before it is sent."""

    method: str
    template: str
    ids: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    def having(self, place: Place, value: Any) -> "Asked":
        """The same request with this value in this place."""
        changed = dict(self.__dict__)
        if place.kind == "body":
            changed["body"] = with_value(self.body, place.at, value)
        else:
            part = {"path": "ids", "query": "query", "header": "headers"}[place.kind]
            changed[part] = {**changed[part], str(place.at[0]): value}
        return Asked(**changed)


def places(operation: Document, document: Document) -> list[Place]:
    """Every place of an operation."""
    found = [Place(p["in"], (p["name"],), _item(p["schema"], document)) for p in operation.get("parameters", ())]
    schema = body_schema(operation, document)
    return found + [Place("body", at, part) for at, part in (members(schema, document) if schema else ()) if at]


def _item(schema: Document, document: Document) -> Document:
    """Of a header that may come twice: what each is."""
    schema = resolved(schema, document)
    return resolved(schema["items"], document) if schema.get("type") == "array" else schema
