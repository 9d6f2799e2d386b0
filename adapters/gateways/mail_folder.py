"""Reads what the local mail sink keeps: one file per message."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from domain.ports import StoredMail

_NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)


class MailFolderReader:
    """A `MailSink` over the sink's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, most: int) -> tuple[StoredMail, ...]:
        files = sorted(self._folder.glob("*.eml"), key=lambda f: f.stat().st_mtime_ns, reverse=True)
        return tuple(_read(file).model_copy(update={"text": ""}) for file in files[:most])

    def find(self, name: str) -> StoredMail | None:
        file = self._folder / f"{name}.eml"
        return _read(file) if _NAME.fullmatch(name) and file.exists() else None


def _read(file: Path) -> StoredMail:
    message = message_from_bytes(file.read_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    return StoredMail(
        name=file.stem,
        message_id=str(message["Message-ID"] or ""),
        sender=str(message["From"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        date=str(message["Date"] or ""),
        text=body.get_content() if body is not None else "",
    )
