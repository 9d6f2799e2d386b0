"""What routes are given: one object, made by the entry point."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from temporalio.client import Client

from domain.ports import Failpoints
from schema.session import Database


@dataclass(frozen=True)
class Services:
    """The outside world of the HTTP process."""

    db: Database
    temporal: Client
    """Lazy: it connects at the first call, and a call while Temporal is down fails without ending the process."""
    task_queue: str
    id_key: bytes
    """Keys the hashes that stand for personal ids in workflow ids."""
    local: bool
    """Calls from this machine need no key."""
    temporal_ui_url: str
    chat_wait: timedelta
    now: Callable[[], datetime]
    failpoints: Failpoints


def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]
