"""T-7: what is served is what is written down, and nothing else."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.main import create_app
from settings import Settings
from tests.sealed import PAYLOAD_KEY

REFERENCE = Path(__file__).parents[2] / "docs/reference/http-api.md"
CONSOLE = {(method, path) for method in ("GET", "HEAD") for path in ("/console", "/console/{path:path}")}
BESIDE = CONSOLE | {
    ("GET", "/openapi.json"), ("HEAD", "/openapi.json"), ("GET", "/metrics"), ("OPTIONS", "/codec/decode"),
}  # fmt: skip
"""Served without being in the contract: the contract itself, what only a scraper inside reads, what a browser asks
before it decodes for Temporal's Web UI, and the files of the console, which hold nothing of anybody."""
PAGES = {("GET", "/docs"), ("HEAD", "/docs")}


def application(**changed: Any) -> Any:
    needed = {
        "database_url": "postgresql://nobody@localhost/none",
        "id_key": secrets.token_hex(32),
        "payload_keys": PAYLOAD_KEY,
    }
    return create_app(Settings.load(override={**needed, **changed}))


def served(routes: Any) -> Iterator[tuple[str, str]]:
    """Every method of every path, whichever way it was put into the application."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from served(route.original_router.routes)
        else:
            assert hasattr(route, "methods"), route  # a mount or a socket would need a word here
            yield from ((method, route.path) for method in route.methods)


def declared(app: Any) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}


def test_T7_production_serves_the_contract_and_nothing_else() -> None:
    app = application(environment="production")
    assert set(served(app.routes)) == declared(app) | BESIDE
    assert not [path for _, path in served(app.routes) if path.startswith("/debug")]


def test_T7_a_machine_of_ones_own_serves_its_debug_routes_and_the_pages_of_the_contract_too() -> None:
    """Negative control: what is off in production would be seen."""
    app = application(environment="development", local=True)
    assert set(served(app.routes)) == declared(app) | BESIDE | PAGES
    assert [path for _, path in served(app.routes) if path.startswith("/debug")]


def test_T7_whatever_is_served_is_in_the_reference() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for _, path in served(application(environment="development", local=True).routes):
        shape = re.sub(r"\\\{[^}]+\\\}", r"[^/\\s'?`]+", re.escape(path))
        assert re.search(rf"{shape}['? \n`]", text), f"{path} is not in the reference"
