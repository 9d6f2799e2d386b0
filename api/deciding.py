"""What a person says about a handoff, decided in Postgres in one transaction; then the workflow is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api.deps import Services
from api.editing import edit, is_made
from api.meters import Meters
from api.sending import set_going
from api.telling import Told, tell
from domain.approval import (
    ADMIN,
    Approver,
    NotAnApprover,
    Requirement,
    check_may_approve,
    is_enough,
)
from domain.correction import continues
from domain.errors import ApprovalStale, Conflict, HandoffAlreadyDecided, StepUpNeeded
from domain.handoff import HandoffDecision, HandoffKind
from domain.proposal import ProposedAction
from domain.signing_in import STEP_UP
from domain.values import HandoffId, Json, OrganisationId
from schema.approvals import ApprovalRepository, raised_by
from schema.audit import AuditEvent, AuditRepository
from schema.corrections import check_correctable
from schema.decided import tell_of_decision, told_of_decision
from schema.expiry import expired
from schema.handoff_rows import Handoff
from schema.handoffs import Decided, HandoffRepository
from schema.session import Session
from schema.takeovers import TakeoverRepository


@dataclass(frozen=True)
class Voice:
    """Who speaks, for which organisation, and how the word came."""

    organisation: OrganisationId
    person: Approver
    via: str = "key"
    has_proof: bool = True
    """False: a session whose password was not given lately."""


@dataclass(frozen=True)
class Yes:
    """To exactly what the digest stands for; with edits: to that, with these arguments instead."""

    digest: str
    note: str | None = None
    edits: tuple[ProposedAction, ...] = ()


@dataclass(frozen=True)
class Ending:
    """No, or a person's own answer: nothing that was proposed runs."""

    decision: HandoffDecision
    words: Json


async def decide(
    services: Services, meters: Meters, voice: Voice, handoff_id: HandoffId, word: Yes | Ending
) -> Handoff:
    """The handoff after the word was said; undecided if more people must say yes.

    Raises what `HandoffRepository.decide` does, `Conflict` while somebody else holds it, `NotAnApprover`,
    `EditRefused`.
    """
    async with services.db.transaction(voice.organisation) as session:
        record, is_first = await say(services, session, voice, handoff_id, word)
    await spread(services, meters, voice.organisation, record, is_first=is_first)
    return record


async def say(
    services: Services, session: Session, voice: Voice, handoff_id: HandoffId, word: Yes | Ending
) -> tuple[Handoff, bool]:
    """One word, in the caller's transaction; whether it decided. What is over is decided as expired instead."""
    handoff = await HandoffRepository(session).lock(handoff_id)
    at = services.now()  # not before: what others did while this waited for them comes first
    if handoff.is_over(at):
        return await expired(session, handoff, at), True
    table = Table(services, session, voice, handoff, at)
    decided = await (table.approve(word) if isinstance(word, Yes) else table.end(word))
    return (table.handoff, False) if decided is None else (decided.record, decided.first)


async def spread(
    services: Services, meters: Meters, organisation: OrganisationId, record: Handoff, *, is_first: bool
) -> None:
    """After the commit: counted, and told to the workflow. Raises if it turned out that its time was over."""
    if record.decision is None:
        return
    if is_first:
        meters.decided(record.decision)
    services.failpoints.hit("F9")
    told = await tell(services, organisation, record) if record.told_at is None else Told.YES
    if is_first and told is not Told.NOT_NOW:
        await _send_word(services, organisation, record.id)
    if record.decision is HandoffDecision.EXPIRED:
        raise _already_decided(record)


async def _send_word(services: Services, organisation: OrganisationId, handoff_id: HandoffId) -> None:
    """To other systems, at once. Where a crash or Temporal prevents it, `keep_sending` does it a moment later."""
    async with services.db.transaction(organisation) as session:
        untold = await told_of_decision(session, handoff_id)
    await set_going(services, organisation, *untold)


class Table:
    """One locked handoff with one person before it."""

    def __init__(self, services: Services, session: Session, voice: Voice, handoff: Handoff, at: datetime) -> None:
        self._services = services
        self._session = session
        self._voice = voice
        self._at = at
        self._approvals = ApprovalRepository(session)
        self.handoff = handoff

    async def approve(self, yes: Yes) -> Decided | None:
        """None while more people must say yes, or somebody else must after an edit."""
        if self.handoff.kind is not HandoffKind.APPROVAL:
            raise Conflict("there is nothing to approve here: answer it with resolve or reject")
        edited_before = bool(yes.edits) and await self._is_made(yes)
        if self.handoff.decision is not None:
            return await self._repeat(yes, edited_before=edited_before)
        self._check_hands()
        if yes.digest != self.handoff.digest and not edited_before:
            raise ApprovalStale("this is not what is on the table now", handoff_id=self.handoff.id)
        before = self.handoff
        if yes.edits and not edited_before:
            self.handoff = await edit(self._services, self._session, before, yes.edits, self._voice.person, self._at)
        self._check_proof()
        try:
            needed = await self._check_person()
        except NotAnApprover:
            if edited_before or self.handoff.revision > before.revision:
                return None
            raise
        return await self._give(yes, needed)

    async def end(self, ending: Ending) -> Decided:
        if self.handoff.decision is None:
            self._check_hands()
            if self.handoff.kind is HandoffKind.APPROVAL:
                check_may_approve(self._requirements(), self._voice.person)
            if continues(ending.words):
                await check_correctable(self._session, self.handoff.interaction_id)
        return await self._decide(ending.decision, ending.words or None)

    def _check_hands(self) -> None:
        holder = self.handoff.others_claim(self._voice.person.name, self._at)
        if holder is not None and ADMIN not in self._voice.person.scopes:
            raise Conflict("this handoff is in other hands", assignee=holder, claimed_until=self.handoff.claimed_until)

    def _check_proof(self) -> None:
        policy, tools = self._services.approvals, self._services.rules.tools
        if not self._voice.has_proof and policy.needs_step_up(self.handoff.proposed, tools):
            raise StepUpNeeded("prove again who you are first", within=STEP_UP)

    def _requirements(self) -> tuple[Requirement, ...]:
        return self._services.approvals.requirements(self.handoff.proposed, self._services.rules.tools)

    async def _check_person(self) -> tuple[Requirement, ...]:
        needed = self._requirements()
        raised = raised_by(await self._approvals.revisions(self.handoff.id))
        check_may_approve(needed, self._voice.person, raised)
        return needed

    async def _give(self, yes: Yes, needed: Sequence[Requirement]) -> Decided | None:
        person, handoff = self._voice.person, self.handoff
        fresh = await self._approvals.give(
            handoff, person.name, tuple(person.scopes), via=self._voice.via, note=yes.note, at=self._at,
            person=person.owner,
        )  # fmt: skip
        given = await self._approvals.given(handoff.id, handoff.digest)
        if is_enough(needed, [Approver(g.approver, frozenset(g.scopes), g.person) for g in given]):
            words = {"note": yes.note} if yes.note else None
            return await self._decide(HandoffDecision.APPROVED, words, handoff.digest)
        if fresh:
            await self._approvals.wait_for_more(handoff, person.name, self._at)
            await self._audit("approval_given", digest=handoff.digest)
        return None

    async def _decide(self, decision: HandoffDecision, words: Json | None, digest: str | None = None) -> Decided:
        decided = await HandoffRepository(self._session).decide(
            self.handoff.id, decision, by=self._voice.person.name, at=self._at, digest=digest, resolution=words
        )
        if decided.first:
            about = {"digest": digest} if digest else {}
            await self._audit(decision.value, **about, **({"corrected": True} if continues(words) else {}))
            await tell_of_decision(self._session, decided.record, self._at)
            if not (words or {}).get("keep"):
                await TakeoverRepository(self._session).give_back_after(decided.record, self._at)
        return decided

    async def _repeat(self, yes: Yes, *, edited_before: bool) -> Decided:
        """Everybody whose yes led to it hears the first answer again; anybody else, who was first."""
        for given in await self._approvals.given(self.handoff.id, self.handoff.digest):
            same = given.approver == self._voice.person.name and given.note == yes.note
            if same and (edited_before or (not yes.edits and yes.digest == self.handoff.digest)):
                return Decided(first=False, record=self.handoff)
        raise _already_decided(self.handoff)

    async def _is_made(self, yes: Yes) -> bool:
        """This very edit, by this person, is what is on the table already."""
        made = await self._approvals.revisions(self.handoff.id)
        return is_made(made, self.handoff.digest, yes.digest, yes.edits, self._voice.person.name, self._services)

    async def _audit(self, what: str, **details: object) -> None:
        via = {} if self._voice.via == "key" else {"via": self._voice.via}
        event = AuditEvent(self._at, self._voice.person.name, f"handoff.{what}", self.handoff.id, {**details, **via})
        await AuditRepository(self._session).append(event)


def _already_decided(record: Handoff) -> HandoffAlreadyDecided:
    return HandoffAlreadyDecided(
        "somebody else was first", decision=record.decision, by=record.decided_by, at=record.decided_at
    )
