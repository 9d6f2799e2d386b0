"""Approval links: made for one person, shown to whoever opens them, good for one word."""

import secrets
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs

from pydantic import ValidationError

from api.auth import Caller, Scope
from api.deciding import Ending, Voice, Yes, say, spread
from api.deps import Services
from api.editing import facts_now
from api.fields import Body, Note, Reply
from api.meters import Meters
from api.strict_json import NotJson, loads
from domain.approval import Approver, check_may_approve
from domain.approval_link import ApprovalLink, LinkOver, read_token, write_token
from domain.errors import ApprovalStale, Conflict, HandoffNotFound, RequestInvalid
from domain.facts import Facts
from domain.handoff import HandoffDecision, HandoffKind
from domain.values import HandoffId
from schema.approvals import ApprovalRepository, NewLink, raised_by
from schema.audit import AuditEvent, AuditRepository
from schema.handoffs import Handoff, HandoffRepository
from schema.operators import approver_of
from schema.session import Session

FORM = "application/x-www-form-urlencoded"


class LinkWord(Body):
    """What is said by a link."""

    decision: Literal["approve", "reject"]
    note: Note | None = None
    reply: Reply | None = None
    """To the customer, with a no."""

    @classmethod
    def read(cls, content_type: str, body: bytes) -> "LinkWord":
        """From a form or from JSON; `RequestInvalid` if it is not a word."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind not in {FORM, "application/json"}:
            raise NotJson
        try:
            return cls.model_validate(loads(body) if kind != FORM else _fields(body))
        except ValidationError as error:
            fields = [str(e["loc"][0]) for e in error.errors() if e["loc"]]
            raise RequestInvalid("say approve or reject", fields=fields or ["decision"]) from error

    @classmethod
    def documented(cls) -> dict[str, Any]:
        schema = cls.model_json_schema(by_alias=True)
        return {"required": True, "content": {kind: {"schema": schema} for kind in ("application/json", FORM)}}

    def said(self, link: ApprovalLink) -> Yes | Ending:
        if self.decision == "approve":
            return Yes(link.digest, self.note)
        return Ending(HandoffDecision.REJECTED, self.model_dump(include={"reply", "note"}, exclude_none=True))


@dataclass(frozen=True)
class Seen:
    """What a link shows."""

    link: ApprovalLink
    handoff: Handoff
    facts: Facts
    services: Services
    given: int
    needed: int


async def create_link(
    services: Services, caller: Caller, handoff_id: HandoffId, approver: str
) -> tuple[str, ApprovalLink]:
    """Its path, and what it stands for. Nobody gets one whose yes would not count."""
    async with services.db.transaction(caller.organisation) as session:
        at = services.now().replace(microsecond=0)
        handoff = await HandoffRepository(session).lock(handoff_id)
        # Also of the caller: on its own machine a stack knows callers that have no key, and so no link.
        person = await approver_of(session, approver, at)
        if not person.scopes & {Scope.OPERATOR, Scope.ADMIN}:
            raise RequestInvalid("there is no operator with a key of this name", fields=["approver"])
        if handoff.kind is not HandoffKind.APPROVAL or handoff.decision is not None or handoff.is_over(at):
            raise Conflict("there is nothing to approve here")
        if services.approvals.needs_step_up(handoff.proposed, services.rules.tools):
            caller.need_proof(at)  # whoever has the link can say yes
        await _check(services, session, handoff, person)
        latest = at + services.approvals.link_expires_in
        link = ApprovalLink(
            organisation=caller.organisation,
            handoff_id=handoff.id,
            digest=handoff.digest,
            approver=approver,
            expires_at=min(latest, handoff.expires_at or latest).replace(microsecond=0),
            nonce=f"lnk_{secrets.token_hex(16)}",
        )
        new = NewLink(link.nonce, handoff.id, link.digest, approver, caller.name, at, link.expires_at)
        await ApprovalRepository(session).add_link(new)
        details = {"approver": approver, "link": link.nonce, "digest": link.digest}
        await AuditRepository(session).append(AuditEvent(at, caller.name, "handoff.link_created", handoff.id, details))
    return f"/approvals/{write_token(link, services.id_key)}", link


async def see_link(services: Services, token: str) -> Seen:
    """What it asks, changing nothing; `LinkInvalid`, or `LinkOver`."""
    link = read_token(token, services.id_key)
    async with services.db.transaction(link.organisation) as session:
        handoff = await _on_the_table(services, session, link)
        if not await ApprovalRepository(session).is_usable(link.nonce, services.now()):
            raise _over()
        await _person(services, session, link)
        needed = services.approvals.requirements(handoff.proposed, services.rules.tools)
        given = await ApprovalRepository(session).given(handoff.id, handoff.digest)
        facts = await facts_now(services, session, handoff.customer_id)
    return Seen(link, handoff, facts, services, len(given), max(requirement.need for requirement in needed))


async def say_by_link(services: Services, meters: Meters, token: str, word: LinkWord) -> Handoff:
    """The handoff after it. The link is used up in the transaction that holds the word: neither without the other."""
    link = read_token(token, services.id_key)
    async with services.db.transaction(link.organisation) as session:
        at = services.now()
        if not await ApprovalRepository(session).use_link(link.nonce, at):
            raise _over()
        await _on_the_table(services, session, link)
        voice = Voice(link.organisation, await _person(services, session, link), via="link")
        try:
            record, is_first = await say(services, session, voice, link.handoff_id, word.said(link))
        except ApprovalStale:
            raise _over() from None
        event = AuditEvent(at, link.approver, "handoff.link_used", link.handoff_id, {"link": link.nonce})
        await AuditRepository(session).append(event)
    await spread(services, meters, link.organisation, record, is_first=is_first)
    return record


async def _on_the_table(services: Services, session: Session, link: ApprovalLink) -> Handoff:
    try:
        handoff = await HandoffRepository(session).get(link.handoff_id)
    except HandoffNotFound:
        raise _over() from None
    if handoff.decision is not None or handoff.digest != link.digest:
        raise _over()
    return handoff


async def _person(services: Services, session: Session, link: ApprovalLink) -> Approver:
    """With the rights of now: what was taken from a person since takes the link with it."""
    person = await approver_of(session, link.approver, services.now())
    if not person.scopes & {Scope.OPERATOR, Scope.ADMIN}:
        raise _over()
    return person


async def _check(services: Services, session: Session, handoff: Handoff, person: Approver) -> None:
    needed = services.approvals.requirements(handoff.proposed, services.rules.tools)
    check_may_approve(needed, person, raised_by(await ApprovalRepository(session).revisions(handoff.id)))


def _fields(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)
    except (ValueError, UnicodeDecodeError) as error:
        raise RequestInvalid("say approve or reject", fields=["decision"]) from error
    if any(len(values) != 1 for values in fields.values()):
        raise RequestInvalid("a field came twice", fields=sorted(fields))
    return {name: values[0] for name, values in fields.items()}


def _over() -> LinkOver:
    return LinkOver("this link was used, its time is over, or something else is on the table now")
