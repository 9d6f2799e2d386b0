"""The SMTP gateway against a real server that fails on purpose: R-9 and X-10."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.gateways.smtp import SmtpMailGateway
from domain.errors import ToolFailure, ToolOutcomeUnknown, ToolRefused, ToolUnavailable
from domain.ports import MailReceipt, OutboundMail
from domain.tools.send_email import message_id
from tests.adapters.mail_server import MailServer, mail_server

SENDER = "support@example.com"
MAIL = OutboundMail(
    message_id=message_id("eff_0192f3c4d5e67890abcdef0123456789"),
    to="ada@example.com",
    subject="Your refund",
    text="Hello Zoë,\n\nI've refunded EUR 49.00 for invoice inv_1001. ✓\n.\n.. two dots\nFrom here on\n",
)


def gateway(server: MailServer, **options: object) -> SmtpMailGateway:
    return SmtpMailGateway("127.0.0.1", server.port, SENDER, timeout=5, **options)  # type: ignore[arg-type]


async def test_a_mail_arrives_exactly_as_written() -> None:
    async with mail_server() as server:
        receipt = await gateway(server).send(MAIL)
    (arrived,) = server.accepted
    assert arrived["Message-ID"] == MAIL.message_id == receipt.message_id
    assert (arrived["From"], arrived["To"], arrived["Subject"]) == (SENDER, "ada@example.com", "Your refund")
    assert arrived["Auto-Submitted"] == "auto-replied"
    assert (arrived["In-Reply-To"], arrived["References"]) == (None, None)
    assert arrived["Date"]
    assert arrived.get_content().replace("\r\n", "\n") == MAIL.text


async def test_a_mail_of_a_conversation_says_which_ones_came_before() -> None:
    before = tuple(message_id(f"eff_{n:032x}") for n in range(25))
    async with mail_server() as server:
        await gateway(server).send(MAIL.model_copy(update={"references": before, "is_reply": False}))
    (arrived,) = server.accepted
    assert arrived["In-Reply-To"] == before[-1]
    assert arrived["References"].split() == list(before[-20:])
    assert arrived["Auto-Submitted"] == "auto-generated"


async def test_X10_a_reference_cannot_smuggle_a_header_in() -> None:
    async with mail_server() as server:
        for reference in ("<a@b>\r\nBcc: eve@example.com", "<a@b> <c@d>", "plain", ""):
            with pytest.raises(ToolRefused):
                await gateway(server).send(MAIL.model_copy(update={"references": (reference,)}))
    assert server.seen == []


async def test_a_server_that_offers_reports_is_asked_for_them_and_another_is_not() -> None:
    async with mail_server() as server:
        await gateway(server).send(MAIL)
        assert server.parameters == []
        server.offers_dsn = True
        await gateway(server).send(MAIL)
    envid = MAIL.message_id.strip("<>")
    assert server.parameters == ["RET=HDRS", f"ENVID={envid}", "NOTIFY=FAILURE,DELAY"]
    assert len(server.accepted) == 2


async def test_the_receipt_says_what_the_server_said_without_anybodys_address() -> None:
    async with mail_server() as server:
        receipt = await gateway(server).send(MAIL)
    assert receipt.response.startswith("250 OK queued as 1")
    assert "ada" not in receipt.response


TABLE = [
    ("connect", "drop", ToolUnavailable),
    ("mail", "451 later", ToolUnavailable),
    ("mail", "550 no", ToolRefused),
    ("mail", "drop", ToolUnavailable),
    ("rcpt", "450 greylisted", ToolUnavailable),
    ("rcpt", "550 no such user ada@example.com", ToolRefused),
    ("rcpt", "drop", ToolUnavailable),
    ("data", "452 disk full", ToolUnavailable),
    ("data", "554 no", ToolRefused),
    ("data", "drop", ToolOutcomeUnknown),
    ("dot", "451 later", ToolUnavailable),
    ("dot", "421 going down", ToolUnavailable),
    ("dot", "554 spam", ToolRefused),
    ("dot", "drop", ToolOutcomeUnknown),
]


@pytest.mark.parametrize(("step", "told", "expected"), TABLE)
async def test_every_fault_says_what_is_known(step: str, told: str, expected: type[ToolFailure]) -> None:
    async with mail_server() as server:
        server.faults[step] = [told]
        with pytest.raises(ToolFailure) as raised:
            await gateway(server).send(MAIL)
    assert type(raised.value) is expected
    assert step in server.seen, "the fault was never met"
    kept = step == "dot" and told == "drop"
    assert len(server.accepted) == (1 if kept else 0), "what is called unavailable or refused was not taken"


@pytest.mark.parametrize(("step", "told", "expected"), TABLE)
async def test_failures_name_nobody(step: str, told: str, expected: type[ToolFailure]) -> None:
    async with mail_server() as server:
        server.faults[step] = [told]
        with pytest.raises(expected) as raised:
            await gateway(server).send(MAIL)
    shown = f"{raised.value!r} {raised.value.details}"
    assert "ada" not in shown
    assert "Zo" not in shown
    assert raised.value.__cause__ is None


async def test_a_server_that_answers_nothing_leaves_the_outcome_unknown() -> None:
    release = asyncio.Event()

    async def silent_after_the_dot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while not (line := await reader.readline()).startswith(b"DATA"):
            writer.write(b"250 OK\r\n" if line else b"")
        writer.write(b"354 go on\r\n")
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent_after_the_dot, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(ToolOutcomeUnknown):
            await SmtpMailGateway("127.0.0.1", port, SENDER, timeout=0.3).send(MAIL)
    finally:
        release.set()
        server.close()
        await server.wait_closed()


async def test_no_server_at_all_is_unavailable() -> None:
    async with mail_server() as gone:
        port = gone.port
    with pytest.raises(ToolUnavailable):
        await SmtpMailGateway("127.0.0.1", port, SENDER, timeout=2).send(MAIL)


async def test_how_the_server_parts_after_accepting_does_not_matter() -> None:
    async with mail_server() as server:
        server.faults["quit"] = ["drop"]
        assert (await gateway(server).send(MAIL)).message_id == MAIL.message_id
    assert len(server.accepted) == 1


async def _until_settled(sender: SmtpMailGateway, mail: OutboundMail) -> MailReceipt | None:
    """What the worker does: a refusal ends it, anything else is tried again, since the tool is idempotent."""
    for _ in range(10):
        try:
            return await sender.send(mail)
        except ToolRefused:
            return None
        except (ToolUnavailable, ToolOutcomeUnknown):
            continue
    raise AssertionError("it never settled")


async def test_R9_one_message_id_per_action_and_a_duplicate_only_for_a_lost_250() -> None:
    lost, refused = 0, 0
    async with mail_server() as server:
        for n in range(200):
            step, told, expected = TABLE[n % len(TABLE)]
            server.faults[step] = [told]
            lost += (step, told) == ("dot", "drop")
            settled = await _until_settled(
                gateway(server), MAIL.model_copy(update={"message_id": message_id(f"eff_{n}")})
            )
            refused += settled is None
            assert (settled is None) is (expected is ToolRefused), "a 5xx is final and nothing else is"
    ids = [str(mail["Message-ID"]) for mail in server.accepted]
    assert len(set(ids)) == 200 - refused
    assert len(ids) - len(set(ids)) == lost > 0


async def test_R9_negative_control_an_id_made_anew_each_time_would_show_as_a_second_message() -> None:
    async with mail_server() as server:
        server.faults["dot"] = ["drop"]
        for attempt in (1, 2):
            mail = MAIL.model_copy(update={"message_id": message_id(f"eff_1-{attempt}")})
            try:
                await gateway(server).send(mail)
            except ToolOutcomeUnknown:
                continue
    assert len({str(mail["Message-ID"]) for mail in server.accepted}) == 2


HOSTILE = [
    *(
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\nX: y",
        "ada@example.com\x00",
        "ada@example.com\u2028",
    ),
    *("ada@example.com, eve@example.com", "Ada <ada@example.com>", "<ada@example.com>", '"a b"@example.com', "ada"),
    *(
        "ada@exa mple.com",
        "ada@example.com>",
        "@example.com",
        "ada@",
        "",
        "ad\u00e4@example.com",
        "ada@b\u00fccher.example",
    ),
]


@pytest.mark.parametrize("to", HOSTILE)
async def test_X10_only_one_plain_address_is_written_to(to: str) -> None:
    async with mail_server() as server:
        with pytest.raises(ToolRefused):
            await gateway(server).send(MAIL.model_copy(update={"to": to}))
    assert server.seen == [], "nothing may reach the server"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(("subject", "to", "message_id")), st.text(alphabet=st.characters(codec=None), max_size=40))
async def test_X10_whatever_stands_in_a_header_there_is_no_other_header(field: str, value: str) -> None:
    wanted = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"}
    body = {"MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
    async with mail_server() as server:
        try:
            await gateway(server).send(MAIL.model_copy(update={field: value}))
        except ToolRefused:
            assert server.accepted == []
            return
    (arrived,) = server.accepted
    assert {str(name) for name in arrived} == wanted | body
    assert arrived["To"] == "ada@example.com"


async def test_a_subject_in_another_script_arrives() -> None:
    async with mail_server() as server:
        await gateway(server).send(MAIL.model_copy(update={"subject": "Ihre Rückerstattung — возврат"}))
    assert server.accepted[0]["Subject"] == "Ihre Rückerstattung — возврат"


async def test_text_that_is_no_text_is_refused() -> None:
    async with mail_server() as server:
        with pytest.raises(ToolRefused):
            await gateway(server).send(MAIL.model_copy(update={"text": "broken \ud800"}))
    assert server.seen == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # over loopback, as the test wants
@pytest.mark.parametrize(("password", "works"), [("right", True), ("wrong", False)])
async def test_a_failed_login_is_our_own_fault_and_may_be_tried_again(password: str, works: bool) -> None:
    async with mail_server(login=True) as server:
        sender = gateway(server, username="holdfast", password=password)
        if works:
            await sender.send(MAIL)
        else:
            with pytest.raises(ToolUnavailable):
                await sender.send(MAIL)
    assert server.logins[0] == (b"holdfast", password.encode())
    assert len(server.accepted) == int(works)


def test_credentials_do_not_travel_in_clear_text() -> None:
    with pytest.raises(ValueError, match="TLS"):
        SmtpMailGateway("mail.example.com", 25, SENDER, username="u", password="p")
    SmtpMailGateway("mail.example.com", 25, SENDER, username="u", password="p", tls="starttls")
    SmtpMailGateway("127.0.0.1", 25, SENDER, username="u", password="p")


@pytest.mark.parametrize("options", [{"username": "u"}, {"password": "p"}])
def test_half_a_login_is_a_mistake(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        SmtpMailGateway("127.0.0.1", 25, SENDER, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("sender", ["support", "a@b\r\nBcc: c@d", "A <a@b.example>", ""])
def test_the_sender_is_one_plain_address(sender: str) -> None:
    with pytest.raises(ValueError, match="sender"):
        SmtpMailGateway("127.0.0.1", 25, sender)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody trusts yet, and the server's side of it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, crt = folder / "key.pem", folder / "crt.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=mail.test -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(crt)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return crt, context


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_trusted_server_is_spoken_to_in_secret(
    tls: str, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with mail_server(**{tls: context}) as server:  # type: ignore[arg-type]
        await gateway(server, tls=tls).send(MAIL)
    assert server.over_tls == [True]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_an_untrusted_server_gets_nothing(tls: str, certificate: tuple[Path, ssl.SSLContext]) -> None:
    _, context = certificate
    async with mail_server(**{tls: context}) as server:  # type: ignore[arg-type]
        with pytest.raises(ToolUnavailable):
            await gateway(server, tls=tls).send(MAIL)
    assert server.accepted == []


async def test_a_server_without_starttls_gets_nothing_when_tls_is_wanted() -> None:
    async with mail_server() as server:
        with pytest.raises(ToolUnavailable):
            await gateway(server, tls="starttls").send(MAIL)
    assert "mail" not in server.seen
