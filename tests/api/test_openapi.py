"""The OpenAPI document is the reference: it is valid, complete, and what the server does conforms to it."""

import asyncio
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import checks

from tests.api.conftest import Api
from tests.api.wire import problem_of

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
