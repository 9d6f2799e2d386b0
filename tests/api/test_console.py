"""`/console` serves what was built, says how to build what was not, and lets a page do nothing but its own."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from api.main import create_app
from settings import Settings
from tests.api.wire import problem_of

PAGE = "<!doctype html><title>Holdfast</title><script type=module src=/console/assets/index-abcd1234.js></script>"
SCRIPT = "console.log('holdfast')" * 50
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """An API that needs neither Postgres nor Temporal for this, and looks for its console in `tmp_path / console`."""
    given = {"environment": "development", "database_url": "postgresql://nobody@127.0.0.1:1/none", "id_key": "k" * 40}
    app = create_app(Settings.load(override={**given, "console_dir": str(tmp_path / "console")}))
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "console"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "theme.js").write_text("1")
    (folder / "built-from.json").write_text("{}")
    script = folder / "assets" / "index-abcd1234.js"
    script.write_text(SCRIPT)
    script.with_name(f"{script.name}.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (tmp_path / "secret.js").write_text("not yours")
    return folder


async def test_a_console_that_is_not_built_says_how_and_is_there_once_it_is(
    http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    answer = await http.get("/console", headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "make console" in answer.text
    assert (await http.get("/healthz")).status_code == 200
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "index.html").write_text(PAGE)
    assert (await http.get("/console", headers=BROWSER)).text == PAGE


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("path", ["", "/", "/inbox", "/inbox/hnd_0123456789", "/customers/a.b@example.com"])
async def test_every_address_of_the_console_is_the_page_and_is_asked_for_anew(
    http: httpx2.AsyncClient, path: str
) -> None:
    answer = await http.get(f"/console{path}", headers=BROWSER)
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("built")
async def test_what_the_page_may_do_is_said_with_every_answer(http: httpx2.AsyncClient) -> None:
    for path in ("/console", "/console/inbox", "/console/theme.js", "/console/assets/index-abcd1234.js"):
        headers = (await http.get(path, headers=BROWSER)).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        assert {policy[name] for name in ("frame-ancestors", "base-uri", "form-action")} == {"'none'"}
        assert not {"unsafe-inline", "unsafe-eval"} & set(headers["content-security-policy"].replace("'", " ").split())
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


@pytest.mark.usefixtures("built")
async def test_what_is_named_after_its_content_is_kept_and_comes_packed(http: httpx2.AsyncClient) -> None:
    packed = await http.get("/console/assets/index-abcd1234.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "immutable" in packed.headers["cache-control"]
    assert packed.headers["content-type"] == "text/javascript; charset=utf-8"
    plain = await http.get("/console/assets/index-abcd1234.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == packed.text == SCRIPT
    assert (await http.get("/console/theme.js")).headers["cache-control"] == "no-cache"


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "path",
    [
        "/assets/index-00000000.js", "/assets/", "/assets/../../secret.js", "/assets/..%2f..%2fsecret.js",
        "/assets/%2e%2e/%2e%2e/secret.js", "/missing.js",
    ],
)  # fmt: skip
async def test_a_file_that_is_not_there_is_no_page_and_nothing_beside_the_folder_is_a_file(
    http: httpx2.AsyncClient, path: str
) -> None:
    answer = await http.get(f"/console{path}", headers=BROWSER)
    assert "not yours" not in answer.text
    if "%2e" not in path and ".." not in path:
        problem_of(answer, 404, "not_found")


@pytest.mark.usefixtures("built")
async def test_who_wants_no_page_gets_none_and_nothing_is_written_there(http: httpx2.AsyncClient) -> None:
    problem_of(await http.get("/console/inbox", headers={"Accept": "application/json"}), 404, "not_found")
    problem_of(await http.post("/console", json={}), 405, "method_not_allowed")
    assert "built-from" not in (await http.get("/console/built-from.json", headers=BROWSER)).text
