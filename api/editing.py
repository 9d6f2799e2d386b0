"""Other arguments on the table: judged and verified like the first ones, recorded as a decision of their own."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from api.deps import Services
from domain.approval import Approver, approval_digest, proposed_actions
from domain.calls import canonical
from domain.errors import Conflict
from domain.facts import Facts
from domain.proposal import ProposedAction
from domain.revision import Revised, revise
from domain.values import CustomerId
from schema.approvals import ApprovalRepository, Revision
from schema.audit import AuditEvent, AuditRepository
from schema.decisions import DecisionRepository
from schema.facts import load_facts
from schema.handoff_rows import Handoff, stage_of
from schema.interactions import InteractionRepository
from schema.session import Session


async def facts_now(services: Services, session: Session, customer_id: CustomerId) -> Facts:
    """What is known about a customer, as the rules would see it now."""
    period = timedelta(days=services.rules.book.parameter("refund", "period_days"))
    return await load_facts(session, customer_id, services.now(), refund_period=period)


async def edit(
    services: Services, session: Session, before: Handoff, edits: Sequence[ProposedAction], by: Approver, at: datetime
) -> Handoff:
    """The locked handoff with other arguments on the table, or as it was if they say the same. `EditRefused` if the
    rules refuse them or facts do not back them."""
    recorded = await ApprovalRepository(session).decision(before)
    if recorded is None:
        raise Conflict("nothing was decided that could be edited")
    facts = await facts_now(services, session, before.customer_id)
    # At the time of the request: how long people take is not the customer's fault.
    facts = facts.model_copy(update={"now": recorded.facts.now})
    revised = revise(before.proposed, edits, recorded.proposal, facts, services.rules)
    if not revised.changes:
        return before
    return await _put_on_the_table(session, before, revised, facts, by, at)


def is_made(
    made: Sequence[Revision], current: str, digest: str, edits: Sequence[ProposedAction], by: str, services: Services
) -> bool:
    """Whether this person made exactly this edit of what `digest` stands for, and it is what is on the table."""
    wanted = [(edit.tool, canonical(edit.tool, edit.arguments, services.rules.tools)) for edit in edits]
    return any(
        (r.from_digest, r.digest, r.actor) == (digest, current, by)
        and [(a["tool"], a["arguments"]) for a in r.proposed] == wanted
        for r in made
    )


async def _put_on_the_table(
    session: Session, before: Handoff, revised: Revised, facts: Facts, by: Approver, at: datetime
) -> Handoff:
    decision = revised.decision
    interaction = await InteractionRepository(session).get(before.interaction_id)
    revision = before.revision + 1
    decision_id, stands = await DecisionRepository(session).record_once(
        interaction.id,
        stage_of(before.id, revision),
        decision,
        proposal=revised.proposal,
        facts=facts,
        mode=interaction.mode,
        at=at,
    )
    if stands.digest != decision.digest:
        raise Conflict("this interaction was edited elsewhere")
    digest = approval_digest(interaction.id, interaction.customer_id, decision, before.expires_at)
    proposed, changes = proposed_actions(decision), [c.model_dump(mode="json") for c in revised.changes]
    await ApprovalRepository(session).revise(
        before, decision_id, digest, proposed=proposed, changes=changes, raises=revised.raises, by=by.name, at=at,
        person=by.owner,
    )  # fmt: skip
    fields = sorted({f"{change.tool}.{change.field}" for change in revised.changes})
    details = {"digest": digest, "fields": fields, "raises": revised.raises}
    await AuditRepository(session).append(AuditEvent(at, by.name, "handoff.revised", before.id, details))
    return replace(before, digest=digest, proposed=tuple(proposed), revision=revision)
