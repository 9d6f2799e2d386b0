"""What people do in the console, in a real browser, against the real product."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from supply.console import BUILT, SOURCES
from tests.api.conftest import Api
from tests.api.test_session import browser, moved_back, signed_in
from tests.api.test_step_up import ABOVE
from tests.console.conftest import Asked, OpenPage

expect.set_options(timeout=30_000)
SHOTS = BUILT.parent / "screenshots"
FIRST_PAGE = 200_000
SCRIPT = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"


async def signs_in(api: Api, page: Page, *scopes: str) -> dict[str, Any]:
    """A new operator of these scopes, signed in on the page."""
    async with browser(api) as http:
        operator = await signed_in(api, http, *scopes)
    await page.get_by_label("Login").fill(operator["login"])
    await page.get_by_label("Password").fill(operator["password"])
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("navigation", name="Console").first).to_be_visible()
    return operator


async def told(page: Page, title: str) -> None:
    await expect(page.locator("[aria-live=polite]").get_by_text(title)).to_be_visible()


# Who works here


async def test_on_this_machine_one_click_lets_in_and_another_one_out(open_page: OpenPage) -> None:
    page = await open_page(local=False)
    await page.get_by_role("button", name="Continue on this machine").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.get_by_role("button", name="Account").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_an_operator_signs_in_and_sees_what_an_operator_may(open_page: OpenPage, api: Api) -> None:
    page = await open_page(local=False)
    await page.get_by_label("Login").fill("nobody@example.com")
    await page.get_by_label("Password").fill("not the password")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("sign_in_failed")
    await signs_in(api, page, "operator")
    places = page.get_by_role("navigation", name="Console").first
    await expect(places.get_by_role("link", name="Inbox")).to_be_visible()
    await expect(places.get_by_role("link", name="Audit")).to_have_count(0)
    await page.get_by_role("button", name="Account").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("button", name="Continue on this machine")).to_be_visible()


async def test_a_one_time_password_leads_to_choosing_another(open_page: OpenPage, api: Api) -> None:
    added = (await api.http.post("/operators", json={"login": "fresh@example.com", "scopes": ["auditor"]})).json()
    page = await open_page(local=False)
    await page.get_by_label("Login").fill("fresh@example.com")
    await page.get_by_label("Password").fill(added["oneTimePassword"])
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.get_by_label("One-time password").fill(added["oneTimePassword"])
    await page.get_by_label("New password").fill("a whole phrase of her own")
    await page.get_by_role("button", name="Use this password").click()
    await expect(page.get_by_role("link", name="Audit").first).to_be_visible()


# What needs a person


async def test_what_is_approved_happens_once_and_is_shown(open_page: OpenPage, api: Api, asked: Asked) -> None:
    handoff = await asked()
    page = await open_page("/inbox")
    await page.get_by_role("list", name="Handoffs").get_by_text(handoff["customerId"]).click()
    await page.get_by_role("button", name="Claim").click()
    await expect(page.get_by_text("Claimed by you")).to_be_visible()
    await page.get_by_role("button", name="Approve…").click()
    dialog = page.get_by_role("dialog", name="Approve exactly this?")
    await expect(dialog).to_contain_text("15000 minor units")
    await expect(dialog).to_contain_text(handoff["digest"][:12])
    await dialog.get_by_label("Note").fill("checked with billing")
    await dialog.get_by_role("button", name="Approve refund of €150.00").click()
    await told(page, "Approved")
    await api.house.until_settled(handoff["interactionId"])
    done = page.get_by_role("heading", name="Already done").locator("xpath=ancestor::section[1]")
    await expect(done).to_contain_text("Confirmed")
    of_customer = [r for r in await api.house.refunds() if r.customer_id == handoff["customerId"]]
    assert [r.amount for r in of_customer] == [15_000]


async def test_of_two_who_claim_the_second_hears_who_was_first(open_page: OpenPage, api: Api, asked: Asked) -> None:
    handoff = await asked()
    address = f"/inbox/{handoff['id']}"
    ana, ben = await open_page(local=False), await open_page(local=False)
    first = await signs_in(api, ana, "operator")
    await signs_in(api, ben, "operator")
    for page in (ana, ben):
        await page.goto(f"/console{address}")
        await expect(page.get_by_role("button", name="Claim")).to_be_visible()

    async def as_it_was(route: Route) -> None:
        await route.fulfill(json=handoff)

    # Ben's page does not know yet.
    await ben.route(re.compile(rf"/handoffs/{handoff['id']}$"), as_it_was)
    await ana.get_by_role("button", name="Claim").click()
    await expect(ana.get_by_text("Claimed by you")).to_be_visible()
    await ben.get_by_role("button", name="Claim").click()
    await told(ben, "It is in other hands")
    await ben.unroute_all()
    await expect(ben.get_by_text(f"Claimed by Operator …{first['id'][-5:]}")).to_be_visible()
    shown = (await api.http.get(f"/handoffs/{handoff['id']}")).json()
    assert shown["assignee"] == first["id"]


async def test_who_decides_second_is_told_what_was_decided(open_page: OpenPage, api: Api, asked: Asked) -> None:
    handoff = await asked()
    page = await open_page(f"/inbox/{handoff['id']}")
    await page.get_by_role("button", name="Approve…").click()
    key = {"Authorization": f"Bearer {await api.house.key('operator', name='ana')}"}
    said = await api.http.post(f"/handoffs/{handoff['id']}/reject", json={}, headers=key)
    assert said.status_code == 200
    await page.get_by_role("dialog").get_by_role("button", name="Approve refund").click()
    await expect(page.get_by_role("alert")).to_contain_text("Somebody was first")
    await expect(page.get_by_role("alert")).to_contain_text("Ana rejected it")
    assert not [r for r in await api.house.refunds() if r.customer_id == handoff["customerId"]]


async def test_what_is_rejected_is_told_to_the_customer_in_these_words(
    open_page: OpenPage, api: Api, asked: Asked
) -> None:
    handoff = await asked()
    page = await open_page(f"/inbox/{handoff['id']}")
    await page.get_by_role("button", name="Reject…").click()
    await page.get_by_label("Reply to the customer").fill("We cannot do this. Kim")
    await page.get_by_role("button", name="Reject and tell the customer").click()
    await told(page, "Rejected")
    await expect(page.get_by_role("list").get_by_text("We cannot do this. Kim")).to_be_visible()
    ended = await api.house.until_finished(handoff["interactionId"])
    assert ended["reply"] == "We cannot do this. Kim"
    assert not [r for r in await api.house.refunds() if r.customer_id == handoff["customerId"]]


async def test_less_is_approved_and_more_than_the_rules_allow_is_not(
    open_page: OpenPage, api: Api, asked: Asked
) -> None:
    handoff = await asked()
    page = await open_page(f"/inbox/{handoff['id']}")
    await page.get_by_role("button", name="Approve…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("Approve another amount").click()
    await dialog.get_by_label("Amount in EUR").fill("12.345")
    await expect(dialog.get_by_text("Not an amount of this currency")).to_be_visible()
    await dialog.get_by_label("Amount in EUR").fill("9999")
    await dialog.get_by_role("button", name="Approve refund of €9,999.00").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("edit_refused")
    await dialog.get_by_label("Amount in EUR").fill("120,50")
    await expect(dialog).to_contain_text("Instead of €150.00")
    await dialog.get_by_role("button", name="Approve refund of €120.50").click()
    await told(page, "Approved")
    await api.house.until_settled(handoff["interactionId"])
    of_customer = [r for r in await api.house.refunds() if r.customer_id == handoff["customerId"]]
    assert [r.amount for r in of_customer] == [12_050]


async def test_much_money_asks_for_the_password_and_then_does_it(open_page: OpenPage, api: Api, asked: Asked) -> None:
    handoff = await asked(ABOVE + 1)
    page = await open_page(local=False)
    operator = await signs_in(api, page, "operator")
    session = (await page.evaluate("async () => (await fetch('/session')).json()"))["sessionId"]
    await moved_back(api, session, "stepped_up_at", timedelta(minutes=5, seconds=1))
    await page.goto(f"/console/inbox/{handoff['id']}")
    await page.get_by_role("button", name="Approve…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Approve refund").click()
    again = page.get_by_role("dialog", name="Your password, once more")
    await again.get_by_label("Password").fill(operator["password"])
    await again.get_by_role("button", name="Confirm").click()
    await told(page, "Approved")
    assert (await api.http.get(f"/handoffs/{handoff['id']}")).json()["decision"] == "approved"


async def test_notes_and_words_to_the_customer(open_page: OpenPage, api: Api, asked: Asked) -> None:
    handoff = await asked(message="I want to talk to a human about inv_1")
    page = await open_page(f"/inbox/{handoff['id']}")
    await expect(page.get_by_role("button", name="Reply…")).to_be_visible()
    await page.keyboard.press("n")
    await page.get_by_role("dialog").get_by_label("Note").fill("called, no answer")
    await page.get_by_role("button", name="Save note").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_text("called, no answer")).to_be_visible()
    await page.keyboard.press("r")
    await page.get_by_label("Your reply").fill("Hello, this is Kim.")
    await page.get_by_role("button", name="Send and close the handoff").click()
    await told(page, "Sent")
    assert (await api.house.until_finished(handoff["interactionId"]))["reply"] == "Hello, this is Kim."


async def test_the_hands_stay_on_the_keys(open_page: OpenPage, api: Api, asked: Asked) -> None:
    handoff = await asked()
    page = await open_page()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("g")
    await page.keyboard.press("i")
    row = page.get_by_role("list", name="Handoffs").get_by_role("link").filter(has_text=handoff["customerId"])
    await expect(row).to_be_visible()
    for _ in range(40):
        await page.keyboard.press("j")
        if await row.get_attribute("aria-current") == "page":
            break
    await expect(page).to_have_url(re.compile(handoff["id"]))
    await expect(page.get_by_role("button", name="Approve…")).to_be_visible()
    await page.keyboard.press("c")
    await expect(page.get_by_text("Claimed by you")).to_be_visible()
    await page.keyboard.press("a")
    await expect(page.get_by_role("dialog", name="Approve exactly this?")).to_be_visible()
    await page.keyboard.press("Control+Enter")
    await told(page, "Approved")


# Everything else


async def test_filters_are_in_the_address_and_back_brings_them_back(open_page: OpenPage, asked: Asked) -> None:
    await asked()
    page = await open_page("/inbox")
    await page.get_by_label("Kind").select_option("takeover")
    await expect(page).to_have_url(re.compile("kind=takeover"))
    await page.get_by_role("button", name="Mine").click()
    await expect(page).to_have_url(re.compile("mine=true"))
    await page.go_back()
    await expect(page.get_by_role("button", name="Mine")).to_have_attribute("aria-pressed", "false")
    await page.reload()
    await expect(page.get_by_label("Kind")).to_have_value("takeover")


async def test_a_dead_letter_is_corrected_and_sent_again(open_page: OpenPage, api: Api) -> None:
    customer = await api.customer()
    await api.house.customer(customer, email="ada@refused.example.com")
    await api.http.post("/chat", json={"customerId": customer, "message": "please refund invoice inv_1"})
    page = await open_page(f"/deliveries?status=dead_letter&customerId={customer}")
    await page.get_by_role("row").filter(has_text="Mailbox refused it").get_by_role("link").click()
    await page.get_by_role("button", name="Send it again…").click()
    await page.get_by_label("Another address").fill("ada@example.com")
    await page.get_by_role("dialog").get_by_role("button", name="Send it again").click()
    await expect(page.get_by_text("Delivered", exact=True).first).to_be_visible()
    await expect(page.get_by_text("ada@example.com")).to_be_visible()


async def test_the_chain_is_verified_and_the_verdict_is_seen(open_page: OpenPage) -> None:
    page = await open_page("/audit")
    await page.get_by_role("button", name="Verify the chain").click()
    await expect(page.get_by_role("status")).to_contain_text("Nothing was changed, removed or inserted")


async def test_a_customer_with_everything_that_was_done_to_them(open_page: OpenPage, api: Api) -> None:
    customer = await api.customer()
    done = await api.http.post("/chat", json={"customerId": customer, "message": "please refund invoice inv_1"})
    await api.house.until_settled(done.json()["interactionId"])
    page = await open_page("/customers")
    await page.get_by_label("Open a customer by id").fill(customer)
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Issue refund").click()
    story = page.get_by_role("dialog", name="Issue refund")
    await expect(story).to_contain_text("please refund invoice inv_1")
    await expect(story).to_contain_text("The rules, policy version")
    await story.get_by_role("link", name="Open the interaction").click()
    await expect(page.get_by_role("link", name="Workflow in Temporal")).to_have_attribute(
        "href", re.compile("^http://temporal.test/")
    )


async def test_X11_what_a_customer_wrote_is_text_everywhere(open_page: OpenPage, api: Api, asked: Asked) -> None:
    handoff = await asked(message=f"Please refund invoice inv_1 {SCRIPT}")
    for path in (f"/inbox/{handoff['id']}", f"/interactions/{handoff['interactionId']}"):
        page = await open_page(path)
        await expect(page.get_by_text(SCRIPT).first).to_be_visible()
        assert "taken over" not in await page.title()


async def test_what_would_run_anyway_is_stopped_by_the_policy_and_noticed(open_page: OpenPage) -> None:
    """The control of every other test here: a script in the page does not run, and is counted."""
    page = await open_page()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = 'window.ran = true'; document.body.append(s) }"
    )
    assert await page.evaluate("window.ran") is None
    assert await page.evaluate("window.violations") == ["script-src-elem inline"]
    await page.evaluate("window.violations = []")


async def test_a_tab_that_nobody_touches_asks_for_nothing_and_keeps_no_session_alive(open_page: OpenPage) -> None:
    page, sent = await open_page(own_clock=True), list[str]()
    await expect(page.get_by_role("heading", name="Needs a person now")).to_be_visible()
    page.on("request", lambda request: sent.append(request.url))
    async with page.expect_request("**/metrics/dashboard"):
        await page.clock.fast_forward(20_000)  # the control: it asks while somebody is there
    await page.clock.fast_forward(11 * 60_000)
    await page.clock.fast_forward(60_000)
    await page.wait_for_load_state("networkidle")
    sent.clear()
    for _ in range(20):
        await page.clock.fast_forward(60_000)
    await page.wait_for_load_state("networkidle")
    assert sent == []
    async with page.expect_request("**/metrics/dashboard"):
        await page.mouse.move(200, 200)


# How it looks


PAGES = (
    "/", "/inbox", "/inbox/{handoff}", "/interactions", "/interactions/{interaction}", "/customers",
    "/customers/{customer}", "/deliveries", "/deliveries?status=dead_letter", "/deliveries/{delivery}", "/audit",
)  # fmt: skip


SERIOUS = """async () =>
  (await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})).violations
    .filter((v) => ['serious', 'critical'].includes(v.impact))
    .map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).slice(0, 4).join(' | ')}`)
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_is_for_everybody(open_page: OpenPage, api: Api, asked: Asked, theme: Any) -> None:
    """No serious finding of axe, no telephone that scrolls sideways; and a picture of each page to look at."""
    handoff = await asked(message=f"Please refund invoice inv_1. {'I have waited so long. ' * 8}")
    delivery = (await api.http.get("/deliveries?limit=1")).json()["items"][0]["id"]
    ids = {"handoff": handoff["id"], "interaction": handoff["interactionId"], "customer": handoff["customerId"]}
    axe = (SOURCES / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page, wrong = await open_page("/", color_scheme=theme), dict[str, list[str]]()

    async def look(name: str) -> None:
        await page.screenshot(path=SHOTS / f"{name}-{theme}.png")
        await page.evaluate(axe)
        if found := await page.evaluate(SERIOUS):
            wrong[name] = found
        await page.set_viewport_size({"width": 390, "height": 844})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{name} scrolls sideways on a telephone"
        await page.screenshot(path=SHOTS / f"{name}-{theme}-telephone.png")
        await page.set_viewport_size({"width": 1440, "height": 900})

    for pattern in PAGES:
        await page.goto(f"/console{pattern.format(**ids, delivery=delivery)}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.get_by_role("status", name="Loading")).to_have_count(0)
        await look(re.sub(r"\W+", "-", pattern).strip("-") or "overview")
    await page.goto(f"/console/inbox/{handoff['id']}")
    await expect(page.get_by_role("button", name="Approve…")).to_be_visible()
    for keys, name in (("a", "Approve exactly this?"), ("x", "Reject it?"), ("?", "Keyboard shortcuts")):
        await page.keyboard.press(keys)
        await expect(page.get_by_role("dialog", name=name)).to_be_visible()
        await look(f"dialog-{name.split()[0].lower()}")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
    assert not wrong


async def test_a_telephone_has_its_own_navigation_and_one_thing_at_a_time(open_page: OpenPage, asked: Asked) -> None:
    handoff = await asked()
    page = await open_page("/inbox", viewport={"width": 390, "height": 844})
    await page.get_by_role("list", name="Handoffs").get_by_text(handoff["customerId"]).click()
    await expect(page.get_by_role("list", name="Handoffs")).to_be_hidden()
    await page.locator("article").get_by_role("link", name="Inbox").click()
    await expect(page.get_by_role("list", name="Handoffs")).to_be_visible()
    await page.get_by_role("navigation", name="Console").get_by_role("link", name="Audit").click()
    await expect(page.get_by_role("heading", name="Audit")).to_be_visible()


async def test_dark_as_the_system_says_or_as_somebody_chose(open_page: OpenPage) -> None:
    page = await open_page(color_scheme="dark")
    await expect(page.locator("html")).to_have_class("dark")
    await page.get_by_role("button", name="Account").click()
    await page.get_by_role("menuitemradio", name="Light").click()
    await expect(page.locator("html")).not_to_have_class("dark")
    await page.reload()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await expect(page.locator("html")).not_to_have_class("dark")


async def test_the_first_page_is_light(open_page: OpenPage) -> None:
    page = await open_page()
    await expect(page.get_by_role("heading", name="Needs a person now")).to_be_visible()
    await page.evaluate("document.fonts.ready.then(() => true)")
    loaded = await page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".filter((e) => e.name.includes('/console')).map((e) => [e.name.split('/').pop(), e.encodedBodySize])"
    )
    assert sum(size for _, size in loaded) < FIRST_PAGE, loaded
    assert {"js", "css", "woff2"} <= {name.rpartition(".")[2] for name, _ in loaded}
