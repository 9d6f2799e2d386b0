"""X-4: who may open a connection at all. An address somebody else chose is called by one module alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.regexes import ROOT, files

LIBRARIES = {
    "httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "requests", "urllib3", "aiosmtplib", "smtplib", "socket",
    "urllib.request", "http.client", "ftplib", "websockets", "grpc", "opentelemetry.exporter", "anyio", "uvicorn",
}  # fmt: skip
CALLS = {"open_connection", "create_connection", "open_unix_connection", "create_datagram_endpoint", "getaddrinfo"}
CHOSEN_BY_CALLERS = {"adapters/gateways/outside.py"}
CHOSEN_BY_THE_OPERATOR = {
    "adapters/gateways/smtp.py": "the mail server of the settings",
    "adapters/telemetry.py": "the collector of the settings",
    "adapters/embedded/tour.py": "the local stack's own API",
    "adapters/embedded/processes.py": "whether a port of this machine is free",
    "stack.py": "the local stack's own API",
    "api/main.py": "listens, and calls nobody",
    "api/malformed.py": "what it answers where something is no HTTP",
}


def connects(path: Path) -> bool:
    """Whether a module could open a connection: it imports a library for that, or asks the event loop."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = set(_imported(tree))
    if any(name == lib or name.startswith(f"{lib}.") for name in imported for lib in LIBRARIES):
        return True
    return any(isinstance(node, ast.Attribute) and node.attr in CALLS for node in ast.walk(tree))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_X4_only_one_module_calls_addresses_somebody_else_chose() -> None:
    """A new module that can open connections fails here until it says whose address it calls."""
    found = {str(path.relative_to(ROOT)) for path in files() if connects(path)}
    assert found == CHOSEN_BY_CALLERS | CHOSEN_BY_THE_OPERATOR.keys()


@pytest.mark.parametrize(
    "source",
    ["import socket", "from urllib import request", "import httpx2 as h", "def f(l): l.create_connection(x)",
     "def f():\n    import requests", "from opentelemetry.exporter.otlp.proto.http import x"],
)  # fmt: skip
def test_X4_negative_control_a_module_that_connects_is_noticed(tmp_path: Path, source: str) -> None:
    (tmp_path / "x.py").write_text(source)
    assert connects(tmp_path / "x.py")
    (tmp_path / "x.py").write_text("from urllib.parse import urlsplit\nimport asyncio")
    assert not connects(tmp_path / "x.py")
