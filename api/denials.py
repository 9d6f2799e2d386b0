"""What a known caller was denied goes on record: here, and nowhere else. Nobody who is let through comes by.

Repeating a denied request must not fill the trail, so the same denial of the same key counts once a minute: what this
process has put on record it remembers, and other processes come to the same id of the event.
"""

import hashlib
from dataclasses import astuple, dataclass
from datetime import datetime

import structlog
from fastapi import Request

from api.auth import Caller
from api.deps import Services
from api.lately import Lately
from domain.approval_link import LinkInvalid, read_token
from domain.errors import HoldfastError
from domain.values import OrganisationId
from schema.audit import AuditEvent, AuditRepository
from schema.session import Database

ACTIONS = {
    "scope_missing": "access.denied",
    "not_an_approver": "handoff.approval_denied",
    "approval_stale": "handoff.approval_denied",
    "approval_link_over": "handoff.approval_denied",
}
"""By error code. Any other error is no denial: a mistake, or somebody was first."""

log = structlog.get_logger("api")


@dataclass(frozen=True)
class Denial:
    """Whom, what, and why. Equal ones within a minute are one."""

    organisation: OrganisationId
    actor: str
    subject: str
    """The key; or the handoff, which is there: who is no approver of it, or too late, was shown that it is."""
    action: str
    reason: str
    method: str
    route: str
    """As in the contract. The path itself names customers."""


class Denials:
    """Those of this process."""

    def __init__(self, lately: Lately | None = None) -> None:
        self._recorded = lately or Lately()

    async def record(self, db: Database, denial: Denial, at: datetime) -> None:
        """Once a minute. Where it cannot be written the log says so: denied it was all the same."""
        if not self._recorded.is_new(denial, at):
            return
        minute = at.replace(second=0, microsecond=0)
        details = {"reason": denial.reason, "method": denial.method, "route": denial.route}
        event = AuditEvent(at, denial.actor, denial.action, denial.subject, details)
        same = hashlib.sha256(repr((astuple(denial), minute.isoformat())).encode()).hexdigest()
        try:
            async with db.transaction(denial.organisation) as session:
                await AuditRepository(session).append_once(f"aud_{same[:32]}", event)
        except HoldfastError as error:
            self._recorded.forget(denial)
            log.error("denial not on record", action=denial.action, reason=denial.reason, error=error.code)


async def put_on_record(request: Request, error: HoldfastError) -> None:
    """If this is a denial, and it is known of whom. Awaited before the answer leaves."""
    action = ACTIONS.get(error.code)
    if action is None:
        return
    services: Services = request.app.state.services
    who = _who(request, services)
    if who is None:
        return
    organisation, actor, subject = who
    denial = Denial(
        organisation=organisation,
        actor=actor,
        subject=subject if error.code == "scope_missing" else request.path_params.get("handoffId", subject),
        action=action,
        reason=str(error.details.get("reason", error.code)),
        method=request.method,
        route=str(getattr(request.scope.get("route"), "path", "")),
    )
    denials: Denials = request.app.state.denials
    await denials.record(services.db, denial, services.now())


def _who(request: Request, services: Services) -> tuple[OrganisationId, str, str] | None:
    """Organisation and name, and what stands for them: a key, or the handoff a signed link is about."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is not None:
        return caller.organisation, caller.name, caller.key_id
    if request.method == "GET":  # a link that is only looked at: mail programs do that by themselves
        return None
    try:
        link = read_token(request.path_params.get("token", ""), services.id_key)
    except LinkInvalid:
        return None
    return link.organisation, link.approver, link.handoff_id
