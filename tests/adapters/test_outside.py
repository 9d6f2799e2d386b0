"""X-4: nobody can make us call what is not of the public internet. A trap on the loopback interface counts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.gateways.outside import AddressRefused, Answer, OutsideClient, Unreachable, Whose
from adapters.gateways.webhook import post
from domain.delivery import Failure, FailureKind, Receipt
from domain.errors import RequestInvalid
from domain.outside import NOBODY, AllowList, Use, is_public, target_of
from domain.values import OrganisationId
from tests.receiver import Receiver, receiver
from worker import now

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1
2002:7f00:1:: 3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2606:4700::1%1
"""
PUBLIC = "1.1.1.1 8.8.8.8 93.184.216.34 172.15.255.255 172.32.0.1 100.63.255.255 223.255.255.255 2606:4700::1111"
SPELLINGS = """
http://127.0.0.1:{p}/ https://127.0.0.1:{p}/ https://127.1:{p}/ https://127.0.1:{p}/ https://2130706433:{p}/
https://0x7f000001:{p}/ https://0x7f.0.0.1:{p}/ https://0177.0.0.1:{p}/ https://017700000001:{p}/ https://0:{p}/
https://0.0.0.0:{p}/ https://127.0.0.1.:{p}/ https://localhost:{p}/ https://LOCALHOST:{p}/ https://localhost.:{p}/
https://[::1]:{p}/ https://[::]:{p}/ https://[::ffff:127.0.0.1]:{p}/
https://[::ffff:7f00:1]:{p}/ https://[0:0:0:0:0:0:0:1]:{p}/ https://[64:ff9b::7f00:1]:{p}/ https://[2002:7f00:1::]:{p}/
https://[::1%25lo]:{p}/ https://user@127.0.0.1:{p}/ https://example.com@127.0.0.1:{p}/
https://127.0.0.1:{p}#@example.com/ https://example.com\\@127.0.0.1:{p}/ https://127.0.0.1%2eexample.com:{p}/
https://%31%32%37.0.0.1:{p}/ https://１２７.0.0.1:{p}/ https://ⓛocalhost:{p}/ https://127。0。0。1:{p}/
https://10.0.0.1:{p}/ https://169.254.169.254/latest/meta-data/ https://[fd00:ec2::254]/ https://metadata:{p}/
https://intranet/ file:///etc/passwd gopher://127.0.0.1:{p}/ ftp://127.0.0.1:{p}/ data:text/plain,x
unix:///var/run/docker.sock ws://127.0.0.1:{p}/ //127.0.0.1:{p}/ 127.0.0.1:{p} https:127.0.0.1:{p} https:///127.0.0.1
https://127.0.0.1:99999/ https://:{p}/ https://
"""


@pytest.fixture
async def trap() -> AsyncIterator[Receiver]:
    async with receiver() as world:
        yield world


async def call(client: OutsideClient, url: str) -> Answer:
    try:
        return await client.request("POST", url, content=b"{}", headers={})
    finally:
        await client.close()


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_X4_this_address_is_not_of_the_public_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_X4_negative_control_a_public_address_is(address: str) -> None:
    assert is_public(address)
    assert target_of(f"https://[{address}]/" if ":" in address else f"https://{address}/").port == 443


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1.2.3.4.5", "1.2.3.4/32", "::g", " 8.8.8.8"])
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize("spelling", SPELLINGS.split())
async def test_X4_no_spelling_reaches_this_machine(trap: Receiver, spelling: str) -> None:
    url = spelling.replace("{p}", str(trap.port))
    with pytest.raises(RequestInvalid):
        target_of(url)
    with pytest.raises(AddressRefused):
        await call(OutsideClient(), url)
    assert trap.connections == 0


@pytest.mark.parametrize("blank", ["\n", "\t", " ", "\x00", "\r\nX-Injected: 1"])
async def test_X4_no_blank_hides_anything(trap: Receiver, blank: str) -> None:
    for url in (f"{blank}https://127.0.0.1:{trap.port}/", f"https://127.0.0.1{blank}:{trap.port}/"):
        with pytest.raises(AddressRefused):
            await call(OutsideClient(), url)
    assert trap.connections == 0


async def test_negative_control_an_allowed_host_is_called(trap: Receiver) -> None:
    answer = await call(OutsideClient(AllowList([f"127.0.0.1:{trap.port}"])), trap.url)
    assert (answer.status, trap.connections) == (204, 1)
    with pytest.raises(AddressRefused):
        await call(OutsideClient(AllowList(["127.0.0.1:1"])), trap.url)
    assert trap.connections == 1


class Resolver:
    """A name server that changes its mind with every question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["10.0.0.1"], ["fe80::1%lo"]]
)
async def test_X4_a_public_name_that_leads_inside_is_refused(trap: Receiver, addresses: list[str]) -> None:
    with pytest.raises(AddressRefused):
        await call(OutsideClient(resolve=Resolver(addresses)), f"https://example.com:{trap.port}/")
    assert trap.connections == 0


async def test_X4_a_name_that_changes_its_mind_is_asked_once(trap: Receiver) -> None:
    resolver = Resolver(["203.0.113.1"], ["127.0.0.1"])
    with pytest.raises(AddressRefused):
        await call(OutsideClient(resolve=resolver), f"https://example.com:{trap.port}/")
    rebinding = Resolver(["192.175.47.1"], ["127.0.0.1"])  # public; nothing here routes to it
    with pytest.raises(Unreachable) as failure:
        await call(OutsideClient(resolve=rebinding, timeout=0.2), f"https://example.com:{trap.port}/")
    assert (rebinding.asked, failure.value.sent, trap.connections) == (1, False, 0)


async def test_what_is_called_keeps_the_name_it_was_given(trap: Receiver) -> None:
    url = f"http://hooks.internal:{trap.port}/x"
    client = OutsideClient(AllowList(["hooks.internal"]), resolve=Resolver(["127.0.0.1"]))
    assert (await call(client, url)).status == 204
    assert trap.heard[0].headers["host"] == f"hooks.internal:{trap.port}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_X4_W3_a_redirect_is_a_failure_and_nobody_follows_it(trap: Receiver, status: int) -> None:
    async with receiver() as first:
        first.always = f"{status} Moved\r\nLocation: {trap.url}"
        client = OutsideClient(AllowList(["127.0.0.1"]))
        outcome = await post(client, first.url, "{}", {}, now)
        await client.close()
    assert outcome == Failure(kind=FailureKind.TRANSIENT, code=f"http_{status}", response_status=status)
    assert trap.connections == 0


async def test_X4_no_proxy_of_the_environment_is_used(trap: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
    async with receiver() as other:
        assert (await call(OutsideClient(AllowList(["127.0.0.1"])), other.url)).status == 204
        assert (trap.connections, other.connections) == (0, 1)


async def test_no_netrc_and_no_cookie_is_sent(trap: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login eve password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    trap.always = "200 OK\r\nSet-Cookie: session=1"
    client = OutsideClient(AllowList(["127.0.0.1"]))
    for _ in range(2):
        await client.request("POST", trap.url, content=b"{}", headers={})
    await client.close()
    assert not [h for h in trap.heard if {"authorization", "cookie"} & h.headers.keys()]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("200 OK", Receipt(response_status=200)),
        ("204 No Content", Receipt(response_status=204)),
        ("400 Bad", Failure(kind=FailureKind.TRANSIENT, code="http_400", response_status=400)),
        ("410 Gone", Failure(kind=FailureKind.GONE, code="http_410", response_status=410)),
        ("429 Slow", Failure(kind=FailureKind.TRANSIENT, code="http_429", response_status=429)),
        ("500 Oops", Failure(kind=FailureKind.TRANSIENT, code="http_500", response_status=500)),
        ("drop", Failure(kind=FailureKind.AMBIGUOUS, code="connection_lost")),
        ("hang", Failure(kind=FailureKind.AMBIGUOUS, code="timed_out")),
        ("flood", Receipt(response_status=200)),
    ],
)
async def test_W3_what_a_receiver_does_and_what_it_means(
    trap: Receiver, fault: str, expected: Receipt | Failure
) -> None:
    trap.always = fault
    client = OutsideClient(AllowList(["127.0.0.1"]), timeout=0.3)
    async with asyncio.timeout(10):
        assert await post(client, trap.url, "{}", {}, now) == expected
    await client.close()


@pytest.mark.parametrize("status", ["429 Slow", "503 Away"])
async def test_W3_retry_after_is_heard_in_seconds_and_as_a_date(trap: Receiver, status: str) -> None:
    client = OutsideClient(AllowList(["127.0.0.1"]))
    for words, least, most in (("7", 7, 7), ("Fri, 31 Dec 2100 23:59:59 GMT", 10**9, 10**10), ("0", 0, 0)):
        trap.always = f"{status}\r\nRetry-After: {words}"
        outcome = await post(client, trap.url, "{}", {}, now)
        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.THROTTLED
        assert outcome.retry_after is not None
        assert least <= outcome.retry_after.total_seconds() <= most
    for words in ("soon", "-5", "1.5", "٧", "99999999999999"):
        trap.always = f"{status}\r\nRetry-After: {words}".encode().decode("latin-1")
        outcome = await post(client, trap.url, "{}", {}, now)
        assert outcome.kind is FailureKind.TRANSIENT  # type: ignore[union-attr]
    await client.close()


async def test_W3_an_answer_that_only_drips_is_not_waited_for(trap: Receiver) -> None:
    """Each byte comes in time; the whole never does."""
    trap.always = "drip"
    client = OutsideClient(AllowList(["127.0.0.1"]), timeout=5, longest=0.5)
    async with asyncio.timeout(4):
        outcome = await post(client, trap.url, "{}", {}, now)
    assert outcome == Failure(kind=FailureKind.AMBIGUOUS, code="timed_out")
    await client.close()


async def test_nobody_listening_means_nothing_was_sent() -> None:
    async with receiver() as world:
        url = world.url
    client = OutsideClient(AllowList(["127.0.0.1"]))
    assert await post(client, url, "{}", {}, now) == Failure(kind=FailureKind.TRANSIENT, code="no_connection")
    await client.close()


async def test_an_answer_without_end_is_read_only_at_its_beginning(trap: Receiver) -> None:
    trap.always = "flood"
    answer = await call(OutsideClient(AllowList(["127.0.0.1"]), most_bytes=1000), trap.url)
    assert len(answer.body) == 1000


@pytest.mark.parametrize(
    "entry",
    ["", "http://x", "a/b", "user@host", "host:port", "host:99999", "acme=", "=host", "*=host", "acme/=host",
     "/chat=host", "acme/fax=host", "*/=host", "acme=user@host", "a=b=c/d"],
)  # fmt: skip
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        AllowList([entry])


SCOPED = AllowList(["acme=crm.internal:8443", "globex/chat=chat.internal", "*/webhook=bus.internal", "all.internal"])
ACME, GLOBEX = OrganisationId("acme"), OrganisationId("globex")
REACHES = {
    (ACME, Use.WEBHOOK): {"crm.internal:8443", "bus.internal", "all.internal"},
    (ACME, Use.CHAT): {"crm.internal:8443", "all.internal"},
    (GLOBEX, Use.WEBHOOK): {"bus.internal", "all.internal"},
    (GLOBEX, Use.CHAT): {"chat.internal", "all.internal"},
    None: {"all.internal"},
}


@pytest.mark.parametrize("whose", REACHES)
async def test_X4_an_allowed_host_is_its_organisations_for_its_use_alone(whose: Whose | None) -> None:
    """Of one client, many at once: what one may call opens nothing to another."""
    hosts = {"crm.internal:8443", "chat.internal", "bus.internal", "all.internal"}
    client = OutsideClient(SCOPED, resolve=Resolver(["192.0.2.1"]), timeout=0.05)

    async def reaches(host: str, whose: Whose | None) -> bool:
        try:
            await client.request("POST", f"http://{host}/", headers={}, whose=whose)
        except AddressRefused:
            return False
        except Unreachable:
            return True
        raise AssertionError("nobody is there")

    asked = [(host, each) for host in sorted(hosts) for each in REACHES]
    found = await asyncio.gather(*[reaches(host, each) for host, each in asked])
    await client.close()
    assert {host for (host, each), reached in zip(asked, found, strict=True) if each == whose and reached} == REACHES[
        whose
    ]


async def test_X4_a_name_allowed_to_one_may_not_lead_another_inside(trap: Receiver) -> None:
    """The name is public in form; that it leads here is seen when it is resolved, and allowed to one of them only."""
    client = OutsideClient(AllowList(["acme=hooks.example.com"]), resolve=Resolver(["127.0.0.1"]))
    url = f"https://hooks.example.com:{trap.port}/"
    with pytest.raises(AddressRefused):
        await client.request("POST", url, headers={}, whose=(GLOBEX, Use.WEBHOOK))
    assert trap.connections == 0
    with pytest.raises(Unreachable):  # it is no TLS server, but it was called
        await client.request("POST", url, headers={}, whose=(ACME, Use.WEBHOOK))
    assert trap.connections == 1
    await client.close()


def test_an_allowed_name_is_that_name_on_that_port_only() -> None:
    allowed = AllowList(["Hooks.internal:8443", "[::1]:80", "chat.internal"])
    for url in (
        "https://hooks.internal:8443/x",
        "https://HOOKS.INTERNAL.:8443/",
        "http://[::1]/",
        "http://chat.internal:9/",
    ):
        assert target_of(url, allowed).is_allowed
    for url in ("http://hooks.internal/", "http://hooks.internal:8444/", "https://[::1]/", "http://x.chat.internal/"):
        with pytest.raises(RequestInvalid):
            target_of(url, allowed)
    assert not NOBODY.has("localhost", 80)
