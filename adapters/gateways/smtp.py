"""Mail through an SMTP server."""

import contextlib
import re
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate
from typing import Literal

import aiosmtplib
from aiosmtplib import errors
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from domain.errors import ToolFailure, ToolOutcomeUnknown, ToolRefused, ToolUnavailable
from domain.ports import MailReceipt, OutboundMail

Tls = Literal["none", "starttls", "implicit"]

_TRACER = trace.get_tracer("holdfast")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,80}@[A-Za-z0-9.-]{1,100}>", re.ASCII)
# One bare address. No display name, no list, no quoting, ASCII only: whatever could make two recipients of one is out.
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII
)
MOST_REFERENCES = 20
_WORD = re.compile(r"[^\s<>]+")


class SmtpMailGateway:
    """Sends each mail over a connection of its own and reports what is known of it.

    A 5xx answer to the message is `ToolRefused`. A 4xx answer, no connection, a failed TLS handshake or login is
    `ToolUnavailable`: nothing was sent. A connection lost once the message was being handed over is
    `ToolOutcomeUnknown`: the server may have taken it, and a repeat carries the same Message-ID.
    """

    def __init__(
        self,
        host: str,
        port: int,
        sender: str,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: Tls = "none",
        timeout: float = 15.0,
    ) -> None:
        """`timeout` bounds each exchange with the server, in seconds. Credentials never travel in clear text except
        over the loopback interface; without both parts of them there is no login."""
        if not _ADDRESS.fullmatch(sender):
            raise ValueError("the sender is not one plain e-mail address")
        if (username is None) != (password is None):
            raise ValueError("user name and password belong together")
        if username is not None and tls == "none" and host not in _LOOPBACK:
            raise ValueError("credentials need TLS")
        self._host, self._port, self._sender = host, port, sender
        self._username, self._password = username, password
        self._tls, self._timeout = tls, timeout

    async def send(self, mail: OutboundMail) -> MailReceipt:
        """Hand the message over once. No retry happens here."""
        with _TRACER.start_as_current_span("SMTP send", kind=SpanKind.CLIENT):
            return await self._send(mail)

    async def _send(self, mail: OutboundMail) -> MailReceipt:
        message = _message(mail, self._sender)
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            timeout=self._timeout,
            use_tls=self._tls == "implicit",
            start_tls=self._tls == "starttls",
            local_hostname="localhost",  # the default asks the resolver for this machine's name and would reveal it
        )
        try:
            await self._open(client)
            await self._address(client, mail)
            response = await _hand_over(client, message)
            await _say_goodbye(client)
        finally:
            client.close()
        return MailReceipt(message_id=mail.message_id, response=response)

    async def _open(self, client: aiosmtplib.SMTP) -> None:
        """Nothing can have been sent yet, whatever goes wrong, and nothing is wrong with the message."""
        try:
            await client.connect()
            # What the server offers is known only now; one that does not speak EHLO offers nothing.
            with contextlib.suppress(errors.SMTPHeloError):
                await client.ehlo()
            if self._username is not None and self._password is not None:
                await client.login(self._username, self._password)
        except (errors.SMTPException, OSError, ValueError) as error:
            raise ToolUnavailable("no session with the mail server", **_facts(error)) from None

    async def _address(self, client: aiosmtplib.SMTP, mail: OutboundMail) -> None:
        """Where the server offers it (RFC 3461), it is asked to report failures and delays under our own id."""
        offered = client.supports_extension("dsn")
        try:
            await client.mail(self._sender, options=["RET=HDRS", f"ENVID={_xtext(mail.message_id)}"] if offered else [])
            await client.rcpt(mail.to, options=["NOTIFY=FAILURE,DELAY"] if offered else [])
        except errors.SMTPResponseException as error:
            raise _answered(error) from None
        except (errors.SMTPException, OSError) as error:
            raise ToolUnavailable("the mail server went away before the message", **_facts(error)) from None


async def _hand_over(client: aiosmtplib.SMTP, message: bytes) -> str:
    try:
        response = await client.data(message)
    except errors.SMTPResponseException as error:
        raise _answered(error) from None
    except (errors.SMTPException, OSError) as error:
        # From here on the library does not say whether the final dot had left: it may have been taken.
        raise ToolOutcomeUnknown("the mail server went away with the message", **_facts(error)) from None
    words = _CONTROL.sub(" ", f"{response.code} {response.message}")
    return _WORD.sub(lambda word: "<address>" if "@" in word[0].strip("@") else word[0], words)[:200]


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit()
    except (errors.SMTPException, OSError):
        return  # the message was accepted before; how the server parts does not matter


def _answered(error: errors.SMTPResponseException) -> ToolFailure:
    """The server said no. Its words may quote the recipient, so only the code is kept. -1 stands for no sense made."""
    if error.code >= 500:
        return ToolRefused("the mail server refused the message", smtp_code=error.code)
    if error.code >= 400:
        return ToolUnavailable("the mail server cannot take the message now", smtp_code=error.code)
    return ToolOutcomeUnknown("the mail server's answer makes no sense", smtp_code=error.code)


def _xtext(message_id: str) -> str:
    """RFC 3461, 4: `+`, `=` and what is not visible are written as hexadecimal."""
    plain = message_id.strip("<>")
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in plain)


def _facts(error: Exception) -> dict[str, object]:
    return {"error": type(error).__name__, "smtp_code": getattr(error, "code", None)}


def _message(mail: OutboundMail, sender: str) -> bytes:
    """The message as it goes over the wire. A control character in any header refuses it before anything is sent."""
    if any(_CONTROL.search(value) for value in (mail.message_id, mail.to, mail.subject, *mail.references)):
        raise ToolRefused("a mail header has a control character")
    ids = (mail.message_id, *mail.references)
    if not _ADDRESS.fullmatch(mail.to) or not all(map(_MESSAGE_ID.fullmatch, ids)) or len(mail.subject) > 200:
        raise ToolRefused("a mail header is not well-formed")
    try:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = mail.message_id
        if mail.references:
            message["In-Reply-To"] = mail.references[-1]
            message["References"] = " ".join(mail.references[-MOST_REFERENCES:])
        # RFC 3834: tells other machines not to answer, so that two of them never talk to each other.
        message["Auto-Submitted"] = "auto-replied" if mail.is_reply else "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(mail.text, charset="utf-8", cte="quoted-printable")
        return message.as_bytes()
    except (MessageError, ValueError, LookupError):
        raise ToolRefused("the mail cannot be written as a message") from None
