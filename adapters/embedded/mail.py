"""A mail server that delivers to a folder and to nobody else."""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

REFUSED_DOMAIN = "refused.example.com"
"""A domain this server takes no mail for, so that one can see what happens then."""


class MailFolder:
    """An aiosmtpd handler that keeps every message as a file. The same Message-ID is the same file: a mail sent twice
    is still one mail."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: object, _session: object, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.lower().endswith(f"@{REFUSED_DOMAIN}"):
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Accepts the message only when it is on disk under its final name."""
        await asyncio.to_thread(self.keep, bytes(envelope.content))
        return "250 OK kept"

    def keep(self, content: bytes) -> Path:
        message_id = message_from_bytes(content).get("Message-ID") or content.decode("latin-1")
        path = self._folder / f"{hashlib.sha256(message_id.strip().encode()).hexdigest()[:32]}.eml"
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return path


@contextlib.asynccontextmanager
async def mail_sink(folder: Path, port: int, host: str = "127.0.0.1") -> AsyncIterator[None]:
    """Listens while the context lasts; what it accepted is a file in `folder`."""
    loop, handler = asyncio.get_running_loop(), MailFolder(folder)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", enable_SMTPUTF8=True, loop=loop), host, port
    )
    try:
        yield
    finally:
        server.close()
