"""The generated OpenAPI document, with what the generator cannot know: which problems a route answers with."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI

from api.error_codes import CODES

Document = dict[str, Any]

PROBLEM: Document = {
    "title": "Problem",
    "description": "RFC 9457. Decide by `code`; `type` leads to its meaning. Some codes bring further members.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": ["/errors/validation_failed"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": sorted(CODES)},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldProblem"}},
    },
}
FIELD_PROBLEM: Document = {
    "title": "FieldProblem",
    "description": "One field that cannot be accepted. What was in it is never repeated.",
    "type": "object",
    "required": ["field", "in", "code", "message"],
    "properties": {
        "field": {"type": "string"},
        "in": {"type": "string", "enum": ["body", "query", "path", "header", "cookie"]},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
}
RETRY_AFTER: Document = {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer"}}}
HEADERS: dict[str, Document] = {
    "401": {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    "405": {"Allow": {"required": True, "schema": {"type": "string"}}},
    "429": RETRY_AFTER,
    "503": RETRY_AFTER,
}


def install(app: FastAPI) -> None:
    """Make `app.openapi` document the problems of every route."""
    generate: Callable[[], Document] = app.openapi

    def openapi() -> Document:
        if app.openapi_schema is None:
            _complete(generate())
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for generated in ("HTTPValidationError", "ValidationError"):
        schemas.pop(generated, None)
    schemas |= {"Problem": PROBLEM, "FieldProblem": FIELD_PROBLEM}
    for path in document["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            answers.pop("422", None)
            declared = {status for status, answer in answers.items() if status >= "4" and "content" not in answer}
            for status in sorted(declared | set(_problems(operation))):
                answers.setdefault(status, {}).update(_problem_answer(status, answers.get(status, {})))


def _problems(operation: Document) -> Iterator[str]:
    """The statuses a route can answer with, by what it takes."""
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    yield "500"
    if "security" in operation:
        yield from ("401", "403", "429", "503")
    if "requestBody" in operation:
        yield from ("400", "413", "415", "422")
    if places & {"query", "header"}:
        yield "422"
    if "path" in places:
        yield from ("400", "404")


def _problem_answer(status: str, declared: Document) -> Document:
    if "content" in declared:
        return declared
    codes = [code for code, entry in CODES.items() if entry.status == int(status)]
    answer: Document = {
        "description": f"A problem: {', '.join(f'`{code}`' for code in codes)}.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    return answer | ({"headers": HEADERS[status]} if status in HEADERS else {})
