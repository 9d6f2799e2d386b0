"""What is no HTTP at all gets a problem document too, although no route and no framework ever sees it."""

import asyncio
import json

import pytest

from tests.api.conftest import Api

NO_HTTP = [
    b"GE T /healthz HTTP/1.1",
    b"FROBNICATE /healthz HTTP/1.1",
    b"get /healthz HTTP/1.1",
    b"G\x00T /healthz HTTP/1.1",
    b"\xff\xfe /healthz HTTP/1.1",
    b"GET /healthz HTTP/9.9",
    b"GET /health\x01z HTTP/1.1",
    b"GET /healthz HTTP/1.1\r\nBad Header: x",
    b"GET /healthz HTTP/1.1\r\nX: a\x00b",
    b"POST /chat HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
    b"POST /chat HTTP/1.1\r\nContent-Length: -1",
    b"POST /chat HTTP/1.1\r\nTransfer-Encoding: chunked",  # beside a length: the two could mean two requests
]


@pytest.mark.parametrize("head", NO_HTTP, ids=[ascii(head)[2:-1] for head in NO_HTTP])
async def test_what_is_no_http_gets_a_problem_document_and_the_line_is_cut(api: Api, head: bytes) -> None:
    answer = await api.raw(head)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.headers["connection"] == "close"
    document = json.loads(answer.body)
    assert (document["status"], document["code"], document["type"]) == (400, "bad_request", "/errors/bad_request")
    assert len(answer.body) == int(answer.headers["content-length"])


async def test_what_was_sent_is_not_repeated(api: Api) -> None:
    answer = await api.raw(b"SECRET-4711 /me@example.com HTTP/1.1")
    assert b"4711" not in answer.body
    assert b"example" not in answer.body


async def test_what_no_http_follows_was_answered_before(api: Api) -> None:
    """A good request, answered, and then nonsense on the same line: the first answer stands."""
    reader, writer = await asyncio.open_connection(api.http.base_url.host, api.http.base_url.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    first = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GE T /healthz HTTP/1.1\r\n\r\n")
    rest = await reader.read()
    writer.close()
    assert first.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json" in rest


async def test_negative_control_a_method_that_is_one_is_answered_by_the_routes(api: Api) -> None:
    answer = await api.raw(b"PROPFIND /healthz HTTP/1.1")
    assert (answer.status, json.loads(answer.body)["code"]) == (405, "method_not_allowed")
