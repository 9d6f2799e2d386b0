"""A handoff with everything needed to decide, read in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from api.answers import shown_effect
from api.deps import Services
from api.editing import facts_now
from api.handoff_view import (
    ActionsByState,
    HandoffDetail,
    HandoffMoment,
    HandoffNote,
    HandoffSummary,
    ShownApprovals,
    ShownClock,
    ShownCustomer,
    ShownPresence,
    ShownProposal,
    ShownRevision,
    ShownTicket,
    ShownYes,
)
from domain.answer import ShownAction
from domain.briefing import Briefing, Case, brief
from domain.calls import in_words
from domain.decision import Decision
from domain.facts import Facts
from domain.handoff import HandoffKind
from domain.interaction import EffectState
from domain.values import HandoffId, Json, OrganisationId
from domain.verification.evidence import DoneAction
from schema.approvals import ApprovalRepository
from schema.clocks import ClockRepository
from schema.effects import EffectRepository, EffectStanding
from schema.handoff_claims import HandoffClaims
from schema.handoffs import Handoff, HandoffEvent, HandoffRepository
from schema.holds import Hold, holds
from schema.interactions import InteractionRepository
from schema.open_tickets import list_open_tickets
from schema.session import Session


async def shown_summaries(session: Session, found: Sequence[Handoff], at: datetime) -> tuple[HandoffSummary, ...]:
    """As they stand at `at`: a claim or a hold that has run out is not shown."""
    held = await holds(session, [handoff.interaction_id for handoff in found], at)
    return tuple(_summary(handoff, held.get(handoff.interaction_id), at) for handoff in found)


def _summary(handoff: Handoff, hold: Hold | None, at: datetime) -> HandoffSummary:
    shown = HandoffSummary.model_validate(handoff.standing(at), from_attributes=True)
    return shown.model_copy(update={"held_by": hold.holder, "held_until": hold.until}) if hold else shown


async def shown_detail(services: Services, organisation: OrganisationId, handoff_id: HandoffId) -> HandoffDetail:
    """The whole handoff, or `HandoffNotFound`."""
    async with services.db.transaction(organisation) as session:
        handoffs, at = HandoffRepository(session), services.now()
        handoff = await handoffs.get(handoff_id)
        events = await handoffs.events(handoff_id)
        effects = await EffectRepository(session).list_for_interaction(handoff.interaction_id)
        recorded = await ApprovalRepository(session).decision(handoff)
        facts = await facts_now(services, session, handoff.customer_id)
        interaction = await InteractionRepository(session).get(handoff.interaction_id)
        approvals = await _approvals(services, session, handoff)
        decision = recorded.decision if recorded else Decision()
        (standing,) = await shown_summaries(session, [handoff], at)
        return HandoffDetail(
            **standing.model_dump(by_alias=False),
            digest=handoff.digest,
            proposed=tuple(_proposal(services, action, facts) for action in handoff.proposed),
            customer=ShownCustomer.model_validate(
                {"id": handoff.customer_id, **facts.account.model_dump(include={"name", "plan", "status"})}
            ),
            tickets=await _tickets(session, handoff),
            conversation_id=interaction.conversation_id,
            message=interaction.message,
            actions=tuple(shown_effect(s) for s in effects),
            actions_by_state=_by_state(effects),
            issues=handoff.issues,
            approvals=approvals,
            revisions=await _revisions(session, handoff),
            resolution=handoff.resolution,
            notes=tuple(HandoffNote(at=e.at, by=e.actor, note=e.details["note"]) for e in events if e.kind == "noted"),
            clocks=await _clocks(services, session, handoff, at),
            presence=await _presence(session, handoff, at),
            briefing=_briefing(services, handoff, decision, facts, effects, approvals.needed),
            history=tuple(map(_moment, events)),
        )


async def _clocks(services: Services, session: Session, handoff: Handoff, at: datetime) -> tuple[ShownClock, ...]:
    kept = await ClockRepository(session, services.sla).load(handoff)
    return tuple(
        ShownClock(
            kind=clock.kind,
            state=clock.state(at),
            target_seconds=int(clock.target.total_seconds()),
            elapsed_seconds=int(clock.elapsed(at).total_seconds()),
            due_at=clock.due_at,
            calendar=clock.calendar.id,
            calendar_version=clock.calendar.version,
        )
        for clock in kept.clocks
    )


def _moment(event: HandoffEvent) -> HandoffMoment:
    return HandoffMoment(at=event.at, kind=event.kind, actor=event.actor, details=event.details)


def _proposal(services: Services, action: Json, facts: Facts) -> ShownProposal:
    tool = services.rules.tools.get(str(action["tool"]))
    preview = tool.preview(tool.parse(action["arguments"]), facts) if tool else {}
    return ShownProposal.model_validate(
        {**action, "preview": preview, "summary": in_words(action, services.rules.tools)}
    )


def _by_state(effects: tuple[EffectStanding, ...]) -> ActionsByState:
    def among(*states: EffectState) -> tuple[ShownAction, ...]:
        return tuple(shown_effect(s) for s in effects if s.state in states)

    return ActionsByState(
        executed=among(EffectState.CONFIRMED, EffectState.UNDONE),
        pending=among(EffectState.RESERVED, EffectState.DISPATCHED),
        unknown=among(EffectState.UNKNOWN),
        failed=among(EffectState.FAILED),
    )


async def _approvals(services: Services, session: Session, handoff: Handoff) -> ShownApprovals:
    if handoff.kind is not HandoffKind.APPROVAL:
        return ShownApprovals(needed=0)
    needed = services.approvals.requirements(handoff.proposed, services.rules.tools)
    given = await ApprovalRepository(session).given(handoff.id, handoff.digest)
    return ShownApprovals(
        needed=max(requirement.need for requirement in needed),
        given=tuple(ShownYes(by=g.approver, at=g.at, via=g.via, note=g.note) for g in given),
        rules=tuple(requirement.id for requirement in needed),
    )


async def _revisions(session: Session, handoff: Handoff) -> tuple[ShownRevision, ...]:
    made = await ApprovalRepository(session).revisions(handoff.id) if handoff.revision else ()
    return tuple(ShownRevision(revision=r.revision, by=r.actor, at=r.at, diff=r.changes, digest=r.digest) for r in made)


async def _tickets(session: Session, handoff: Handoff) -> tuple[ShownTicket, ...]:
    found = await list_open_tickets(session, handoff.customer_id)
    return tuple(ShownTicket.model_validate(ticket, from_attributes=True) for ticket in found)


async def _presence(session: Session, handoff: Handoff, at: datetime) -> tuple[ShownPresence, ...]:
    present = await HandoffClaims(session).present(handoff.id, at)
    return tuple(ShownPresence(operator=p.operator, at=p.at) for p in present)


def _briefing(
    services: Services,
    handoff: Handoff,
    decision: Decision,
    facts: Facts,
    effects: tuple[EffectStanding, ...],
    people: int,
) -> Briefing:
    done = tuple(
        DoneAction(tool=s.effect.tool, arguments=s.effect.arguments, effect_state=s.state, result=s.result or {})
        for s in effects
    )
    return brief(
        Case(
            kind=handoff.kind,
            reason=handoff.reason,
            decision=decision,
            facts=facts,
            proposed=handoff.proposed,
            done=done,
            tools=services.rules.tools,
            people=people,
        )
    )
