"""Signing in by an identity provider, over real sockets on both sides: who gets in, and everything that does not."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import text

from domain.values import OrganisationId
from tests.api.conftest import Api
from tests.api.test_auth import bearer
from tests.api.test_session import COOKIE, OURS
from tests.api.wire import problem_of
from tests.identity_provider import (
    EC,
    ED,
    OTHER_RSA,
    RSA,
    IdentityProvider,
    identity_provider,
    shared,
    signed,
    unsigned,
)

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
ANA = {"sub": "subject-1", "email": "Ana@Example.com", "email_verified": True, "groups": ["support"]}
ROLES = [{"group": "support", "scopes": ["operator"]}, {"group": "leads", "scopes": ["operator", "admin"]}]


@dataclass
class World:
    """One organisation, its provider, and its admin."""

    api: Api
    provider: IdentityProvider
    organisation: str
    admin: dict[str, str]

    async def set_up(self, **changed: Any) -> dict[str, Any]:
        body = {
            "issuer": self.provider.issuer, "clientId": self.provider.client_id, "roles": ROLES,
            "clientSecret": self.provider.client_secret, "createsOperators": True, **changed,
        }  # fmt: skip
        answer = await self.api.http.put("/identity-provider", json=body, headers=self.admin)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def begin(self, http: httpx2.AsyncClient, **body: Any) -> str:
        """Where the browser is led."""
        answer = await http.post("/session/oidc", json={"organisation": self.organisation, **body})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["authorizationUrl"])

    async def sign_in(self, http: httpx2.AsyncClient, **person: Any) -> httpx2.Response:
        """The whole way."""
        if person:
            self.provider.person = person
        return await back(http, self.provider.authorize(await self.begin(http)))

    async def trail(self, *actions: str) -> list[Any]:
        """Every event of these kinds, the first one first."""
        async with self.api.house.db.transaction(OrganisationId(self.organisation)) as session:
            query = text("SELECT * FROM audit_events WHERE organisation = :organisation ORDER BY xact, id")
            return [event for event in await session.all(query) if event.action in actions]

    async def refusals(self) -> list[str]:
        return [event.details["reason"] for event in await self.trail("session.refused")]

    async def operators(self) -> list[dict[str, Any]]:
        return list((await self.api.http.get("/operators", headers=self.admin)).json()["items"])


async def back(http: httpx2.AsyncClient, url: str, **changed: str | None) -> httpx2.Response:
    """The browser comes back to us, as the provider led it; `changed` is what somebody changed on the way."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
    return await http.get(parts.path, params={name: value for name, value in query.items() if value is not None})


@contextlib.asynccontextmanager
async def browser(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser of its own, on the served product."""
    async with httpx2.AsyncClient(base_url=api.http.base_url, headers=OURS, timeout=60) as http:
        yield http


@pytest.fixture
async def world(api: Api) -> AsyncIterator[World]:
    organisation = f"oidc-{secrets.token_hex(4)}"
    key = await api.house.key("admin", organisation=organisation)
    async with identity_provider() as provider:
        provider.person = dict(ANA)
        yield World(api, provider, organisation, bearer(key))


async def test_somebody_signs_in_and_works(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = await world.begin(http)
        asked = parse_qs(urlsplit(url).query)
        assert len(asked["state"][0]) == len(asked["nonce"][0]) == 43
        answer = await back(http, world.provider.authorize(url))
        assert answer.status_code == 200, answer.text
        who = answer.json()
        assert (who["kind"], who["method"], who["scopes"]) == ("session", "oidc", ["operator"])
        cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(f"{COOKIE}=hf_ses_"))
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert answer.headers["cache-control"] == "no-store"
        shown = (await http.get("/session")).json()
        assert (shown["name"], shown["method"], shown["sessionId"]) == (who["name"], "oidc", who["sessionId"])
        assert (await http.get("/handoffs")).status_code == 200
        problem_of(await http.get("/identity-provider"), 403, "scope_missing")
    (operator,) = await world.operators()
    assert (operator["id"], operator["login"], operator["createdBy"]) == (
        who["name"], "ana@example.com", "identity_provider"
    )  # fmt: skip
    (started,) = await world.trail("session.started")
    assert (started.actor, started.subject, started.details) == (who["name"], who["sessionId"], {"method": "oidc"})
    (form,) = world.provider.forms
    assert world.provider.client_secret not in form.values()  # it goes in the header where it may


async def test_a_browser_lands_on_a_page_that_leads_to_ours_and_nowhere_else(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        http.headers["Accept"] = BROWSER["Accept"]
        url = await world.begin(http, returnTo="/handoffs/today")
        page = await back(http, world.provider.authorize(url))
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        port = world.api.http.base_url.port
        assert f'content="0; url=http://localhost:{port}/handoffs/today"' in page.text
        assert (await http.get("/session")).json()["method"] == "oidc"
        for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "/a?b", "/%2f", "a", "/a\n"):
            body = {"organisation": world.organisation, "returnTo": elsewhere}
            problem_of(await http.post("/session/oidc", json=body), 422, "validation_failed")
        refused = await back(http, world.provider.authorize(await world.begin(http)), state="x" * 43)
        assert refused.status_code == 410
        assert "sign_in_over" in refused.text
        assert refused.headers["content-type"].startswith("text/html")


async def test_the_provider_is_asked_with_everything_that_binds_the_answer(world: World) -> None:
    shown = await world.set_up(askedScopes=["groups"])
    async with browser(world.api) as http:
        urls = [await world.begin(http) for _ in range(2)]
    asked = [{name: values[0] for name, values in parse_qs(urlsplit(url).query).items()} for url in urls]
    for one in asked:
        assert one["redirect_uri"] == shown["redirectUri"]
        assert (one["scope"], one["code_challenge_method"]) == ("openid email groups", "S256")
        assert len(one["code_challenge"]) == 43
        assert "prompt" not in one
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]


@pytest.mark.parametrize(("alg", "key"), [("RS256", RSA), ("ES256", EC), ("EdDSA", ED), ("Ed25519", ED)])
async def test_every_algorithm_that_is_allowed_signs_in(world: World, alg: str, key: Any) -> None:
    world.provider.alg, world.provider.key, world.provider.published = alg, key, {"key-1": key}
    await world.set_up()
    async with browser(world.api) as http:
        assert (await world.sign_in(http)).status_code == 200


def _public(key: Any) -> bytes:
    """What everybody can read, as a forger uses it for a shared secret."""
    return bytes(key.as_pem(private=False))


FORGED: dict[str, tuple[Any, str]] = {
    "none": (unsigned, "alg"),
    "none, without the dots": (lambda c: unsigned(c).rstrip("."), "unreadable"),
    "HS256 with the public key": (lambda c: shared(c, _public(RSA), "key-1"), "alg"),
    "RS512": (lambda c: signed(c, RSA, "RS512", "key-1"), "alg"),
    "somebody else's key": (lambda c: signed(c, OTHER_RSA, "RS256", "key-1"), "signature"),
    "the wrong type of key": (lambda c: signed(c, EC, "ES256", "key-1"), "key_unknown"),
    "an unknown key": (lambda c: signed(c, OTHER_RSA, "RS256", "key-9"), "key_unknown"),
    "changed afterwards": (lambda c: _changed(signed(c, RSA, "RS256", "key-1")), "signature"),
    "no token": (lambda _: "", "unreadable"),
    "no JSON": (lambda _: "a.b.c", "unreadable"),
    "too long": (lambda c: signed({**c, "x": "x" * 70_000}, RSA, "RS256", "key-1"), "unreadable"),
}  # fmt: skip


def _changed(token: str) -> str:
    head, claims, signature = token.split(".")
    return f"{head}.{claims[:-4]}AAAA.{signature}"


@pytest.mark.parametrize("how", FORGED)
async def test_a_forged_token_signs_nobody_in(world: World, how: str) -> None:
    forge, reason = FORGED[how]
    world.provider.forge = forge
    await world.set_up()
    async with browser(world.api) as http:
        problem_of(await world.sign_in(http), 401, "sign_in_failed")
        assert COOKIE not in http.cookies
    assert await world.refusals() == [reason]
    assert await world.operators() == []


NOW = int(time.time())
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "iss"),
    "no issuer": ({"iss": None}, "iss"),
    "another audience": ({"aud": "somebody"}, "aud"),
    "no audience": ({"aud": None}, "aud"),
    "several audiences, nobody's": ({"aud": ["holdfast", "somebody"]}, "azp"),
    "made for somebody else": ({"aud": ["holdfast", "somebody"], "azp": "somebody"}, "azp"),
    "authorized party": ({"azp": "somebody"}, "azp"),
    "expired": ({"exp": NOW - 120}, "exp"),
    "no expiry": ({"exp": None}, "exp"),
    "an expiry that is no number": ({"exp": "tomorrow"}, "exp"),
    "an expiry beyond all numbers": ({"exp": 10**400}, "exp"),
    "true is no time": ({"exp": True}, "exp"),
    "old": ({"iat": NOW - 3_600}, "iat"),
    "from the future": ({"iat": NOW + 7_200, "exp": NOW + 9_000}, "iat"),
    "not yet": ({"nbf": NOW + 7_200}, "nbf"),
    "another nonce": ({"nonce": "x" * 43}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "no subject": ({"sub": None}, "sub"),
    "a subject that is no word": ({"sub": ["subject-1"]}, "sub"),
    "a subject without end": ({"sub": "x" * 256}, "sub"),
    "no role": ({"groups": ["cleaning"]}, "role"),
    "no groups": ({"groups": None}, "role"),
}


@pytest.mark.parametrize("how", WRONG)
async def test_a_token_that_says_something_else_signs_nobody_in(world: World, how: str) -> None:
    world.provider.claims, reason = WRONG[how]
    await world.set_up()
    async with browser(world.api) as http:
        problem_of(await world.sign_in(http), 401, "sign_in_failed")
        assert COOKIE not in http.cookies
    assert await world.refusals() == [reason]
    assert await world.operators() == []


async def test_a_token_for_several_that_was_made_for_us_is_ours(world: World) -> None:
    """Negative control."""
    world.provider.claims = {"aud": ["holdfast", "somebody"], "azp": "holdfast", "iat": int(time.time()) - 30}
    await world.set_up()
    async with browser(world.api) as http:
        assert (await world.sign_in(http)).status_code == 200


async def test_a_code_and_a_state_are_good_once(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = world.provider.authorize(await world.begin(http))
        kept = dict(http.cookies)
        assert (await back(http, url)).status_code == 200
        http.cookies.update(kept)
        problem_of(await back(http, url), 410, "sign_in_over")
        # The same code with a state of its own: the provider knows that it was used, and for whom it was.
        code = parse_qs(urlsplit(url).query)["code"][0]
        other = world.provider.authorize(await world.begin(http))
        problem_of(await back(http, other, code=code), 401, "sign_in_failed")
    assert await world.refusals() == ["used_before", "code"]
    assert len(await world.trail("session.started")) == 1


async def test_of_many_who_bring_the_same_answer_one_signs_in(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = world.provider.authorize(await world.begin(http))
        answers = await asyncio.gather(*(back(http, url) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 7
    assert len(await world.trail("session.started")) == 1


async def test_what_another_browser_began_is_not_finished_here(world: World) -> None:
    """Login CSRF: somebody's own answer, slipped to another, signs nobody in; and it is still theirs to finish."""
    await world.set_up()
    async with browser(world.api) as theirs, browser(world.api) as victims:
        await world.begin(victims)
        url = world.provider.authorize(await world.begin(theirs))
        for _ in range(3):
            problem_of(await back(victims, url), 410, "sign_in_over")
        assert COOKIE not in victims.cookies
        planted = "; ".join(f"{name}={value}" for name, value in theirs.cookies.items() for _ in range(2))
        problem_of(await victims.get(urlsplit(url).path + "?" + urlsplit(url).query, headers={"Cookie": planted}),
                   410, "sign_in_over")  # fmt: skip
        assert (await back(theirs, url)).status_code == 200
    assert await world.refusals() == ["other_browser"]


async def test_two_browsers_and_two_windows_at_once_do_not_disturb_each_other(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as one, browser(world.api) as other:
        begun = [(http, await world.begin(http)) for http in (one, other, one)]
        people = [{**ANA, "sub": f"s{n}", "email": f"p{n}@example.com"} for n in range(3)]
        for (http, url), person in reversed(list(zip(begun, people, strict=True))):
            world.provider.person = person
            assert (await back(http, world.provider.authorize(url))).status_code == 200
    assert {o["login"] for o in await world.operators()} == {p["email"] for p in people}


async def test_the_same_new_person_in_many_browsers_is_one_operator(world: World) -> None:
    await world.set_up()
    async with contextlib.AsyncExitStack() as stack:
        browsers = [await stack.enter_async_context(browser(world.api)) for _ in range(5)]
        urls = [world.provider.authorize(await world.begin(http)) for http in browsers]
        answers = await asyncio.gather(*(back(http, url) for http, url in zip(browsers, urls, strict=True)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(await world.operators()) == 1


async def test_another_site_begins_nothing(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = await http.post("/session/oidc", json={"organisation": world.organisation}, headers=headers)
            problem_of(answer, 403, "csrf_refused")
        assert not http.cookies


async def test_a_state_that_is_not_ours_says_nothing(world: World) -> None:
    shown = await world.set_up()
    path = urlsplit(shown["redirectUri"]).path
    async with browser(world.api) as http:
        told = {
            (answer.status_code, answer.content)
            for answer in (
                await http.get(path),
                await http.get(path, params={"state": "x" * 43, "code": "c"}),
                await http.get("/session/oidc/callback/idp_missing0", params={"state": "x" * 43, "code": "c"}),
                await http.get(path, params={"error": "access_denied"}),
            )
        }
    assert {status for status, _ in told} == {410}
    assert len(told) == 1


async def test_an_attempt_that_took_too_long_is_over(world: World, postgres: Any) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = world.provider.authorize(await world.begin(http))
        with postgres.owner(world.api.house.settings.database_url) as owner:
            moved = "UPDATE oidc_attempts SET expires_at = expires_at - interval '10 minutes 1 second'"
            assert owner.execute(f"{moved} WHERE organisation = %s", [world.organisation]).rowcount == 1
        problem_of(await back(http, url), 410, "sign_in_over")
    assert await world.refusals() == ["too_late"]


async def test_what_one_provider_answers_is_never_anothers(world: World, api: Api) -> None:
    """Mix-up: another organisation's callback, another issuer's answer, another organisation's operators."""
    mine = await world.set_up()
    async with identity_provider() as theirs:
        key = await api.house.key("admin", organisation=f"{world.organisation}-2")
        other = World(api, theirs, f"{world.organisation}-2", bearer(key))
        their_path = urlsplit((await other.set_up())["redirectUri"]).path
        assert their_path != urlsplit(mine["redirectUri"]).path
        async with browser(api) as http:
            url = world.provider.authorize(await world.begin(http))
            answer = await http.get(f"{their_path}?{urlsplit(url).query}")
            problem_of(answer, 410, "sign_in_over")
            problem_of(await back(http, url, iss=theirs.issuer), 401, "sign_in_failed")
            problem_of(
                await back(http, world.provider.authorize(await world.begin(http)), iss=None), 401, "sign_in_failed"
            )
            assert theirs.count("/token") == world.provider.count("/token") == 0
            theirs.person = dict(ANA)
            assert (await world.sign_in(http)).json()["organisation"] == world.organisation
            assert (await other.sign_in(http)).json()["organisation"] == other.organisation
        assert [o["login"] for o in await other.operators()] == ["ana@example.com"]
        shown = await api.http.get("/identity-provider", headers=other.admin)
        assert shown.json()["issuer"] == theirs.issuer
    assert await world.refusals() == ["other_provider", "iss_of_answer", "iss_of_answer"]


async def test_the_verifier_is_what_redeems_a_code(world: World) -> None:
    """PKCE: a code of another attempt, in a browser that has every cookie, is refused by the provider."""
    await world.set_up(clientSecret=None)
    world.provider.client_secret = None
    async with browser(world.api) as http:
        first = world.provider.authorize(await world.begin(http))
        second = world.provider.authorize(await world.begin(http))
        stolen = parse_qs(urlsplit(first).query)["code"][0]
        problem_of(await back(http, second, code=stolen), 401, "sign_in_failed")
        assert (await world.sign_in(http)).status_code == 200  # a client without a secret, with its verifier
    assert await world.refusals() == ["code"]
    assert len({form["code_verifier"] for form in world.provider.forms}) == 2


async def test_the_provider_says_no(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = world.provider.authorize(await world.begin(http))
        answer = await back(http, url, code=None, error="access_denied", error_description="<script>")
        assert "script" not in str(problem_of(answer, 401, "sign_in_failed"))
        url = world.provider.authorize(await world.begin(http))
        problem_of(await back(http, url, code=None), 401, "sign_in_failed")
        world.provider.client_secret = "another"
        problem_of(await world.sign_in(http), 401, "sign_in_failed")
    assert await world.refusals() == ["provider_said_no", "code_missing", "client"]


DOWN = ("drop", "huge", "flood", "garbage", "list", "deep", "redirect", "500 Oh", "404 Not Found", "204 No Content")


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
async def test_a_provider_that_is_down_or_talks_nonsense_is_a_503_and_nothing_else(world: World, path: str) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        for fault in DOWN:
            world.provider.faults = {path: fault}
            begun = await http.post("/session/oidc", json={"organisation": world.organisation})
            if path.startswith("/.well-known"):
                down = problem_of(begun, 503, "dependency_down")
            else:
                answer = await back(http, world.provider.authorize(begun.json()["authorizationUrl"]))
                down = problem_of(answer, 503, "dependency_down")
            assert down["dependency"] == "identity_provider", fault
        world.provider.faults = {}
        assert (await world.sign_in(http)).status_code == 200
    assert set(await world.refusals()) <= {"provider_down"}


async def test_a_slow_provider_is_a_503(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = world.provider.authorize(await world.begin(http))
        world.provider.faults = {"/token": "hang"}
        http.headers["Accept"] = BROWSER["Accept"]
        answer = await back(http, url)
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert "dependency_down" in answer.text
    assert await world.refusals() == ["provider_down"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://169.254.169.254/latest"},
        {"token_endpoint": 7},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "https://10.0.0.1/"},
    ],
)
async def test_what_a_provider_says_about_itself_is_checked(world: World, metadata: dict[str, Any]) -> None:
    world.provider.metadata = metadata
    await world.set_up()
    async with browser(world.api) as http:
        answer = await http.post("/session/oidc", json={"organisation": world.organisation})
        assert problem_of(answer, 503, "dependency_down")["dependency"] == "identity_provider"
        assert not http.cookies


async def test_an_issuer_inside_is_refused(world: World) -> None:
    for issuer in (
        "https://169.254.169.254/", "https://10.0.0.1", "https://localhost:1", "http://idp.example.com",
        "https://[::1]/", "https://user@idp.example.com", "https://2130706433/", "https://idp.internal:99999/",
        "https://idp.example.com/?tenant=1", "ftp://idp.example.com",
    ):  # fmt: skip
        body = {"issuer": issuer, "clientId": "c"}
        answer = await world.api.http.put("/identity-provider", json=body, headers=world.admin)
        assert answer.status_code == 422, (issuer, answer.text)


async def test_a_new_key_is_asked_for_once_and_an_old_one_is_not_forgotten(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        assert (await world.sign_in(http)).status_code == 200
        world.provider.published = {"key-1": RSA, "key-2": OTHER_RSA}
        world.provider.key, world.provider.kid = OTHER_RSA, "key-2"
        assert (await world.sign_in(http)).status_code == 200
        assert world.provider.count("/keys") == 2
        world.provider.kid = "key-3"
        for _ in range(3):
            problem_of(await world.sign_in(http), 401, "sign_in_failed")
        assert world.provider.count("/keys") == 2  # asked again only after a while
        world.provider.key, world.provider.kid = RSA, "key-1"
        assert (await world.sign_in(http)).status_code == 200
        assert world.provider.count("/.well-known/openid-configuration") == 1
    assert set(await world.refusals()) == {"key_unknown"}


async def test_a_token_without_a_key_id_is_believed_where_there_is_one_key(world: World) -> None:
    world.provider.kid = None
    await world.set_up()
    async with browser(world.api) as http:
        assert (await world.sign_in(http)).status_code == 200
    world.provider.published = {"key-1": RSA, "key-2": OTHER_RSA}
    async with identity_provider() as another:
        another.kid, another.published, another.person = None, world.provider.published, dict(ANA)
        world.provider = another
        await world.set_up()
        async with browser(world.api) as http:
            problem_of(await world.sign_in(http), 401, "sign_in_failed")
    assert await world.refusals() == ["key_ambiguous"]


async def test_a_disabled_operator_stays_out(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        who = (await world.sign_in(http)).json()
        change = await world.api.http.patch(f"/operators/{who['name']}", json={"enabled": False}, headers=world.admin)
        assert change.status_code == 200
        problem_of(await http.get("/session"), 401, "session_over")
        http.cookies.clear()
        problem_of(await world.sign_in(http), 401, "sign_in_failed")
        assert COOKIE not in http.cookies
    assert await world.refusals() == ["disabled"]
    assert len(await world.operators()) == 1


async def test_groups_decide_anew_at_each_sign_in_and_who_has_none_is_out(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as first, browser(world.api) as second:
        who = (await world.sign_in(first, **ANA)).json()
        more = (await world.sign_in(second, **{**ANA, "groups": ["support", "leads"]})).json()
        assert (more["name"], more["scopes"]) == (who["name"], ["admin", "operator"])
        assert (await first.get("/session")).json()["scopes"] == ["admin", "operator"]
        less = (await world.sign_in(second, **ANA)).json()
        assert less["scopes"] == ["operator"]
        problem_of(await world.sign_in(second, **{**ANA, "groups": []}), 401, "sign_in_failed")
        problem_of(await first.get("/session"), 401, "session_over")
        problem_of(await second.get("/session"), 401, "session_over")
    assert [e.details["scopes"] for e in await world.trail("operator.changed")] == [["admin", "operator"], ["operator"]]
    assert [e.actor for e in await world.trail("operator.signed_out")] == ["identity_provider"]


async def test_who_must_be_there_is_not_made(world: World) -> None:
    await world.set_up(createsOperators=False)
    async with browser(world.api) as http:
        problem_of(await world.sign_in(http), 401, "sign_in_failed")
    assert await world.refusals() == ["unknown"]
    assert await world.operators() == []


async def test_a_required_group_and_a_domain_are_asked_of_everybody(world: World) -> None:
    narrow = {"roles": [], "newScopes": ["operator"], "domains": ["Example.com"], "requiredGroup": "support"}
    await world.set_up(**narrow, groupsClaim="realm_access.roles")
    good = {"sub": "s", "email": "a@example.com", "email_verified": True, "realm_access": {"roles": ["support"]}}
    async with browser(world.api) as http:
        for wrong in (
            {"email": "a@evil.example"}, {"email": "a@sub.example.com"}, {"email": "a@example.com@evil.example"},
            {"email_verified": False}, {"email_verified": "true"}, {"email": ["a@example.com"]}, {"email": None},
            {"realm_access": {"roles": ["other"]}}, {"realm_access": None}, {"realm_access": {"roles": {"support": 1}}},
        ):  # fmt: skip
            problem_of(await world.sign_in(http, **{**good, **wrong}), 401, "sign_in_failed")
        assert await world.operators() == []
        assert (await world.sign_in(http, **good)).json()["scopes"] == ["operator"]
    assert await world.refusals() == ["domain"] * 7 + ["group"] * 3


async def test_an_operator_who_is_there_is_linked_only_as_was_said(world: World) -> None:
    """The address alone is nobody: an account with the same one at the provider is not the operator here."""
    body = {"login": "ana@example.com", "scopes": ["admin"]}
    added = (await world.api.http.post("/operators", json=body, headers=world.admin)).json()
    await world.set_up(roles=[], newScopes=["operator"], domains=["example.com"])
    async with browser(world.api) as http:
        problem_of(await world.sign_in(http), 401, "sign_in_failed")
        assert await world.refusals() == ["not_linked"]
        await world.set_up(roles=[], newScopes=["operator"], domains=["example.com"], linksByEmail=True)
        unverified = {**ANA, "email_verified": None}
        problem_of(await world.sign_in(http, **unverified), 401, "sign_in_failed")
        who = (await world.sign_in(http, **ANA)).json()
        assert (who["name"], who["scopes"], who["passwordChangeNeeded"]) == (added["id"], ["admin"], False)
        # Another subject with the same address is another person, whatever the address says.
        problem_of(await world.sign_in(http, **{**ANA, "sub": "subject-2"}), 401, "sign_in_failed")
        # And who is known stays who they are when their address changes.
        moved = {**ANA, "email": "ana.b@example.com"}
        assert (await world.sign_in(http, **moved)).json()["name"] == added["id"]
    assert await world.refusals() == ["not_linked", "domain", "taken"]
    assert len(await world.operators()) == 1


async def test_an_admin_links_and_unlinks(world: World) -> None:
    await world.set_up(createsOperators=False, roles=[])
    body = {"login": "bea@example.com", "scopes": ["operator"]}
    bea, cem = [
        (await world.api.http.post("/operators", json={**body, "login": login}, headers=world.admin)).json()
        for login in ("bea@example.com", "cem@example.com")
    ]
    path = f"/operators/{bea['id']}/identity"
    problem_of(await world.api.http.get(path, headers=world.admin), 404, "not_found")
    linked = await world.api.http.put(path, json={"subject": "subject-1"}, headers=world.admin)
    assert (linked.status_code, linked.json()["issuer"]) == (200, world.provider.issuer)
    again = await world.api.http.put(path, json={"subject": "subject-1"}, headers=world.admin)
    assert again.json()["id"] == linked.json()["id"]
    taken = f"/operators/{cem['id']}/identity"
    problem_of(await world.api.http.put(taken, json={"subject": "subject-1"}, headers=world.admin), 409, "conflict")
    problem_of(
        await world.api.http.put("/operators/opr_missing0/identity", json={"subject": "s"}, headers=world.admin),
        404, "operator_not_found",
    )  # fmt: skip
    async with browser(world.api) as http:
        assert (await world.sign_in(http)).json()["name"] == bea["id"]
        assert (await world.api.http.get(path, headers=world.admin)).json()["lastSignInAt"] is not None
        assert (await world.api.http.delete(path, headers=world.admin)).status_code == 204
        problem_of(await http.get("/session"), 401, "session_over")
        http.cookies.clear()
        problem_of(await world.sign_in(http), 401, "sign_in_failed")
    trail = await world.trail("operator.linked", "operator.unlinked")
    assert [(e.action, e.subject) for e in trail] == [("operator.linked", bea["id"]), ("operator.unlinked", bea["id"])]
    assert "subject-1" not in str([e.details for e in trail])


async def old(world: World, session_id: str) -> None:
    """As if the last proof were six minutes old."""
    async with world.api.house.db.transaction(OrganisationId(world.organisation)) as session:
        moved = "UPDATE sessions SET stepped_up_at = stepped_up_at - interval '6 minutes' WHERE id = :id"
        await session.run(text(moved), id=session_id)


async def test_a_session_of_the_provider_is_stepped_up_there(world: World) -> None:
    await world.set_up(stepUpAcr=["urn:mfa"])
    world.provider.person = {**ANA, "groups": ["leads"]}
    async with browser(world.api) as http:
        who = (await world.sign_in(http)).json()
        needed = problem_of(await http.post("/keys", json={"name": "k", "scopes": ["ingest"]}), 403, "step_up_needed")
        assert (needed["method"], needed["within"]) == ("oidc", "PT5M")
        refused = problem_of(await http.post("/session/step-up", json={"password": "x"}), 409, "conflict")
        assert refused["reason"] == "oidc_session"
        change = {"password": "x", "newPassword": "a long enough phrase"}
        problem_of(await http.post("/session/password", json=change), 409, "conflict")
        before = http.cookies[COOKIE]
        url = (await http.post("/session/oidc/step-up", json={})).json()["authorizationUrl"]
        asked = parse_qs(urlsplit(url).query)
        assert (asked["prompt"], asked["max_age"], asked["acr_values"]) == (["login"], ["0"], ["urn:mfa"])
        raised = (await back(http, world.provider.authorize(url))).json()
        assert raised["sessionId"] == who["sessionId"]
        assert raised["steppedUpUntil"] is not None
        assert http.cookies[COOKIE] != before
        made = await http.post("/keys", json={"name": "k", "scopes": ["ingest"]})
        assert made.status_code == 201
        await old(world, who["sessionId"])
        problem_of(await http.post("/keys", json={"name": "l", "scopes": ["ingest"]}), 403, "step_up_needed")
        http.cookies.clear()
        problem_of(await http.get("/session", headers={"Cookie": f"{COOKIE}={before}"}), 401, "session_over")
    (stepped,) = await world.trail("session.stepped_up")
    assert (stepped.subject, stepped.details) == (who["sessionId"], {"method": "oidc"})


async def test_a_proof_that_is_old_weak_or_somebody_elses_is_none(world: World) -> None:
    await world.set_up(stepUpAcr=["urn:mfa"])
    person = {**ANA, "groups": ["leads"]}
    async with browser(world.api) as http:
        who = (await world.sign_in(http, **person)).json()

        async def stepped_up(**claims: Any) -> httpx2.Response:
            world.provider.person = {**person, **claims}
            url = (await http.post("/session/oidc/step-up", json={})).json()["authorizationUrl"]
            return await back(http, world.provider.authorize(url))

        world.provider.signed_in_at = time.time() - 3_600
        problem_of(await stepped_up(), 401, "sign_in_failed")
        world.provider.signed_in_at = None
        for wrong in ({"auth_time": None}, {"auth_time": "now"}, {"acr": "urn:password"}, {"acr": None}):
            problem_of(await stepped_up(**wrong), 401, "sign_in_failed")
        problem_of(await stepped_up(sub="subject-2"), 401, "sign_in_failed")
        assert (await http.get("/session")).json()["steppedUpUntil"] is None
        assert (await stepped_up()).json()["sessionId"] == who["sessionId"]
        url = (await http.post("/session/oidc/step-up", json={})).json()["authorizationUrl"]
        assert (await http.delete("/session")).status_code == 204
        problem_of(await back(http, world.provider.authorize(url)), 401, "sign_in_failed")
    reasons = ["auth_time", "auth_time", "auth_time", "acr", "acr", "other_person", "session_over"]
    assert await world.refusals() == reasons


async def test_a_password_session_steps_up_with_its_password(world: World) -> None:
    await world.set_up()
    problem_of(await world.api.http.post("/session/oidc/step-up", json={}), 404, "not_found")
    body = {"login": "dan@example.com", "scopes": ["operator"]}
    dan = (await world.api.http.post("/operators", json=body, headers=world.admin)).json()
    async with browser(world.api) as http:
        claim = {"organisation": world.organisation, "login": dan["login"], "password": dan["oneTimePassword"]}
        assert (await http.post("/session", json=claim)).json()["method"] == "password"
        refused = problem_of(await http.post("/session/oidc/step-up", json={}), 409, "conflict")
    assert refused["reason"] == "password_session"


async def test_passwords_are_switched_off_by_who_has_come_in_without_one(world: World) -> None:
    body = {"login": "eli@example.com", "scopes": ["admin"]}
    eli = (await world.api.http.post("/operators", json=body, headers=world.admin)).json()
    claim = {"organisation": world.organisation, "login": eli["login"], "password": eli["oneTimePassword"]}
    await world.set_up()
    settings = {"issuer": world.provider.issuer, "clientId": "holdfast", "roles": ROLES, "createsOperators": True}
    off = {**settings, "passwords": False}
    refused = await world.api.http.put("/identity-provider", json=off, headers=world.admin)
    assert problem_of(refused, 409, "conflict")["reason"] == "nobody_signed_in_yet"
    async with browser(world.api) as theirs, browser(world.api) as elis:
        assert (await elis.post("/session", json=claim)).status_code == 201
        assert (await world.sign_in(theirs, **{**ANA, "groups": ["leads"]})).status_code == 200
        assert (await world.api.http.put("/identity-provider", json=off, headers=world.admin)).status_code == 200
        problem_of(await elis.get("/session"), 401, "session_over")
        elis.cookies.clear()
        problem_of(await elis.post("/session", json=claim), 401, "sign_in_failed")
        assert (await theirs.get("/session")).status_code == 200
        assert "passwords_off" in await world.refusals()
        on = {**off, "enabled": False}
        assert (await world.api.http.put("/identity-provider", json=on, headers=world.admin)).status_code == 200
        assert (await elis.post("/session", json=claim)).status_code == 201
        problem_of(await elis.post("/session/oidc", json={"organisation": world.organisation}), 404, "not_found")


async def test_the_set_up_is_versioned_on_record_and_never_shows_the_secret(world: World) -> None:
    secret = secrets.token_urlsafe(24)
    first = await world.set_up(clientSecret=secret)
    same = {"issuer": world.provider.issuer, "clientId": "holdfast", "roles": ROLES, "createsOperators": True}
    put = world.api.http.put
    again = (await put("/identity-provider", json=same, headers=world.admin)).json()
    assert (again["version"], again["hasSecret"], again["id"]) == (1, True, first["id"])
    stale = await put("/identity-provider", json={**same, "enabled": False, "expectedVersion": 0}, headers=world.admin)
    assert problem_of(stale, 409, "conflict")["version"] == 1
    kept = (await put("/identity-provider", json={**same, "domains": ["example.com"]}, headers=world.admin)).json()
    assert (kept["version"], kept["hasSecret"], kept["id"]) == (2, True, first["id"])
    for elsewhere in ({"issuer": "https://idp.example.com"}, {"clientId": "another"}):
        moved = await put("/identity-provider", json={**same, **elsewhere}, headers=world.admin)
        assert problem_of(moved, 422, "request_invalid")["reason"] == "give_again"
    gone = (await put("/identity-provider", json={**same, "clientSecret": None}, headers=world.admin)).json()
    assert (gone["version"], gone["hasSecret"]) == (3, False)
    trail = await world.trail("identity_provider.changed")
    assert [(e.details["version"], e.details["secretChanged"]) for e in trail] == [(1, True), (2, False), (3, True)]
    assert trail[1].details["changed"] == ["domains"]
    assert (trail[1].details["before"]["domains"], trail[1].details["after"]["domains"]) == ([], ["example.com"])
    shown = await world.api.http.get("/identity-provider", headers=world.admin)
    async with world.api.house.db.transaction(OrganisationId(world.organisation)) as session:
        rows = await session.all(text("SELECT * FROM identity_providers WHERE organisation = :organisation"))
    assert len(rows) == 3
    assert secret not in f"{shown.text}{[e.details for e in trail]}{rows}"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"createsOperators": True}, "createsOperators"),
        ({"createsOperators": True, "domains": ["example.com"]}, "newScopes"),
        ({"linksByEmail": True}, "linksByEmail"),
        ({"roles": [ROLES[0], ROLES[0]]}, "roles"),
    ],
)
async def test_a_set_up_that_would_let_in_anybody_is_refused(world: World, wrong: dict[str, Any], field: str) -> None:
    body = {"issuer": "https://idp.example.com", "clientId": "c", **wrong}
    answer = await world.api.http.put("/identity-provider", json=body, headers=world.admin)
    assert problem_of(answer, 422, "request_invalid")["fields"] == [field]


async def test_a_changed_set_up_ends_what_began_under_the_one_before(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = world.provider.authorize(await world.begin(http))
        await world.set_up(domains=["example.com"])
        problem_of(await back(http, url), 410, "sign_in_over")
    assert await world.refusals() == ["provider_changed"]


async def test_nothing_of_a_sign_in_under_way_can_be_used_by_who_reads_the_tables(world: World) -> None:
    await world.set_up()
    async with browser(world.api) as http:
        url = await world.begin(http)
        asked = parse_qs(urlsplit(url).query)
        (token,) = [value for name, value in http.cookies.items() if "_oidc_" in name]
        assert (await back(http, world.provider.authorize(url))).status_code == 200
        assert not [name for name in http.cookies if "_oidc_" in name]
    async with world.api.house.db.transaction(OrganisationId(world.organisation)) as session:
        (row,) = await session.all(text("SELECT * FROM oidc_attempts WHERE organisation = :organisation"))
    (form,) = world.provider.forms
    for secret in (asked["state"][0], asked["nonce"][0], form["code_verifier"], token):
        assert secret not in str(row)


async def test_who_begins_again_and_again_from_one_address_waits(world: World) -> None:
    from tests.api.test_session import browser as from_address

    await world.set_up()
    async with from_address(world.api, "203.0.113.99") as http:
        statuses = [
            (await http.post("/session/oidc", json={"organisation": world.organisation})).status_code for _ in range(32)
        ]
    assert statuses == [201] * 31 + [429]


async def test_the_cookie_of_an_attempt_is_bound_to_this_host(world: World) -> None:
    from tests.api.test_session import browser as process

    await world.set_up()
    async with process(world.api, local=False, public_url="https://holdfast.example.com") as http:
        answer = await http.post("/session/oidc", json={"organisation": world.organisation})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-holdfast_oidc_")
        parts = {part.strip() for part in cookie.split(";")}
        assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/", "Max-Age=600"} <= parts
        url = world.provider.authorize(answer.json()["authorizationUrl"])
        assert url.startswith("https://holdfast.example.com/session/oidc/callback/idp_")
        assert (await back(http, url)).status_code == 200
    async with process(world.api, local=False, public_url="") as http:
        problem_of(await http.post("/session/oidc", json={"organisation": world.organisation}), 404, "not_found")
        body = {"issuer": "https://idp.example.com", "clientId": "c"}
        refused = await http.put("/identity-provider", json=body, headers=world.admin)
        assert problem_of(refused, 409, "conflict")["reason"] == "public_url_missing"
