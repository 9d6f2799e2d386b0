"""The OpenAPI document is the reference: it is valid, complete, and what the server does conforms to it."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis

from tests.api.conftest import Api, served

OPERATIONS = {
    "approve_handoff", "get_customer", "get_error", "get_handoff", "get_health", "get_interaction", "get_readiness",
    "list_errors", "list_handoffs", "list_interactions", "list_invoices", "post_chat", "put_customer", "put_invoice",
    "reject_handoff", "resolve_handoff",
}  # fmt: skip
"""Generated clients name their methods after these: an id may be added, never changed."""
CAMEL = re.compile(r"[a-z][a-zA-Z0-9]*")


@pytest.fixture(scope="module")
async def document(api: Api) -> dict[str, Any]:
    return dict((await api.http.get("/openapi.json")).json())


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {o["operationId"]: o for path in document["paths"].values() for o in path.values()}


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_the_check_for_validity_can_fail(document: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"."):
        schemathesis.openapi.from_dict({**document, "paths": {"/x": {"get": {"responses": 5}}}}).validate()


def test_operation_ids_are_unique_and_stable(document: dict[str, Any]) -> None:
    ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(ids) == len(set(ids))
    assert set(ids) >= OPERATIONS


def test_every_operation_says_what_it_is_for_and_how_it_fails(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        assert operation.get("summary"), name
        problems = {
            s: a for s, a in operation["responses"].items() if s >= "4" and (name, s) != ("get_readiness", "503")
        }
        assert "500" in problems, name
        for status, answer in problems.items():
            assert list(answer["content"]) == ["application/problem+json"], (name, status)
        if "requestBody" in operation:
            keyed = {"401", "403", "503"} if "security" in operation else set()
            assert problems.keys() >= {"400", "413", "415", "422", *keyed}, name


def properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from properties(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from properties(part)


def test_every_name_is_camel_case(document: dict[str, Any]) -> None:
    names = {name for schema in document["components"]["schemas"].values() for name in properties(schema)}
    names |= {p["name"] for o in operations(document).values() for p in o.get("parameters", ()) if p["in"] != "header"}
    assert len(names) > 50
    assert {name for name in names if not CAMEL.fullmatch(name)} == set()


async def test_the_document_can_be_read_in_a_browser(api: Api) -> None:
    assert (await api.http.get("/docs")).status_code == 200


CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
          "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,"
          "missing_required_header,ignored_auth,use_after_free,ensure_resource_availability")  # fmt: skip


async def test_X1_generated_requests_find_no_server_error_and_no_undocumented_answer(api: Api) -> None:
    """As an integrator with a key meets it: from another process, over a socket, nobody let in for being near."""
    await api.house.customer("cust_123")
    key = await api.house.key("admin")
    async with served(api.house.settings, api.house.temporal, local=False) as url:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{url}/openapi.json",
            "--header",
            f"Authorization: Bearer {key}",
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
            "--seed",
            "20260101",
            "--max-examples",
            "15",
            "--generation-deterministic",
            "--workers",
            "1",
            "--no-color",
            "--request-timeout",
            "30",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        report, _ = await process.communicate()
    assert process.returncode == 0, report.decode()
    generated = re.search(r"(\d+) generated", report.decode())
    assert generated is not None, report.decode()
    assert int(generated[1]) > 300, report.decode()
