"""A real SMTP server (aiosmtpd) on the loopback interface that fails as it is told, and keeps what it accepted."""

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult


@dataclass
class MailServer:
    """`fault` is asked before each answer: a line such as `451 later`, or `drop` to cut the connection there. At `dot`
    the message has been accepted and kept, so a drop there loses only the answer."""

    port: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Per step (`connect`, `mail`, `rcpt`, `data`, `dot`, `quit`), what to do at each next visit; then all is well."""
    accepted: list[EmailMessage] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Every step that was reached, in order."""
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    offers_dsn: bool = False
    parameters: list[str] = field(default_factory=list)
    """What came after the addresses: `RET=HDRS`, `NOTIFY=…`."""
    over_tls: list[bool] = field(default_factory=list)
    """For each accepted message, whether the line was encrypted."""

    def step(self, step: str) -> str | None:
        self.seen.append(step)
        waiting = self.faults.get(step, [])
        return waiting.pop(0) if waiting else None

    def answer(self, step: str, server: Any, otherwise: str) -> str:
        told = self.step(step)
        if told == "drop":
            server.transport.abort()
        return otherwise if told in {None, "drop"} else str(told)

    async def handle_EHLO(self, _v: Any, session: Any, _e: Any, hostname: str, answers: list[str]) -> list[str]:
        session.host_name = hostname
        return [answers[0], *(["250-DSN"] if self.offers_dsn else []), *answers[1:]]

    async def handle_MAIL(self, server: Any, _s: object, envelope: Any, address: str, _o: object) -> str:
        envelope.mail_from = address
        return self.answer("mail", server, "250 OK")

    async def handle_RCPT(self, server: Any, _s: object, envelope: Any, address: str, _o: object) -> str:
        envelope.rcpt_tos.append(address)
        return self.answer("rcpt", server, "250 OK")

    async def handle_DATA(self, server: Any, _s: object, envelope: Any) -> str:
        said = self.answer("dot", server, "250 OK queued as 1 for <ada@example.com>")
        if said.startswith("250"):
            self.accepted.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            self.over_tls.append(server.transport.get_extra_info("sslcontext") is not None)
        return said

    async def handle_QUIT(self, server: Any, _s: object, _e: object) -> str:
        return self.answer("quit", server, "221 Bye")

    def login(self, _server: object, _session: object, _envelope: object, _mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


class _Protocol(SMTP):
    """Adds the two places aiosmtpd gives its handler no say in."""

    world: MailServer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.world.step("connect") == "drop":
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
            return
        super().connection_made(transport)

    def _cut(self) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.abort()

    async def smtp_MAIL(self, arg: str) -> None:
        await super().smtp_MAIL(self._without_parameters(arg))

    async def smtp_RCPT(self, arg: str) -> None:
        await super().smtp_RCPT(self._without_parameters(arg))

    def _without_parameters(self, arg: str) -> str:
        """aiosmtpd knows nothing of delivery reports."""
        words = arg.split(" ")
        ours = [w for w in words if w.split("=")[0] in {"RET", "ENVID", "NOTIFY"}]
        self.world.parameters += ours
        return " ".join(w for w in words if w not in ours)

    async def smtp_DATA(self, arg: str) -> None:
        told = self.world.step("data")
        if told == "drop":
            self._cut()
        elif told:
            await self.push(told)
        else:
            await super().smtp_DATA(arg)


@asynccontextmanager
async def mail_server(
    *, starttls: ssl.SSLContext | None = None, implicit: ssl.SSLContext | None = None, login: bool = False
) -> AsyncIterator[MailServer]:
    """Listens on a free port until the block ends."""
    world = MailServer()

    def make() -> SMTP:
        protocol = _Protocol(
            world,
            hostname="mail.test",
            tls_context=starttls,
            auth_required=login,
            auth_require_tls=False,
            authenticator=world.login,
            enable_SMTPUTF8=True,
        )
        protocol.world = world
        return protocol

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, ssl=implicit)
    world.port = server.sockets[0].getsockname()[1]
    try:
        yield world
    finally:
        server.close()
        await server.wait_closed()
