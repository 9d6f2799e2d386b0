"""What routes are given: one object, made by the entry point."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from fastapi import Depends, Request
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from api.lately import Lately
from api.uses import Uses
from domain.approval import ApprovalPolicy
from domain.budget import Limits
from domain.checkpoint import CheckpointKeys, CheckpointStore
from domain.outside import NOBODY, AllowList
from domain.ports import Failpoints, MailSink, Passwords, SecretBox
from domain.redemption import Endpoints, Redemption
from domain.revision import Rules
from domain.sla import SlaPolicy
from domain.values import OrganisationId
from schema.session import Database


@dataclass(frozen=True)
class Proof:
    """What vouches for the audit outside the database."""

    store: CheckpointStore
    keys: CheckpointKeys


class PayloadOpener(Protocol):
    def open_claimed(self, payload: Payload) -> Payload:
        """What is inside, for the workflow it says it is for. Raises `PayloadRefused`."""
        ...


class IdentityGateway(Protocol):
    """Identity providers. What they answer is checked; for what they do not answer it raises `DependencyDown`."""

    async def endpoints(self, organisation: OrganisationId, issuer: str) -> Endpoints:
        """Where the provider of this issuer is talked to."""
        ...

    async def redeem(self, wanted: Redemption) -> Mapping[str, object]:
        """The claims of the ID token a code stands for, its signature checked. Raises `IdTokenRefused`."""
        ...

    async def close(self) -> None: ...


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
    limits: Limits
    """What an organisation without a limit of its own may ask."""
    now: Callable[[], datetime]
    failpoints: Failpoints
    passwords: Passwords
    new_key_pair: Callable[[], tuple[bytes, bytes]]
    """A new Ed25519 pair: the private half, the public one, 32 bytes each."""
    export_stall: timedelta = timedelta(seconds=30)
    """How long a reader of an export may take nothing in."""
    rules: Rules = field(default_factory=Rules.shipped)
    """What an edit by a person is judged by: the same as what the worker judges by."""
    sla: SlaPolicy = field(default_factory=SlaPolicy.shipped)
    approvals: ApprovalPolicy = field(default_factory=ApprovalPolicy.shipped)
    secret_box: SecretBox | None = None
    """None: no encryption keyset is set, and no secret can be kept."""
    audit_proof: Proof | None = None
    """None: no signing key is set, and nobody vouches for the audit."""
    outbound_allow: AllowList = NOBODY
    """Addresses that may be subscribed although they are not public."""
    payloads: PayloadOpener | None = None
    """None: no payload keys are set, and Temporal keeps everything in clear."""
    mail_sink: MailSink | None = None
    """The local stack's mail, to look at."""
    identity: IdentityGateway | None = None
    """None: what is needed for it is not installed, and nobody signs in by an identity provider."""
    public_url: str = ""
    """Where browsers reach this API: an origin. Empty: nobody said, and nobody can be sent back here."""
    landing: str = ""
    """Where a browser goes once somebody has signed in."""
    console_origins: frozenset[str] = frozenset()
    """Where our own page may come from beside this very host."""
    proxies: frozenset[str] = frozenset()
    """Addresses everybody seems to come from."""
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Passwords checked at once: each takes a core and 19 MiB for a while."""
    looked: Lately = field(default_factory=Lately)
    """Who opened what of Temporal's, as far as that is on record."""
    uses: Uses = field(default_factory=Uses)
    """Which credentials were used, until it is written down."""


async def get_services(request: Request) -> Services:
    # Async although it awaits nothing: the framework would run it in a thread, at a tenth of the request's cost.
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]
